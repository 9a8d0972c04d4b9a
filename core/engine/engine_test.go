package engine

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ Publisher = (*bus.Bus)(nil)

const patience = 10 * time.Second

// start returns a running engine of fakes.
func start(t *testing.T, change func(*Config)) (*Engine, *sink, *fakes) {
	t.Helper()
	e, k, p := build(t, change)
	e.Start()
	t.Cleanup(func() { _ = e.Stop(context.Background()) })
	return e, k, p
}

func build(t *testing.T, change func(*Config)) (*Engine, *sink, *fakes) {
	t.Helper()
	k, p := &sink{}, &fakes{}
	c := Config{Shards: 3, Protocol: p, NewSender: func() Sender { return k }, Caller: k, Publisher: k, StopTimeout: time.Second,
		Limits:   Limits{CookieThreshold: 1e6, SourceCookieThreshold: 1e6, MaxHalfOpen: 1e6, SourceMaxHalfOpen: 1e6, SourceRate: 1e6},
		LocalFor: func(netip.Addr) (netip.AddrPort, error) { return us, nil }}
	if change != nil {
		change(&c)
	}
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return e, k, p
}

// eventually waits for what goroutines will have done.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestAnEngineCarriesMessagesCallsAndAnswers(t *testing.T) {
	t.Parallel()
	e, k, p := start(t, nil)
	k.deliver = e.Deliver
	const n = 500
	for i := range n {
		e.Receive([]machine.Datagram{first(sourceAddr(i), uint64(i+1), nil), first(sourceAddr(i), uint64(i+1), nil)})
	}
	eventually(t, "an answer for each", func() bool { sent, _, _ := k.snapshot(); return len(sent) == n })
	p.mu.Lock()
	made := p.made
	p.mu.Unlock()
	if len(made) != n {
		t.Fatalf("%d SAs", len(made))
	}
	shards := map[uint64]int{}
	for _, m := range made {
		shards[m.birth.SPI%3]++
		e.Receive([]machine.Datagram{message(m.birth.SPI, "auth")})
	}
	if len(shards) != 3 {
		t.Errorf("SAs per shard: %v", shards)
	}
	eventually(t, "all established", func() bool { return e.Counters().Established.Load() == n })
	infos, err := e.SAs(t.Context())
	if err != nil || len(infos) != n || infos[0].State != "established" {
		t.Errorf("%d SAs, %v", len(infos), err)
	}
	if children, err := e.Installed(t.Context()); err != nil || len(children) != n {
		t.Errorf("%d children, %v", len(children), err)
	}
	if got, err := e.Terminate(t.Context(), Selector{UID: made[3].uid}, "", "test"); got != 1 || err != nil {
		t.Errorf("terminated %d, %v", got, err)
	}
}

func TestADeadlineWakesASleepingShard(t *testing.T) {
	t.Parallel()
	e, k, _ := start(t, nil)
	e.Receive([]machine.Datagram{{Local: us, Remote: them, Bytes: []byte("noise")}})
	eventually(t, "the sum of the second", func() bool { _, _, r := k.snapshot(); return len(r) == 1 })
	_, _, records := k.snapshot()
	if r := records[0]; r.Event.(event.ParseErrors).Count != 1 || time.Since(r.Time) > patience {
		t.Errorf("told %+v", r)
	}
}

func TestInitiateFindsAddresses(t *testing.T) {
	t.Parallel()
	resolved := netip.MustParseAddr("203.0.113.5")
	e, _, p := start(t, func(c *Config) {
		c.Port, c.RemotePort = 5000, 5001
		c.Resolve = func(_ context.Context, host string) (netip.Addr, error) {
			if host != "west.example.net" {
				return netip.Addr{}, errors.New("no such host")
			}
			return resolved, nil
		}
	})
	for conn, want := range map[string]Birth{
		"west":  {Local: us, Remote: netip.AddrPortFrom(them.Addr(), 5001)},
		"bound": {Local: netip.AddrPortFrom(us.Addr(), 5000), Remote: netip.AddrPortFrom(them.Addr(), 5001)},
		"named": {Local: us, Remote: netip.AddrPortFrom(resolved, 5001)},
	} {
		uid, err := e.Initiate(t.Context(), conn, []string{"lan"})
		if err != nil {
			t.Fatal(err)
		}
		m := p.made[len(p.made)-1]
		if m.uid != uid || m.birth.Local != want.Local || m.birth.Remote != want.Remote {
			t.Errorf("%s: born %+v", conn, m.birth)
		}
	}
	for conn, want := range map[string]string{"passive": "names no remote address", "none": "broken"} {
		if _, err := e.Initiate(t.Context(), conn, nil); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), conn) {
			t.Errorf("%s: %v", conn, err)
		}
	}
}

func TestAFullInboxDropsDatagramsAndKeepsReplies(t *testing.T) {
	t.Parallel()
	e, _, _ := build(t, func(c *Config) { c.Shards = 1 }) // not started: nothing is taken
	const n = maxDatagrams + 100
	for i := range n {
		e.Receive([]machine.Datagram{first(them, uint64(i+1), nil)})
		e.Deliver([]machine.Return{{Owner: machine.Owner(i + 1)}})
	}
	if got := e.Counters().DroppedFull.Load(); got != 100 {
		t.Errorf("%d dropped, want 100", got)
	}
	box := e.runners[0].inbox
	if len(box.replies) != n || box.first.len() != maxDatagrams {
		t.Errorf("%d replies and %d datagrams wait", len(box.replies), box.first.len())
	}
	var w work
	box.take(&w)
	if len(w.replies) != n || len(w.datagrams) != loopDatagrams {
		t.Errorf("a loop takes %d replies and %d datagrams", len(w.replies), len(w.datagrams))
	}
	e.Start()
	eventually(t, "all taken", func() bool { return e.Counters().DatagramsIn.Load() >= maxDatagrams-loopDatagrams })
	_ = e.Stop(t.Context())
}

func TestLargeDatagramsAreBoundedByOctets(t *testing.T) {
	t.Parallel()
	b := newInbox()
	big := machine.Datagram{Bytes: make([]byte, 60_000)}
	taken := 0
	for b.putDatagram(big, false) {
		taken++
	}
	if taken != maxDatagramOctets/60_000 {
		t.Errorf("%d taken", taken)
	}
	var w work
	b.take(&w)
	if left := taken - loopDatagrams; b.known.len() != left || b.known.octets != left*len(big.Bytes) {
		t.Errorf("%d datagrams are left, counted as %d octets", b.known.len(), b.known.octets)
	}
	for ; !w.empty(); b.take(&w) {
		w.reset()
	}
	if b.known.octets != 0 || !b.putDatagram(big, false) {
		t.Errorf("%d octets counted in an empty inbox", b.known.octets)
	}
}

func TestTheInboxKeepsTheOrder(t *testing.T) {
	t.Parallel()
	b := newInbox()
	var w work
	next, put := 0, 0
	for round := range 200 {
		for range round % 90 {
			b.putDatagram(machine.Datagram{Bytes: []byte{byte(put), byte(put >> 8)}}, false)
			put++
		}
		b.take(&w)
		for _, d := range w.datagrams {
			if int(d.Bytes[0])|int(d.Bytes[1])<<8 != next&0xffff {
				t.Fatalf("datagram %d is %x", next, d.Bytes)
			}
			next++
		}
		w.reset()
	}
	if next+b.known.len() != put {
		t.Errorf("put %d, took %d, %d left", put, next, b.known.len())
	}
}

func TestTooManyCommandsAreRefused(t *testing.T) {
	t.Parallel()
	e, _, _ := build(t, func(c *Config) { c.Shards = 1 })
	for e.runners[0].inbox.putCommand(func(*Shard, time.Time) {}, false) {
	}
	if _, err := e.Initiate(t.Context(), "west", nil); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
	e.Start()
	if err := e.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStopDeletesAllAndEnds(t *testing.T) {
	t.Parallel()
	e, k, _ := start(t, nil)
	for range 100 {
		if _, err := e.Initiate(t.Context(), "west", nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	_, _, records := k.snapshot()
	deleted := 0
	for _, r := range records {
		if d, ok := r.Event.(event.IKEDeleted); ok && d.Reason == "the daemon is stopping" {
			deleted++
		}
	}
	if deleted != 100 {
		t.Errorf("%d deleted", deleted)
	}
	if _, err := e.Initiate(t.Context(), "west", nil); !errors.Is(err, ErrStopping) {
		t.Errorf("Initiate afterwards: %v", err)
	}
	if _, err := e.SAs(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("SAs afterwards: %v", err)
	}
	if err := e.Stop(t.Context()); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
}

func TestStopEndsInTimeWhenAPeerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	e, _, p := start(t, func(c *Config) { c.StopTimeout = 50 * time.Millisecond })
	p.stubborn = true
	for range 3 {
		if _, err := e.Initiate(t.Context(), "west", nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "3 IKE SAs") {
		t.Errorf("got %v", err)
	}
}

func TestASpawnedSACrossesToItsShard(t *testing.T) {
	t.Parallel()
	e, _, p := start(t, nil)
	e.Receive([]machine.Datagram{first(them, 1, nil)})
	eventually(t, "an SA", func() bool { return e.Counters().SAs.Load() == 1 })
	p.mu.Lock()
	parent := p.made[0].birth.SPI
	p.mu.Unlock()
	for o := range uint64(6) {
		e.Receive([]machine.Datagram{message(parent, "spawn\x00\x00\x00\x00\x00\x00\x10"+string([]byte{byte(o)}))})
	}
	eventually(t, "six more", func() bool { return e.Counters().SAs.Load() == 7 })
	for o := range uint64(6) {
		e.Receive([]machine.Datagram{message(0x1000+o, "auth")})
	}
	eventually(t, "each found", func() bool { return e.Counters().DatagramsIn.Load() == 13 })
	if n := e.Counters().DroppedUnknownSPI.Load(); n != 0 {
		t.Errorf("%d messages did not find their SA", n)
	}
}

func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	e, k, _ := start(t, nil)
	k.deliver = e.Deliver
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				e.Receive([]machine.Datagram{first(sourceAddr(1000*g+i), uint64(i+1), nil)})
				if i%20 == 0 {
					_, _ = e.Initiate(t.Context(), "west", nil)
					_, _ = e.SAs(t.Context())
					_, _ = e.Terminate(t.Context(), Selector{Conn: "west"}, "", "test")
					e.SetProtocol(&fakes{})
				}
			}
		})
	}
	wg.Wait()
	if err := e.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if n := e.Counters().SAs.Load(); n != 0 {
		t.Errorf("%d SAs are left", n)
	}
}

func TestTheClockNeverJumpsAndHasNoMonotonicPart(t *testing.T) {
	t.Parallel()
	e, _, _ := build(t, nil)
	before := e.now()
	time.Sleep(2 * time.Millisecond)
	after := e.now()
	if !after.After(before) || after != after.Round(0) || after.Location() != time.UTC {
		t.Errorf("%v, then %v", before, after)
	}
}

func TestAnEngineNeedsItsParts(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{}); err == nil {
		t.Error("no error")
	}
}
