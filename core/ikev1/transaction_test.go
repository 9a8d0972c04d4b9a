package ikev1

import (
	"slices"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// inquiry is a transaction of an SA that two nodes have made.
type inquiry struct {
	*player
	from             *host
	answers, silence int
	cause            event.Cause
}

// ask1 has a1 begin a transaction of a kind; nothing is recorded, because it is no input.
func ask1(t *testing.T, kind wire1.ConfigKind) *inquiry {
	t.Helper()
	p := &player{newWorld(t)}
	p.bare = true
	p.makeNodes(nil)
	p.initiate("a", nil)
	p.run()
	q := &inquiry{player: p, from: p.sa("a1")}
	var fx machine.Effects
	q.from.now, q.from.fx = p.now, &fx
	q.from.transact(kind, q.from.transactionID(), []wire1.Attribute{{Type: wire1.InternalIP4DNS}},
		func([]wire1.Attribute) { q.answers++ }, func(f failure) { q.silence++; q.cause = f.cause })
	for _, e := range fx.List() {
		p.perform(q.from, e)
	}
	return q
}

func TestATransactionIsRepeatedUntilItIsAnswered(t *testing.T) {
	t.Parallel()
	for _, kind := range []wire1.ConfigKind{wire1.ConfigRequest, wire1.ConfigSet} {
		q := ask1(t, kind)
		q.flight = nil // the question is lost
		q.pass(time.Second, func() {})
		q.deliver(0)
		answer := q.flight[0]
		q.flight = nil // and so is the answer, which the peer repeats
		q.pass(2*time.Second, func() {})
		q.deliver(0)
		if !slices.Equal(q.flight[0].Bytes, answer.Bytes) {
			t.Errorf("%v: the answer to a repetition has other octets", kind)
		}
		q.run()
		q.arrive(answer) // again
		q.advance(time.Minute)
		if q.answers != 1 || q.silence != 0 || len(q.from.phase2) != 0 {
			t.Errorf("%v: %d answers, %d times silence, %d exchanges are left", kind, q.answers, q.silence, len(q.from.phase2))
		}
	}
}

func TestATransactionThatIsNotAnsweredIsGivenUp(t *testing.T) {
	t.Parallel()
	q := ask1(t, wire1.ConfigRequest)
	q.pass(time.Minute, func() { q.flight = nil })
	if q.answers != 0 || q.silence != 1 || q.cause != event.CauseTimeout || q.from.State() != Established {
		t.Errorf("%d answers, %d times silence for %q, and the SA is %v", q.answers, q.silence, q.cause, q.from.State())
	}
}

func TestAnAnswerOfAnotherKindIsNone(t *testing.T) {
	t.Parallel()
	q := ask1(t, wire1.ConfigRequest)
	x := q.from.phase2[len(q.from.phase2)-1]
	other := &exchange{kind: x.kind, id: x.id, iv: x.iv}
	b := q.sa("b1")
	q.arrive(datagram{from: b, Send: machine.Send{Local: b.local, Remote: b.remote,
		Bytes: b.seal(other, b.hashed(x.id, []wire1.Payload{wire1.Config{Kind: wire1.ConfigAck}}))}})
	if q.answers != 0 {
		t.Error("an ACK answered a REQUEST")
	}
	q.run()
	if q.answers != 1 {
		t.Error("after an answer of another kind the right one did not count")
	}
}

func TestAPeersTransactionsAreBounded(t *testing.T) {
	t.Parallel()
	p := &player{newWorld(t)}
	p.makeNodes(nil)
	p.initiate("a", nil)
	p.run()
	a, b := p.sa("a1"), p.sa("b1")
	for id := range uint32(maxAsked + 4) {
		p.transact(a, 0, []string{string(rune('1'+id/16)) + string("0123456789abcdef"[id%16]), "1"})
	}
	if b.answering() != maxAsked || len(p.flight) != maxAsked {
		t.Errorf("%d questions are kept and %d were answered, not %d", b.answering(), len(p.flight), maxAsked)
	}
	p.flight = nil
	p.advance(time.Minute)
	if b.answering() != 0 {
		t.Errorf("%d questions are kept for ever", b.answering())
	}
}
