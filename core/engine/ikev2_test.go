package engine

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/ikev2"
	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
	"github.com/parley-ike/parley/sdk/secret"
)

// peers are two shards that speak IKEv2 over a perfect network on virtual time, with plugins that answer at once.
type peers struct {
	t        testing.TB
	now      time.Time
	east     *peer
	west     *peer
	progress bool
}

// peer is one side: a shard, and all that a shard calls.
type peer struct {
	*Shard
	world    *peers
	counters Counters
	calls    []machine.Request
	out      []machine.Send
	records  []event.Record
	random   *rand.ChaCha8
	spis     uint32
	children map[uint32]bool
}

func connection(name string, local, remote netip.AddrPort) *policy.Connection {
	id := func(a netip.AddrPort) policy.Identity {
		i, err := policy.ParseIdentity(a.Addr().String())
		if err != nil {
			panic(err)
		}
		return i
	}
	ts, err := policy.ParseSelector("10.0.0.0/8")
	if err != nil {
		panic(err)
	}
	c := &policy.Connection{Name: name,
		Local:    policy.Endpoint{Addr: local.Addr(), Identity: id(local), Auth: "psk"},
		Remote:   policy.Endpoint{Addr: remote.Addr(), Identity: id(remote), Auth: "psk"},
		Children: []*policy.Child{{Name: "lan", LocalTS: []policy.Selector{ts}, RemoteTS: []policy.Selector{ts}}}}
	c.ApplyDefaults()
	c.Unique = policy.UniqueNever // many tunnels between two
	return c
}

func newPeers(t testing.TB, rec *journal.Recorder, l Limits) *peers {
	w := &peers{t: t, now: epoch}
	w.east = newPeer(w, 1, connection("west", us, them), rec, l)
	w.west = newPeer(w, 2, connection("east", them, us), rec, l)
	return w
}

func newPeer(w *peers, seed byte, c *policy.Connection, rec *journal.Recorder, l Limits) *peer {
	p := &peer{world: w, random: rand.NewChaCha8([32]byte{seed}), spis: 256, children: map[uint32]bool{}}
	two, one := Protocols(&policy.Snapshot{Connections: []*policy.Connection{c}}, false)
	p.Shard = NewShard(ShardConfig{Rand: p.random, Protocol: two, IKEv1: one, Sender: p, Caller: p, Publisher: p,
		Gate: NewGate(l, p.random), Counters: &p.counters, Journal: rec})
	return p
}

func (p *peer) Send(local, remote netip.AddrPort, b []byte) {
	p.out = append(p.out, machine.Send{Local: local, Remote: remote, Bytes: b})
}
func (p *peer) Flush()                               {}
func (p *peer) Submit(batch []machine.Request)       { p.calls = append(p.calls, batch...) }
func (p *peer) Cancel(machine.Owner, machine.Ticket) {}
func (p *peer) Publish(r event.Record)               { p.records = append(p.records, r) }

// settle lets both sides run until nothing moves.
func (w *peers) settle() {
	for w.progress = true; w.progress; {
		w.progress = false
		w.turn(w.east, w.west)
		w.turn(w.west, w.east)
	}
}

// turn is a loop of one side; what it sends reaches the other at once.
func (w *peers) turn(p, other *peer) {
	calls := p.calls
	p.calls = nil
	for _, r := range calls {
		w.progress = true
		p.Return(w.now, machine.Return{Owner: r.Owner, Reply: p.answer(r.Call)})
	}
	p.Tick(w.now)
	p.Shard.Flush(w.now)
	out := p.out
	p.out = nil
	for _, s := range out {
		w.progress = true
		other.Receive(w.now, machine.Datagram{Local: s.Remote, Remote: s.Local, Bytes: bytes.Clone(s.Bytes)})
	}
	other.Shard.Flush(w.now)
	w.progress = w.progress || len(p.calls) > 0
}

// pass lets time pass.
func (w *peers) pass(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); w.settle() {
		w.now = w.now.Add(d / 20)
	}
}

// answer plays the plugins. Key exchange values are hashes, public and private at once.
func (p *peer) answer(c machine.Call) machine.Reply {
	shared := func(a, b []byte) secret.Bytes {
		if bytes.Compare(a, b) > 0 {
			a, b = b, a
		}
		v := sha256.Sum256(slices.Concat(a, b))
		return v[:]
	}
	var r machine.Result
	switch op := c.Op.(type) {
	case machine.KEInitiate:
		v := p.value()
		r = machine.KEInitiated{State: v, Public: bytes.Clone(v)}
	case machine.KERespond:
		v := p.value()
		r = machine.KEResponded{Public: v, Secret: shared(v, op.Peer)}
	case machine.KEFinish:
		r = machine.KEFinished{Secret: shared(op.State, op.Peer)}
	case machine.Sign:
		r = machine.Signed{Method: uint8(wire2.AuthSharedKeyMIC), Data: mac(op.Octets)}
	case machine.Verify:
		r = machine.Verified{Remote: op.Remote}
	case machine.Authenticate:
		if !bytes.Equal(op.Verify.Data, mac(op.Verify.Octets)) {
			return machine.Reply{Ticket: c.Ticket, Err: &machine.CallError{Kind: machine.Refused, Text: "wrong key"}}
		}
		r = machine.Authenticated{Verified: machine.Verified{Remote: op.Verify.Remote},
			Signed: machine.Signed{Method: uint8(wire2.AuthSharedKeyMIC), Data: mac(op.Sign.Octets)}}
	case machine.SKEYID:
		r = machine.SKEYIDDerived{Value: mac(op.Data)}
	case machine.AllocateSPI:
		p.spis++
		r = machine.AllocatedSPI{SPI: p.spis}
	case machine.InstallChild:
		p.children[op.Child.SPIIn] = true
		r = machine.Installed{}
	case machine.RemoveChild:
		delete(p.children, op.Child.SPIIn)
		r = machine.Removed{}
	default:
		return machine.Reply{Ticket: c.Ticket, Err: &machine.CallError{Kind: machine.Unsupported, Text: fmt.Sprintf("%T", op)}}
	}
	return machine.Reply{Ticket: c.Ticket, Result: r}
}

func (p *peer) value() []byte {
	v := make([]byte, 32)
	_, _ = p.random.Read(v)
	return v
}

func mac(octets []byte) []byte {
	m := hmac.New(sha256.New, []byte("pre-shared"))
	m.Write(octets)
	return m.Sum(nil)
}

// connect brings up n tunnels.
func (w *peers) connect(n int) {
	w.t.Helper()
	for range n {
		if _, err := w.east.Initiate(w.now, "west", []string{"lan"}, us, them); err != nil {
			w.t.Fatal(err)
		}
		w.settle()
	}
	for name, p := range map[string]*peer{"east": w.east, "west": w.west} {
		if got := p.counters.Established.Load(); got != int64(n) || len(p.children) != n {
			w.t.Fatalf("%s: %d of %d established, %d children; events:\n%s", name, got, n, len(p.children), p.story())
		}
	}
}

func (p *peer) story() string {
	var b strings.Builder
	for _, r := range p.records {
		fmt.Fprintf(&b, "%d %s %+v\n", r.SASequence, r.Event.Kind().Name, r.Event)
	}
	return b.String()
}

func TestTwoShardsBringUpAndDeleteATunnel(t *testing.T) {
	t.Parallel()
	w := newPeers(t, nil, Limits{})
	w.connect(3)
	w.pass(time.Minute)
	if n := w.east.Command(w.now, Selector{Conn: "west"}, machine.Terminate{Reason: "test"}); n != 3 {
		t.Errorf("terminated %d", n)
	}
	w.settle()
	if w.east.live()+w.west.live() != 0 || len(w.east.children)+len(w.west.children) != 0 {
		t.Errorf("live %d and %d, children %d and %d", w.east.live(), w.west.live(), len(w.east.children), len(w.west.children))
	}
	w.pass(2 * time.Minute)
	if w.east.Len()+w.west.Len() != 0 {
		t.Errorf("%d and %d SAs are left", w.east.Len(), w.west.Len())
	}
}

// RFC 7296 section 2.6, with the real messages: COOKIE is demanded, returned and accepted.
func TestTheTunnelComesUpThroughTheCookieGate(t *testing.T) {
	t.Parallel()
	w := newPeers(t, nil, Limits{})
	w.west.c.Gate.demanding = true
	w.connect(1)
	if s, v := w.west.counters.CookiesSent.Load(), w.west.counters.CookiesVerified.Load(); s != 1 || v != 1 {
		t.Errorf("%d cookies sent, %d verified", s, v)
	}
}

// recorded runs tunnels with the journal on and returns the directory.
func recorded(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	rec, err := journal.NewRecorder(dir, func(path string, err error) { t.Errorf("%s: %v", path, err) })
	if err != nil {
		t.Fatal(err)
	}
	w := newPeers(t, rec, Limits{})
	w.west.c.Gate.demanding = true
	w.connect(2)
	w.pass(time.Minute)
	w.east.Command(w.now, Selector{All: true}, machine.Terminate{Reason: "test"})
	w.settle()
	w.pass(2 * time.Minute)
	rec.Close()
	return dir
}

func journals(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+journal.Suffix))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestAReplayHasTheSameEffectsBitForBit(t *testing.T) {
	t.Parallel()
	paths := journals(t, recorded(t))
	if len(paths) != 4 {
		t.Fatalf("%d journals", len(paths))
	}
	for _, path := range paths {
		steps, lines, err := replay(t, path)
		if err != nil {
			t.Errorf("%s: after %d steps: %v", path, steps, err)
		}
		all := strings.Join(lines, "\n")
		for _, want := range []string{"reply #1: KE", "datagram 1", "send 1", "emit ike_sa.established", "call #", "done: "} {
			if !strings.Contains(all, want) {
				t.Errorf("the rendering lacks %q:\n%s", want, all)
			}
		}
	}
}

func replay(t *testing.T, path string) (steps int, lines []string, err error) {
	t.Helper()
	j, err := journal.Read(path)
	if err != nil {
		return 0, nil, err
	}
	defer j.Close()
	for step, err := range Replay(j, Rebuild) {
		if err != nil {
			return steps, lines, err
		}
		steps++
		if step.Number != steps {
			t.Errorf("step %d has number %d", steps, step.Number)
		}
		lines = append(lines, fmt.Sprintf("%s [%s]", RenderInput(step.Input), step.Info.State))
		for _, effect := range step.Effects {
			lines = append(lines, "  "+RenderEffect(effect))
		}
	}
	return steps, lines, nil
}

// A replay that differs says so: here the machine gets another seed.
func TestAReplayThatDiffersSaysSo(t *testing.T) {
	t.Parallel()
	for _, path := range journals(t, recorded(t)) {
		j, err := journal.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		j.Header.Seed[0] ^= 1
		var last error
		for _, err := range Replay(j, Rebuild) {
			last = err
		}
		if !errors.Is(last, ErrDiverged) {
			t.Errorf("%s: %v", path, last)
		}
		_ = j.Close()
	}
}

func TestATornJournalReplaysUpToTheTear(t *testing.T) {
	t.Parallel()
	path := journals(t, recorded(t))[0]
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole[:len(whole)-5], 0o600); err != nil {
		t.Fatal(err)
	}
	if steps, _, err := replay(t, path); !errors.Is(err, journal.ErrTorn) || steps < 5 {
		t.Errorf("%d steps, %v", steps, err)
	}
}

func TestAPolicyIsReplacedForNewSAsOnly(t *testing.T) {
	t.Parallel()
	w := newPeers(t, nil, Limits{})
	w.connect(1)
	w.east.SetProtocol(NewIKEv2(&ikev2.Env{Policy: &policy.Snapshot{}}))
	if _, err := w.east.Initiate(w.now, "west", nil, us, them); err == nil || !strings.Contains(err.Error(), `"west"`) {
		t.Errorf("got %v", err)
	}
	w.pass(time.Minute)
	if w.east.counters.Established.Load() != 1 {
		t.Error("the SA of the old policy is gone")
	}
}

// BenchmarkMemoryPerSA reports the heap that one side needs for an established IKE SA with one child, all in: machine,
// tables, index and timer.
func BenchmarkMemoryPerSA(b *testing.B) {
	const n = 2000
	l := Limits{SourceRate: 1e6}
	for b.Loop() {
		w := newPeers(b, nil, l)
		w.connect(10) // tables and pools have grown
		before := heap()
		w2 := newPeers(b, nil, l)
		w2.connect(n)
		for _, p := range []*peer{w2.east, w2.west} {
			p.records, p.out, p.calls, p.children = nil, nil, nil, nil
		}
		b.ReportMetric(float64(heap()-before)/(2*n), "B/SA")
		runtime.KeepAlive(w)
		runtime.KeepAlive(w2)
	}
}

// BenchmarkMemoryPerHalfOpenSA reports what a responder holds after IKE_SA_INIT.
func BenchmarkMemoryPerHalfOpenSA(b *testing.B) {
	const n = 2000
	huge := 1_000_000
	l := Limits{CookieThreshold: huge, SourceCookieThreshold: huge, SourceRate: huge}
	for b.Loop() {
		w := newPeers(b, nil, l)
		var firsts []machine.Send
		for range n {
			firsts = append(firsts, w.firstMessage())
		}
		before := heap()
		for _, s := range firsts {
			w.west.Receive(w.now, machine.Datagram{Local: s.Remote, Remote: s.Local, Bytes: bytes.Clone(s.Bytes)})
			w.west.Shard.Flush(w.now)
			w.turn(w.west, newPeers(b, nil, l).east) // its answer is lost
		}
		if w.west.Len() != n || len(w.west.calls) != 0 {
			b.Fatalf("%d SAs, %d calls wait", w.west.Len(), len(w.west.calls))
		}
		w.west.records = nil
		b.ReportMetric(float64(heap()-before)/n, "B/SA")
		runtime.KeepAlive(w)
	}
}

// firstMessage returns an IKE_SA_INIT request of east.
func (w *peers) firstMessage() machine.Send {
	w.t.Helper()
	if _, err := w.east.Initiate(w.now, "west", []string{"lan"}, us, them); err != nil {
		w.t.Fatal(err)
	}
	w.east.Shard.Flush(w.now)
	r := w.east.calls[0]
	w.east.calls = nil
	w.east.Return(w.now, machine.Return{Owner: r.Owner, Reply: w.east.answer(r.Call)})
	s := w.east.out[0]
	w.east.out = nil
	return s
}

// Whatever arrives: no panic, no more than one SA for one datagram, and the SA that is there survives.
func FuzzReceive(f *testing.F) {
	w := newPeers(f, nil, Limits{})
	init := w.firstMessage().Bytes
	w2 := newPeers(f, nil, Limits{})
	w2.connect(1)
	f.Add(init)
	f.Add(init[:len(init)-1])
	w2.east.Command(w2.now, Selector{All: true}, machine.Probe{})
	f.Add(w2.east.out[0].Bytes)
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newPeers(t, nil, Limits{})
		w.connect(1)
		before := w.west.Len()
		w.west.Receive(w.now, machine.Datagram{Local: them, Remote: us, Bytes: b})
		w.settle()
		if w.west.counters.Established.Load() != 1 || w.west.Len() > before+1 {
			t.Fatalf("%d SAs, %d established", w.west.Len(), w.west.counters.Established.Load())
		}
	})
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkHandshake is both sides of a handshake and of its deletion, with plugins that cost nothing.
func BenchmarkHandshake(b *testing.B) {
	w := newPeers(b, nil, Limits{SourceRate: 1e6})
	b.ReportAllocs()
	for b.Loop() {
		w.now = w.now.Add(time.Second)
		if _, err := w.east.Initiate(w.now, "west", []string{"lan"}, us, them); err != nil {
			b.Fatal(err)
		}
		w.settle()
		w.east.Command(w.now, Selector{All: true}, machine.Terminate{})
		w.settle()
		w.east.records, w.west.records = nil, nil
	}
}

// BenchmarkCookieDemand is what a first message costs while cookies are demanded.
func BenchmarkCookieDemand(b *testing.B) {
	w := newPeers(b, nil, Limits{})
	d := machine.Datagram{Local: them, Remote: us, Bytes: w.firstMessage().Bytes}
	w.west.c.Gate.demanding = true
	b.ReportAllocs()
	for b.Loop() {
		w.west.Receive(w.now, d)
		w.west.out = w.west.out[:0]
	}
	if w.west.Len() != 0 {
		b.Fatal("an SA was made")
	}
}
