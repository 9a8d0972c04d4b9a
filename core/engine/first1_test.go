package engine

import (
	"net/netip"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
)

// fakes1 is a Protocol1 of fakes. It has the connection "old", whose peer may be anywhere but at 203.0.113.0/24.
type fakes1 struct{ fakes }

func (p *fakes1) Inspect(b []byte) error {
	if len(b) == wire.HeaderLen {
		return errBroken
	}
	return nil
}

func (p *fakes1) Expects(_, remote netip.Addr) bool {
	return !netip.MustParsePrefix("203.0.113.0/24").Contains(remote)
}

func (p *fakes1) Endpoints(conn string) (Endpoints, error) {
	if conn == "old" {
		return Endpoints{Remote: them.Addr()}, nil
	}
	return Endpoints{}, errBroken
}

func (p *fakes1) Header(b Birth, conn string) (journal.Header, error) {
	return journal.Header{Version: 1, SPI: b.SPI, Seed: b.Seed[:], Conn: conn}, nil
}

func newBench1(t testing.TB, l Limits) (*bench, *fakes1) {
	b, p := newBench(t, l), &fakes1{}
	b.SetIKEv1(p)
	return b, p
}

// isakmp returns a message of IKEv1 from a peer.
func isakmp(from netip.AddrPort, h wire.Header, body string) machine.Datagram {
	h.Major, h.Length = 1, uint32(wire.HeaderLen+len(body))
	return machine.Datagram{Local: us, Remote: from, Bytes: append(h.Append(nil), body...)}
}

func first1(from netip.AddrPort, cookie uint64, exchange wire.ExchangeType) machine.Datagram {
	return isakmp(from, wire.Header{InitiatorSPI: cookie, Exchange: exchange}, "SA")
}

// RFC 2408 section 2.5.3: an ISAKMP SA is found by its cookies, whichever of them is ours, and from wherever it comes: with NAT
// traversal the port changes on the way (RFC 3947 section 4).
func TestAnISAKMPSAIsFoundByEitherCookie(t *testing.T) {
	t.Parallel()
	b, p := newBench1(t, Limits{})
	b.loop(first1(them, 7, identityProtection))
	if len(p.made) != 1 || b.Len() != 1 || b.counters.HalfOpen.Load() != 1 {
		t.Fatalf("%d machines, %d SAs", len(p.made), b.Len())
	}
	ours := p.made[0].birth.SPI
	b.loop(first1(them, 7, identityProtection), // repeated: RFC 2408 section 5.1
		isakmp(netip.AddrPortFrom(them.Addr(), 4500), wire.Header{InitiatorSPI: 7, ResponderSPI: ours, Exchange: identityProtection}, "auth"))
	if b.Len() != 1 || len(p.made[0].inputs) != 3 || b.counters.HalfOpen.Load() != 0 || b.counters.Established.Load() != 1 {
		t.Errorf("%d SAs; inputs %v", b.Len(), p.made[0].inputs)
	}
	if _, err := b.Initiate(b.now, "old", nil, us, them); err != nil || len(p.made) != 2 || b.Len() != 2 {
		t.Fatalf("a connection of IKEv1 alone: %v, %d machines", err, len(p.made))
	}
	b.loop(isakmp(them, wire.Header{InitiatorSPI: p.made[1].birth.SPI, ResponderSPI: 99, Exchange: identityProtection}, "auth"))
	if n := len(p.made[1].inputs); n != 2 || b.counters.Established.Load() != 2 {
		t.Errorf("%d inputs of the initiator", n)
	}
}

func TestAMessageNeverReachesAnSAOfTheOtherVersion(t *testing.T) {
	t.Parallel()
	b, p := newBench1(t, Limits{})
	b.loop(first1(them, 7, identityProtection), first(them, 8, nil))
	one, two := p.made[0], b.fakes.made[0]
	b.loop(message(one.birth.SPI, "auth"), isakmp(them, wire.Header{InitiatorSPI: 8, ResponderSPI: two.birth.SPI, Exchange: 5}, "auth"))
	if len(one.inputs) != 1 || len(two.inputs) != 1 || b.counters.DroppedUnknownSPI.Load() != 2 {
		t.Errorf("IKEv1 has %v, IKEv2 has %v", one.inputs, two.inputs)
	}
}

// RFC 2408 section 5.2 lets us tell the sender of an unknown cookie. It could not believe us, and so nobody is told; what it says in
// clear is dropped, whatever it is.
func TestMessagesOfUnknownISAKMPSAsAreDroppedAndCounted(t *testing.T) {
	t.Parallel()
	b, p := newBench1(t, Limits{})
	for name, h := range map[string]wire.Header{
		"informational in clear":                 {InitiatorSPI: 7, Exchange: 5, MessageID: 1},
		"informational of an SA":                 {InitiatorSPI: 7, ResponderSPI: 9, Exchange: 5},
		"a first message in cipher":              {InitiatorSPI: 7, Exchange: identityProtection, Flags: flagEncryption},
		"a first message with a message ID":      {InitiatorSPI: 7, Exchange: identityProtection, MessageID: 1},
		"a quick mode without an SA":             {InitiatorSPI: 7, Exchange: 32, MessageID: 5},
		"a first message in the base exchange":   {InitiatorSPI: 7, Exchange: 1},
		"a first message in new group mode":      {InitiatorSPI: 7, Exchange: 33},
		"a first message with a cookie for both": {InitiatorSPI: 7, ResponderSPI: 7, Exchange: aggressive},
	} {
		before := b.counters.DroppedUnknownSPI.Load()
		b.loop(isakmp(them, h, "notify"))
		if b.Len() != 0 || len(b.flushed()) != 0 || b.counters.DroppedUnknownSPI.Load() != before+1 {
			t.Errorf("%s: %d SAs, %d counted", name, b.Len(), b.counters.DroppedUnknownSPI.Load()-before)
		}
	}
	b.loop(first1(netip.MustParseAddrPort("203.0.113.1:500"), 7, identityProtection), isakmp(them, wire.Header{InitiatorSPI: 7, Exchange: aggressive}, ""))
	if b.Len() != 0 || len(p.made) != 0 || b.counters.DroppedRefused.Load() != 1 || b.counters.DroppedMalformed.Load() != 1 {
		t.Errorf("%d SAs for a stranger and a broken message", b.Len())
	}
}

// While no connection has IKEv1, a message of it costs a look at its header. What was made before goes on to its end.
func TestIKEv1IsOffUnlessAConnectionHasIt(t *testing.T) {
	t.Parallel()
	b, p := newBench1(t, Limits{})
	b.loop(first1(them, 7, identityProtection))
	b.SetIKEv1(nil)
	ours := p.made[0].birth.SPI
	b.loop(first1(them, 8, identityProtection), isakmp(them, wire.Header{InitiatorSPI: 7, ResponderSPI: ours, Exchange: 5}, "auth"),
		isakmp(them, wire.Header{InitiatorSPI: ours, Exchange: aggressive}, "SA"))
	if b.Len() != 1 || len(p.made[0].inputs) != 2 || b.counters.DroppedVersion.Load() != 2 {
		t.Errorf("%d SAs, %d inputs, %d dropped", b.Len(), len(p.made[0].inputs), b.counters.DroppedVersion.Load())
	}
}

// The shard of an ISAKMP SA follows from the initiator's cookie, because nothing says which of the two is ours.
func TestShardsFindISAKMPSAsOfBothRoles(t *testing.T) {
	t.Parallel()
	p := &fakes1{}
	e, _, _ := build(t, func(c *Config) { c.Shards, c.IKEv1 = 3, p })
	e.Start()
	for cookie := range uint64(6) {
		e.Receive([]machine.Datagram{first1(them, cookie+1, identityProtection)})
	}
	for range 6 {
		if _, err := e.Initiate(t.Context(), "old", nil); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "12 SAs", func() bool { return e.Counters().SAs.Load() == 12 })
	p.mu.Lock()
	made := append([]*fake(nil), p.made...)
	p.mu.Unlock()
	for _, m := range made {
		h := wire.Header{InitiatorSPI: m.birth.SPI, ResponderSPI: 1 << 40, Exchange: 5}
		if m.conn == "" { // a responder; its peer's cookie is any that leads to its shard
			h = wire.Header{InitiatorSPI: m.birth.SPI%3 + 3, ResponderSPI: m.birth.SPI, Exchange: 5}
		}
		e.Receive([]machine.Datagram{isakmp(them, h, "auth")})
	}
	eventually(t, "12 established", func() bool { return e.Counters().Established.Load() == 12 })
	if n := e.Counters().DroppedUnknownSPI.Load(); n != 0 {
		t.Errorf("%d did not find their SA", n)
	}
	_ = e.Stop(t.Context())
}

// An aggressive-mode flood from everywhere makes neither more state than the limit nor more key exchanges than the rate, takes
// nothing from IKEv2, and leaves nothing behind.
func TestAFloodOfAggressiveModeIsBounded(t *testing.T) {
	t.Parallel()
	b, p := newBench1(t, Limits{IKEv1MaxHalfOpen: 60})
	for second := range 10 {
		for i := range 1000 {
			b.loop(first1(sourceAddr(i), uint64(second*1000+i+1), aggressive))
		}
		if b.Len() > 60 || int(b.counters.HalfOpen.Load()) != b.Len() {
			t.Fatalf("after %d s: %d SAs", second, b.Len())
		}
		b.now = b.now.Add(time.Second)
	}
	if len(p.made) > 60 || len(p.made) < 50 {
		t.Errorf("%d SAs were made", len(p.made))
	}
	b.events()
	b.loop(first(them, 1, nil))
	if len(b.fakes.made) != 1 {
		t.Error("IKEv2 is asked for cookies because of IKEv1")
	}
	b.now = b.now.Add(fakeHalfOpen)
	b.loop()
	if b.Len() != 0 || b.c.Gate.halfOpen1 != 0 || b.c.Gate.halfOpen != 0 {
		t.Errorf("%d SAs and %d places are left", b.Len(), b.c.Gate.halfOpen1)
	}
}

func TestTheRateOfAggressiveModeIsAFifthOfMainModes(t *testing.T) {
	t.Parallel()
	for exchange, want := range map[wire.ExchangeType]int{identityProtection: 20 * burstSeconds, aggressive: 20 * burstSeconds / aggressiveCost} {
		b, p := newBench1(t, Limits{})
		for i := range 1000 {
			b.loop(first1(them, uint64(i+1), exchange))
		}
		if len(p.made) != want || b.counters.DroppedRefused.Load() != uint64(1000-want) {
			t.Errorf("exchange %d: %d of one source in an instant, want %d", exchange, len(p.made), want)
		}
		b.now = b.now.Add(tallyPeriod)
		b.events()
		b.loop()
		if len(b.records) != 1 {
			t.Fatalf("exchange %d: told %v", exchange, b.events())
		}
		if e, ok := b.records[0].Event.(event.RateLimited); !ok || e.Count != uint64(1000-want) {
			t.Errorf("exchange %d: told %+v", exchange, b.records[0].Event)
		}
	}
	b, p := newBench1(t, Limits{IKEv1SourceMaxHalfOpen: 3})
	for i := range 10 {
		b.loop(first1(them, uint64(i+1), identityProtection), first1(sourceAddr(1), uint64(i+1), identityProtection))
	}
	if len(p.made) != 6 {
		t.Errorf("%d half-open SAs of two sources, want 3 of each", len(p.made))
	}
}
