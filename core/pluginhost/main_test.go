package pluginhost

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/ke"
	"github.com/parley-ike/parley/sdk/proto/link"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/secret"
	"github.com/parley-ike/parley/sdk/serve"
)

// The test binary is its own plugin: started by a Host, it serves what its first argument names.
func TestMain(m *testing.M) {
	if os.Getenv(link.CookieKey) == link.CookieValue && len(os.Args) > 1 {
		pluginMain(os.Args[1], os.Args[2:])
	}
	if dir := os.Getenv("PLUGINHOST_TEST_DAEMON"); dir != "" {
		daemonMain(dir)
	}
	goleak.VerifyTestMain(m)
}

const (
	echoMethod = 31   // an honest exchange: the public value is 32 octets, the secret the peer's value
	liarMethod = 1000 // says 32 octets, gives 31
	publicLen  = 32
)

func pluginMain(mode string, args []string) {
	info := serve.Info{Name: "fixture", Version: "1.2.3", Vendor: "tests"}
	switch mode {
	case "ke":
		serve.Main(info, serve.KE("echo", &echo{}))
	case "all":
		serve.Main(info, serve.KE("echo", &echo{}), serve.Auth("psk", authenticator{}), serve.Cred("store", store{"west": "key"}), serve.SA("memory", &backend{}))
	case "cred":
		serve.Main(info, serve.Cred("empty", store{}))
	case "psks":
		serve.Main(info, serve.Cred("psks", pskStore{}))
	case "keys":
		serve.Main(info, serve.Auth("keys", keyUser{}), serve.Cred("keys", keyStore{}))
	case "keyuser":
		serve.Main(info, serve.Auth("keys", keyUser{}))
	case "wordy":
		serve.Main(info, serve.Auth("psk", authenticator{}), serve.Cred("store", &wordy{}))
	case "auth2":
		serve.Main(info, serve.Auth("other", authenticator{name: "other"}))
	case "noisy":
		fmt.Println("a print before Main")
		go func() {
			for range 100 {
				fmt.Println("a print of a goroutine")
			}
		}()
		serve.Main(info, serve.KE("echo", &echo{}))
	case "liar":
		serve.Main(info, serve.KE("liar", &echo{liar: true}), serve.SA("liar", &backend{liar: true}))
	default:
		misbehave(mode, args)
	}
}

// echo is a key exchange that does what the first octet of the peer's value says.
type echo struct {
	liar    bool
	mu      sync.Mutex
	ordered []byte
	sick    atomic.Bool
}

// What the first octet of a peer's value makes echo do.
const (
	doEcho = iota
	doPanic
	doHang
	doDie
	doSlow
	doOrdered
	doRefuse
	doReport // the secret is a report about the process, see report
	doSicken
)

func (e *echo) Methods() []ke.Method {
	id := uint16(echoMethod)
	if e.liar {
		id = liarMethod
	}
	return []ke.Method{{ID: id, Name: "ECHO", PublicLen: publicLen, ResponseLen: publicLen}}
}

func (e *echo) Initiate(context.Context, uint16) (secret.Bytes, []byte, error) {
	if e.liar {
		return secret.Bytes("state"), make([]byte, publicLen-1), nil
	}
	return secret.Bytes("state"), make([]byte, publicLen), nil
}

func (e *echo) Respond(ctx context.Context, _ uint16, peer []byte) ([]byte, secret.Bytes, error) {
	switch peer[0] {
	case doPanic:
		panic("the fixture was told to")
	case doHang:
		<-ctx.Done()
		return nil, nil, ctx.Err()
	case doDie:
		go func() { panic("the fixture was told to die") }() // out of the SDK's reach
		select {}
	case doSlow:
		time.Sleep(20 * time.Millisecond)
	case doOrdered:
		return make([]byte, publicLen), e.inOrder(peer[1]), nil
	case doRefuse:
		return nil, nil, fmt.Errorf("%w: a bad\npoint", sdk.ErrInvalid)
	case doReport:
		return make([]byte, publicLen), report(), nil
	case doSicken:
		e.sick.Store(true)
	}
	return make([]byte, publicLen), secret.Bytes(peer).Clone(), nil
}

// inOrder sleeps less for later calls, so that only true ordering keeps them in order, and returns what came before.
func (e *echo) inOrder(n byte) secret.Bytes {
	time.Sleep(time.Duration(20-n) * time.Millisecond / 4)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ordered = append(e.ordered, n)
	return secret.Bytes(e.ordered).Clone()
}

func (e *echo) Finish(_ context.Context, _ uint16, state secret.Bytes, peer []byte) (secret.Bytes, error) {
	return append(state.Clone(), peer...), nil
}

func (e *echo) Canary(context.Context) error {
	if e.sick.Load() {
		return errors.New("the fixture is sick")
	}
	return nil
}

// report tells how the process was confined.
func report() secret.Bytes {
	status, _ := os.ReadFile("/proc/thread-self/status")
	dumpable, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	return secret.Bytes(strings.Join(os.Environ(), "\n") + "\n" + string(status) + fmt.Sprintln("Dumpable:", dumpable))
}

type authenticator struct{ name string }

func (a authenticator) Methods() []string {
	if a.name == "" {
		return []string{"psk"}
	}
	return []string{a.name}
}

func (a authenticator) Sign(ctx context.Context, h auth.Host, s auth.Sign) (auth.Signed, error) {
	macs, err := h.MAC(ctx, cred.Query{Purpose: cred.PSK, Local: s.Local, Remote: s.Remote}, []cred.MAC{{Scheme: cred.IKEv2Auth, PRF: s.PRF, Data: s.Octets}})
	if err != nil {
		return auth.Signed{}, err
	}
	return auth.Signed{Method: 2, Data: macs[0]}, nil
}

func (a authenticator) Verify(ctx context.Context, h auth.Host, v auth.Verify) (auth.Identity, error) {
	macs, err := h.MAC(ctx, cred.Query{Purpose: cred.PSK, Local: v.Local, Remote: v.Remote}, []cred.MAC{{Scheme: cred.IKEv2Auth, PRF: v.PRF, Data: v.Octets}})
	if err != nil {
		return auth.Identity{}, err
	}
	if !secret.Bytes(macs[0]).Equal(v.Data) {
		return auth.Identity{}, fmt.Errorf("%w: wrong key", sdk.ErrRefused)
	}
	return v.Remote, nil
}

// store has a key per remote identity; a MAC of it is the key and the data.
type store map[string]string

func (s store) Find(context.Context, cred.Query) ([]cred.Ref, error) { return nil, sdk.ErrNoCredential }

func (s store) MAC(_ context.Context, q cred.Query, macs []cred.MAC) ([][]byte, error) {
	key, ok := s[string(q.Remote.Data)]
	if !ok {
		return nil, fmt.Errorf("%w for %s among %d", sdk.ErrNoCredential, q.Remote.Data, len(s))
	}
	var out [][]byte
	for _, m := range macs {
		out = append(out, append([]byte(key), m.Data...))
	}
	return out, nil
}

// wordy is a store whose only key is its configuration. It refuses "bad".
type wordy struct {
	mu  sync.Mutex
	key string
}

func (*wordy) Schema() string { return "" }

func (*wordy) Validate(config []byte) []string {
	if string(config) == `"bad"` {
		return []string{"bad is no word"}
	}
	return nil
}

func (w *wordy) Configure(_ context.Context, _ serve.Env, config []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.key = string(config)
	return nil
}

func (w *wordy) Find(context.Context, cred.Query) ([]cred.Ref, error) {
	return nil, sdk.ErrNoCredential
}

func (w *wordy) MAC(ctx context.Context, q cred.Query, macs []cred.MAC) ([][]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return store{string(q.Remote.Data): w.key}.MAC(ctx, q, macs)
}

// backend keeps children in a file of the runtime folder's stead: in memory.
type backend struct {
	sa.Feed
	liar bool
	mu   sync.Mutex
	held map[sa.UID]sa.Child
}

func (b *backend) Probe(context.Context) (sa.Capabilities, error) {
	return sa.Capabilities{Name: "memory", Usable: true, Reason: "always", Algorithms: []sa.Algorithm{{Type: 1, ID: 20, KeyBits: []uint16{128}}}, Modes: []sa.Mode{sa.Tunnel}}, nil
}

func (b *backend) AllocateSPI(context.Context, netip.Addr, netip.Addr) (uint32, error) {
	if b.liar {
		return 255, nil
	}
	return 256, nil
}

func (b *backend) Install(_ context.Context, c sa.Child) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held == nil {
		b.held = map[sa.UID]sa.Child{}
	}
	b.held[c.UID] = c
	if c.Name == "tell" { // the same for all kinds of event
		moved := netip.AddrPortFrom(c.Remote, c.RemotePort)
		for _, e := range []sa.Event{sa.Expired{SPIIn: c.SPIIn, Hard: true, Cause: "bytes"}, sa.Moved{SPIIn: c.SPIIn, Remote: moved}, sa.Lost{SPIIn: c.SPIIn}, sa.Placed{SPIIn: c.SPIIn, Where: "software", Reason: "full"},
			sa.Acquired{Conn: c.Conn, Name: c.Name, Protocol: 17, Source: moved}} {
			b.Tell(e)
		}
	}
	return nil
}

func (b *backend) SetTraps(_ context.Context, owner string, traps []sa.Trap) error {
	if len(traps) == 1 && owner == "owner-1" {
		b.Tell(sa.Acquired{Conn: traps[0].Conn, Name: traps[0].Name})
	}
	return nil
}

func (b *backend) Update(ctx context.Context, c sa.Child) error { return b.Install(ctx, c) }

func (b *backend) FreeSPI(context.Context, netip.Addr, netip.Addr, uint32) error { return nil }

func (b *backend) Remove(_ context.Context, c sa.Child) (sa.Usage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.held, c.UID)
	return sa.Usage{BytesIn: 7}, nil
}

func (b *backend) Usage(context.Context, sa.Child) (sa.Usage, error) {
	return sa.Usage{BytesOut: 9}, nil
}

func (b *backend) List(_ context.Context, owner string) ([]sa.Child, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := []sa.Child{{Owner: "another's", UID: sa.UID{9}, SPIIn: 999}}
	for _, c := range b.held {
		out = append(out, c)
	}
	if b.liar {
		out = append(out, sa.Child{Owner: owner, SPIIn: 3})
	}
	return out, nil
}

// world is a host with everything that comes out of it.
type world struct {
	*Host
	t      testing.TB
	events *bus.Subscription
	logs   *observer.ObservedLogs
	mu     sync.Mutex
	got    map[machine.Ticket]int
	last   map[machine.Ticket]machine.Reply
	change chan struct{}
}

func self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func sum(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:])
}

func fixture(t testing.TB, name string, kinds []string, args ...string) Entry {
	return Entry{Name: name, Path: self(t), Kinds: kinds, Args: args}
}

// patience is how long something may take on the busiest machine, under the race detector. Nothing that succeeds waits so long.
const patience = time.Minute

// quick makes everything happen in test time.
var quick = Config{
	StartTimeout: patience, HealthEvery: time.Hour, StopGrace: 2 * time.Second,
	Restart: Restart{First: 5 * time.Millisecond, Max: 20 * time.Millisecond, Budget: 5, Within: time.Minute, Slow: time.Hour},
}

func newWorld(t testing.TB, cfg Config, entries ...Entry) *world {
	t.Helper()
	w := &world{t: t, got: map[machine.Ticket]int{}, last: map[machine.Ticket]machine.Reply{}, change: make(chan struct{}, 1)}
	core, logs := observer.New(zap.DebugLevel)
	b := bus.New()
	w.logs, w.events = logs, b.Subscribe("test", bus.Collect(), nil)
	cfg.Entries, cfg.Bus, cfg.Log, cfg.Owner, cfg.Node = entries, b, zap.New(core), "owner-1", "node-1"
	cfg.RuntimeDir = shortDir(t)
	cfg.Sink = w.sink
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.Host = h
	t.Cleanup(w.stop)
	return w
}

// shortDir is a folder with a path short enough for sockets.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ph")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "r")
}

func started(t testing.TB, cfg Config, entries ...Entry) *world {
	t.Helper()
	w := newWorld(t, cfg, entries...)
	if err := w.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.Stop(ctx, false); err != nil {
		w.t.Error(err)
	}
	w.cfg.Bus.Close()
}

func (w *world) sink(returns []machine.Return) {
	w.mu.Lock()
	for _, r := range returns {
		w.got[r.Reply.Ticket]++
		w.last[r.Reply.Ticket] = r.Reply
	}
	w.mu.Unlock()
	select {
	case w.change <- struct{}{}:
	default:
	}
}

// await waits until cond holds; it is asked again at every return and every few milliseconds.
func (w *world) await(what string, cond func() bool) {
	w.t.Helper()
	deadline := time.After(patience)
	for !cond() {
		select {
		case <-w.change:
		case <-time.After(2 * time.Millisecond):
		case <-deadline:
			w.t.Fatalf("waited in vain for %s; status %+v", what, w.Status())
		}
	}
}

func (w *world) returned() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.got)
}

func (w *world) reply(ticket machine.Ticket) machine.Reply {
	w.t.Helper()
	var r machine.Reply
	w.await(fmt.Sprintf("the reply to ticket %d", ticket), func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		r = w.last[ticket]
		return w.got[ticket] > 0
	})
	return r
}

func request(ticket machine.Ticket, op machine.Op) machine.Request {
	return machine.Request{Owner: 1, Call: machine.Call{Ticket: ticket, Op: op}}
}

// respond is an exchange that makes the fixture do something.
func respond(ticket machine.Ticket, do ...byte) machine.Request {
	return request(ticket, machine.KERespond{Method: echoMethod, Peer: append(do, make([]byte, publicLen-len(do))...)})
}

func (w *world) call(op machine.Op) machine.Reply {
	w.t.Helper()
	w.mu.Lock()
	ticket := machine.Ticket(1_000_000 + len(w.got))
	w.mu.Unlock()
	w.Submit([]machine.Request{request(ticket, op)})
	return w.reply(ticket)
}

func (w *world) do(do ...byte) machine.Reply {
	w.t.Helper()
	return w.call(respond(0, do...).Call.Op)
}

// event waits for an event of type E.
func awaitEvent[E event.Event](w *world) E {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		r, err := w.events.Next(ctx)
		if err != nil {
			var none E
			w.t.Fatalf("no event %T: %v; status %+v", none, err, w.Status())
		}
		if e, ok := r.Event.(E); ok {
			return e
		}
	}
}

func (w *world) kill(i int) {
	w.t.Helper()
	process, err := os.FindProcess(w.Status()[i].PID)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = process.Kill()
}
