package engine

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
)

// A flood of first messages neither crowds out what belongs to an SA nor makes it wait.
func TestDatagramsOfSAsPassAFloodOfFirstMessages(t *testing.T) {
	t.Parallel()
	e, _, _ := build(t, func(c *Config) { c.Shards = 1 }) // not started: nothing is taken
	for i := range maxDatagrams + 10 {
		e.Receive([]machine.Datagram{first(sourceAddr(i), uint64(i+1), nil)})
	}
	e.Receive([]machine.Datagram{message(7, "auth")})
	if got := e.Counters().DroppedFull.Load(); got != 10 {
		t.Errorf("%d dropped, want 10", got)
	}
	var w work
	box := e.runners[0].inbox
	box.take(&w)
	if h, err := wire.ParseHeader(w.datagrams[0].Bytes); err != nil || isFirst(h) || len(w.datagrams) != 1+loopDatagrams {
		t.Errorf("a loop takes %d datagrams, the first of which is %+v", len(w.datagrams), h)
	}
	_ = e.Stop(t.Context())
}

// The memory of a queue does not grow for ever while it is never empty.
func TestAQueueThatIsNeverEmptyStaysSmall(t *testing.T) {
	t.Parallel()
	var q queue
	var to []machine.Datagram
	for range 10 * maxDatagrams {
		q.put(machine.Datagram{Bytes: []byte{1}})
		q.put(machine.Datagram{Bytes: []byte{1}})
		if q.len() > loopDatagrams {
			to = q.take(to[:0])
		}
	}
	if cap(q.list) > 4*maxDatagrams || q.octets != q.len() {
		t.Errorf("room for %d datagrams, %d wait with %d octets", cap(q.list), q.len(), q.octets)
	}
}

// Work for those who prove their addresses is bounded, too, for all together.
func TestNewSAsAreBoundedInTotal(t *testing.T) {
	t.Parallel()
	g := NewGate(Limits{Rate: 10}, rand.NewChaCha8([32]byte{}))
	admitted := 0
	for i := range 100 {
		switch v, reason := g.judge(epoch, sourceAddr(i).Addr(), true); {
		case v == admit:
			admitted++
		case reason != "too many new IKE SAs per second":
			t.Fatalf("refused because of %q", reason)
		}
	}
	if admitted != 10*burstSeconds {
		t.Errorf("%d admitted, want %d", admitted, 10*burstSeconds)
	}
	if v, _ := g.judge(epoch.Add(time.Second), them.Addr(), true); v != admit {
		t.Error("nobody is admitted a second later")
	}
}

// With AlwaysCookies nobody gets in without one, and with one anybody.
func TestCookiesCanBeDemandedAlways(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{CookieThreshold: AlwaysCookies})
	b.loop(first(them, 1, nil))
	sent := b.flushed()
	if b.Len() != 0 || len(sent) != 1 {
		t.Fatalf("%d SAs, %d answers", b.Len(), len(sent))
	}
	b.loop(first(them, 1, cookieOf(t, sent[0])))
	if b.Len() != 1 || b.c.Gate.demanding {
		t.Errorf("%d SAs; the threshold counts as crossed: %t", b.Len(), b.c.Gate.demanding)
	}
}

// While cookies are demanded of everyone, a flood leaves no trace of its sources, and one source gets as many demands as it
// sends messages: whoever forges the address of a peer cannot keep it from getting its own.
func TestDemandsForCookiesCostNoMemoryAndAreNotCounted(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{CookieThreshold: 1})
	b.c.Gate.demanding = true
	const n = 10_000
	for i := range n {
		b.loop(first(sourceAddr(i%2), uint64(i+1), nil), first(sourceAddr(i), uint64(i+1), nil))
	}
	if got := len(b.flushed()); got != 2*n || len(b.c.Gate.sources) != 0 {
		t.Errorf("%d demands; %d sources are remembered", got, len(b.c.Gate.sources))
	}
}

// RFC7296-2.4-5: what unprotected messages trigger is limited, for all sources together as well.
func TestUnprotectedErrorsAreLimitedInTotal(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{Errors: 10})
	for i := range 1000 {
		b.loop(machine.Datagram{Local: us, Remote: sourceAddr(i), Bytes: packetOf(wire.Header{InitiatorSPI: 1, Major: 3})})
	}
	if n := len(b.flushed()); n != 10*burstSeconds {
		t.Errorf("%d answers, want %d", n, 10*burstSeconds)
	}
}
