package engine

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
)

func TestAFirstMessageMakesAnSAAndItsCallLeavesInABatch(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{})
	b.Receive(b.now, first(them, 1, nil))
	b.Receive(b.now, first(them, 2, nil))
	if len(b.requests) != 0 {
		t.Fatal("a call left before the end of the loop")
	}
	b.Flush(b.now)
	if b.Len() != 2 || len(b.requests) != 2 || b.counters.HalfOpen.Load() != 2 {
		t.Fatalf("%d SAs, %d calls, %d half-open", b.Len(), len(b.requests), b.counters.HalfOpen.Load())
	}
	for _, r := range b.requests {
		b.Return(b.now, answerTo(r))
	}
	if len(b.sent) != 0 || len(b.queued) != 2 {
		t.Errorf("sent %d, queued %d before the end of the loop", len(b.sent), len(b.queued))
	}
	b.Flush(b.now)
	if sent := b.flushed(); len(sent) != 2 || sent[0].Remote != them || sent[0].Local != us {
		t.Errorf("sent %v", sent)
	}
}

// RFC 7296 section 2.1 (RFC7296-2.1-1): a retransmitted IKE_SA_INIT reaches the SA that it made, and two peers behind one
// NAT with the same SPI do not meet.
func TestARepeatedFirstMessageReachesItsSA(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{})
	twin := first(them, 1, []byte("another message with the same SPI"))
	moved := first(netip.AddrPortFrom(them.Addr(), 1024), 1, nil)
	b.loop(first(them, 1, nil), twin, first(them, 1, nil), moved, twin, first(them, 1, nil))
	if b.Len() != 3 {
		t.Fatalf("%d SAs, want 3", b.Len())
	}
	for i, want := range []int{3, 2, 1} {
		if got := len(b.fakes.made[i].inputs); got != want {
			t.Errorf("SA %d got %d messages, want %d", i, got, want)
		}
	}
}

// RFC 7296 section 2.6: the Initiator flag says which SPI is ours.
func TestMessagesAreRoutedByOurSPI(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{})
	if _, err := b.Initiate(b.now, "west", nil, us, them); err != nil {
		t.Fatal(err)
	}
	b.loop(first(them, 9, nil))
	initiator, responder := b.fakes.made[0], b.fakes.made[1]
	toInitiator := wire.Header{InitiatorSPI: initiator.birth.SPI, ResponderSPI: responder.birth.SPI, Major: 2, Exchange: 34,
		Flags: wire.FlagResponse, Length: wire.HeaderLen}
	toResponder := toInitiator
	toResponder.Flags = wire.FlagInitiator
	b.loop(machine.Datagram{Local: us, Remote: them, Bytes: toInitiator.Append(nil)})
	b.loop(machine.Datagram{Local: us, Remote: them, Bytes: toResponder.Append(nil)})
	if len(initiator.inputs) != 2 || len(responder.inputs) != 2 {
		t.Errorf("initiator got %v, responder got %v", initiator.inputs, responder.inputs)
	}
}

func TestWhatFitsNowhereIsCountedAndMakesNoState(t *testing.T) {
	t.Parallel()
	header := func(change func(*wire.Header)) []byte {
		h := wire.Header{InitiatorSPI: 1, Major: 2, Exchange: ikeSAInit, Flags: wire.FlagInitiator, Length: wire.HeaderLen + nonceLen}
		change(&h)
		return append(h.Append(nil), make([]byte, nonceLen)...)
	}
	for _, c := range []struct {
		name   string
		bytes  []byte
		count  func(*Counters) uint64
		answer string
	}{
		{"nothing", nil, func(c *Counters) uint64 { return c.DroppedMalformed.Load() }, ""},
		{"a short header", make([]byte, 27), func(c *Counters) uint64 { return c.DroppedMalformed.Load() }, ""},
		{"a wrong length", header(func(h *wire.Header) { h.Length++ }), func(c *Counters) uint64 { return c.DroppedMalformed.Load() }, ""},
		{"a length of 4 GB", header(func(h *wire.Header) { h.Length = 1<<32 - 1 }), func(c *Counters) uint64 { return c.DroppedMalformed.Load() }, ""},
		{"no initiator SPI", header(func(h *wire.Header) { h.InitiatorSPI = 0 }), func(c *Counters) uint64 { return c.DroppedMalformed.Load() }, ""},
		{"a broken first message", packetOf(wire.Header{InitiatorSPI: 1, Major: 2, Exchange: ikeSAInit, Flags: wire.FlagInitiator}),
			func(c *Counters) uint64 { return c.DroppedMalformed.Load() }, ""},
		{"version 1", header(func(h *wire.Header) { h.Major = 1 }), func(c *Counters) uint64 { return c.DroppedVersion.Load() }, ""},
		// RFC7296-2.5-2 and RFC7296-2.5-3.
		{"version 3", header(func(h *wire.Header) { h.Major = 3 }), func(c *Counters) uint64 { return c.DroppedVersion.Load() }, "version"},
		{"a response of version 3", header(func(h *wire.Header) { h.Major, h.Flags = 3, wire.FlagResponse }),
			func(c *Counters) uint64 { return c.DroppedVersion.Load() }, ""},
		{"an unknown SPI", header(func(h *wire.Header) { h.ResponderSPI = 5 }), func(c *Counters) uint64 { return c.DroppedUnknownSPI.Load() }, "spi"},
		{"a response to nobody", header(func(h *wire.Header) { h.Flags = wire.FlagResponse }), func(c *Counters) uint64 { return c.DroppedUnknownSPI.Load() }, ""},
		{"a first message with another ID", header(func(h *wire.Header) { h.MessageID = 1 }), func(c *Counters) uint64 { return c.DroppedUnknownSPI.Load() }, "spi"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, Limits{})
			b.loop(machine.Datagram{Local: us, Remote: them, Bytes: c.bytes})
			if b.Len() != 0 || len(b.fakes.made) != 0 || c.count(&b.counters) != 1 {
				t.Errorf("%d SAs, counted %d", b.Len(), c.count(&b.counters))
			}
			sent := b.flushed()
			if got := len(sent) == 1; got != (c.answer != "") || got && string(sent[0].Bytes) != c.answer {
				t.Errorf("answered %q, want %q", sent, c.answer)
			}
			b.now = b.now.Add(tallyPeriod)
			b.loop()
			if got := b.events(); !slices.Equal(got, []string{"protocol.parse_error"}) {
				t.Errorf("told %v", got)
			}
		})
	}
}

// packetOf returns a header as a whole message.
func packetOf(h wire.Header) []byte {
	h.Length = wire.HeaderLen
	return h.Append(nil)
}

// RFC7296-2.4-5: what unprotected messages trigger is limited.
func TestUnprotectedErrorsAreLimitedPerSource(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{SourceErrors: 10})
	d := machine.Datagram{Local: us, Remote: them, Bytes: packetOf(wire.Header{InitiatorSPI: 1, Major: 3})}
	for range 100 {
		b.loop(d)
	}
	if n := len(b.flushed()); n != 10*burstSeconds {
		t.Errorf("%d answers at once, want %d", n, 10*burstSeconds)
	}
	b.now = b.now.Add(time.Second)
	for range 100 {
		b.loop(d)
	}
	if n := len(b.flushed()); n != 10 {
		t.Errorf("%d answers a second later, want 10", n)
	}
	other := d
	other.Remote = sourceAddr(1)
	b.loop(other)
	if n := len(b.flushed()); n != 1 {
		t.Errorf("another source gets %d answers", n)
	}
}

func TestEventsOfAnSAAreNumberedWithoutHoles(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{})
	b.loop(first(them, 1, nil), first(them, 2, nil))
	for _, m := range b.fakes.made {
		b.loop(message(m.birth.SPI, "auth"))
	}
	b.now = b.now.Add(time.Second)
	if n := b.Command(b.now, Selector{All: true}, machine.Terminate{Reason: "test"}); n != 2 {
		t.Fatalf("terminated %d", n)
	}
	next := map[event.UID]uint64{}
	for _, r := range b.records {
		next[r.Subject.IKE]++
		if r.SASequence != next[r.Subject.IKE] || r.Time.IsZero() {
			t.Errorf("%s of %s has number %d, time %s", r.Event.Kind().Name, r.Subject.IKE, r.SASequence, r.Time)
		}
	}
	if len(next) != 2 || b.Len() != 0 {
		t.Errorf("events of %d SAs, %d left", len(next), b.Len())
	}
}

func TestTheLifeOfAnSAIsCounted(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{})
	check := func(when string, sas, halfOpen, established int64) {
		t.Helper()
		c := &b.counters
		if c.SAs.Load() != sas || c.HalfOpen.Load() != halfOpen || c.Established.Load() != established || int64(b.c.Gate.halfOpen) != halfOpen {
			t.Errorf("%s: %d SAs, %d half-open (gate %d), %d established; want %d, %d, %d", when, c.SAs.Load(), c.HalfOpen.Load(),
				b.c.Gate.halfOpen, c.Established.Load(), sas, halfOpen, established)
		}
	}
	b.loop(first(them, 1, nil), first(them, 2, nil), first(them, 3, nil))
	check("three first messages", 3, 3, 0)
	b.loop(message(b.fakes.made[0].birth.SPI, "auth"))
	check("one established", 3, 2, 1)
	b.loop(message(b.fakes.made[1].birth.SPI, "fail"))
	check("one failed, which lingers and keeps its place", 3, 2, 1)
	b.now = b.now.Add(fakeHalfOpen)
	b.loop()
	check("one timed out", 2, 1, 1)
	if n := b.Command(b.now, Selector{All: true}, machine.Terminate{}); n != 1 {
		t.Errorf("terminated %d, want the established one alone", n)
	}
	check("one deleted", 1, 1, 0)
	b.now = b.now.Add(time.Minute)
	b.loop()
	check("all gone", 0, 0, 0)
	if _, err := b.Initiate(b.now, "west", nil, us, them); err != nil {
		t.Fatal(err)
	}
	b.Command(b.now, Selector{All: true}, machine.Terminate{})
	check("one ended long before its deadline", 0, 0, 0)
	if len(b.inits) != 0 || len(b.timers.heap) != 0 {
		t.Errorf("%d entries in the index, %d timers left", len(b.inits), len(b.timers.heap))
	}
}

func TestACancelFollowsTheCallItIsFor(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{})
	b.loop(first(them, 1, nil))
	b.loop(message(b.fakes.made[0].birth.SPI, "cancel"))
	if want := []string{"submit 1", "submit 2", "cancel 2"}; !slices.Equal(b.order, want) {
		t.Errorf("order %v, want %v", b.order, want)
	}
}

func TestAnAnswerForAnSAThatHasEndedIsDroppedAndWiped(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{})
	secrets := [][]byte{[]byte("state"), []byte("shared"), []byte("shared")}
	for _, r := range []machine.Result{machine.KEInitiated{State: secrets[0]}, machine.KEResponded{Secret: secrets[1]}, machine.KEFinished{Secret: secrets[2]}} {
		b.Return(b.now, machine.Return{Owner: 99, Reply: machine.Reply{Ticket: 1, Result: r}})
	}
	for _, s := range secrets {
		if !bytes.Equal(s, make([]byte, len(s))) {
			t.Errorf("%q is not wiped", s)
		}
	}
	if b.counters.DroppedReplies.Load() != 3 {
		t.Error("not counted")
	}
}

func TestASpawnedSAIsAdopted(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{})
	b.loop(first(them, 1, nil))
	spi := b.fakes.made[0].birth.SPI
	b.loop(message(spi, "auth"), message(spi, "spawn"+string(binary.BigEndian.AppendUint64(nil, 0xabc))))
	if b.Len() != 2 || b.counters.Established.Load() != 2 {
		t.Fatalf("%d SAs, %d established", b.Len(), b.counters.Established.Load())
	}
	b.loop(message(0xabc, "auth"))
	if in := b.sas[0xabc].machine.(*fake).inputs; len(in) != 1 {
		t.Errorf("it got %v", in)
	}
}

func TestASpawnedSAOfAnotherShardGoesThere(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{})
	b.Shard.c.Count = 2
	var given machine.Owner
	b.Shard.c.Elsewhere = func(o machine.Owner, _ func(*Shard, time.Time)) { given = o }
	b.loop(first(them, 1, nil))
	spi := b.fakes.made[0].birth.SPI
	if spi%2 != 0 {
		t.Fatalf("shard 0 of 2 chose SPI %x", spi)
	}
	b.loop(message(spi, "spawn"+string(binary.BigEndian.AppendUint64(nil, 0xabd))))
	if given != 0xabd || b.Len() != 1 {
		t.Errorf("given %x, %d SAs here", given, b.Len())
	}
}

func TestSelectorsMatchByNameAndUID(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{})
	var uids []event.UID
	for _, conn := range []string{"west", "west", "north"} {
		uid, err := b.Initiate(b.now, conn, nil, us, them)
		if err != nil {
			t.Fatal(err)
		}
		uids = append(uids, uid)
	}
	for _, c := range []struct {
		sel  Selector
		want int
	}{
		{Selector{}, 0}, {Selector{All: true}, 3}, {Selector{Conn: "west"}, 2}, {Selector{Conn: "south"}, 0},
		{Selector{UID: uids[0]}, 1}, {Selector{UID: uids[0], Conn: "north"}, 0},
	} {
		if got := b.Command(b.now, c.sel, machine.Probe{}); got != c.want {
			t.Errorf("%+v matches %d, want %d", c.sel, got, c.want)
		}
	}
	if len(b.Infos()) != 3 {
		t.Error("Infos lacks some")
	}
}

func TestAShardThatRefusesMakesNoSAs(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{})
	b.loop(first(them, 1, nil))
	b.Refuse()
	b.loop(first(them, 2, nil), first(them, 1, nil))
	if _, err := b.Initiate(b.now, "west", nil, us, them); err != ErrStopping {
		t.Errorf("Initiate: %v", err)
	}
	if b.Len() != 1 || len(b.fakes.made[0].inputs) != 2 || b.counters.DroppedStopping.Load() != 1 {
		t.Errorf("%d SAs, the old one got %d inputs", b.Len(), len(b.fakes.made[0].inputs))
	}
}

func TestAnSAWhoseHeaderCannotBeMadeIsNotRecordedAndLives(t *testing.T) {
	t.Parallel()
	var reported []string
	rec, err := journal.NewRecorder(t.TempDir(), func(path string, err error) { reported = append(reported, path+": "+err.Error()) })
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	b := newBench(t, Limits{})
	b.Shard.c.Journal = rec
	if _, err := b.Initiate(b.now, "secretive", nil, us, them); err != nil {
		t.Fatal(err)
	}
	if len(reported) != 1 || !strings.Contains(reported[0], "is not recorded") || b.Len() != 1 {
		t.Errorf("reported %q, %d SAs", reported, b.Len())
	}
}

// The same calls give the same effects: a simulation depends on it.
func TestAShardIsDeterministic(t *testing.T) {
	t.Parallel()
	run := func() ([]machine.Send, []event.Record) {
		b := newBench(t, Limits{CookieThreshold: 30, SourceCookieThreshold: 3})
		for i := range 200 {
			b.now = b.now.Add(50 * time.Millisecond)
			b.loop(first(sourceAddr(i%20), uint64(i+1), nil), message(uint64(i), "auth"))
			for _, r := range b.requests {
				b.Return(b.now, answerTo(r))
			}
			b.requests = nil
		}
		return b.sent, b.records
	}
	sent1, records1 := run()
	sent2, records2 := run()
	same := slices.EqualFunc(sent1, sent2, func(a, b machine.Send) bool { return a.Remote == b.Remote && bytes.Equal(a.Bytes, b.Bytes) })
	if !same || !slices.Equal(records1, records2) || len(sent1) == 0 {
		t.Errorf("%d and %d datagrams, %d and %d events differ", len(sent1), len(sent2), len(records1), len(records2))
	}
}
