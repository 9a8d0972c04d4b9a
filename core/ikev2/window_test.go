package ikev2

import (
	"bytes"
	"slices"
	"testing"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// windowed returns two nodes with an established SA and windows of those sizes.
func windowed(t *testing.T, a, b string) *player {
	t.Helper()
	p := &player{world: newWorld(t)}
	p.makeNodes([]string{"a.window=" + a, "b.window=" + b})
	p.initiate("a", nil)
	p.run()
	if p.sa("a1").State() != Established || p.sa("b1").State() != Established {
		t.Fatal("no SA")
	}
	return p
}

// ask seals an empty request.
func (p *player) empty(from *host, id uint32) []byte {
	p.t.Helper()
	b, err := from.tap.Seal(from.header(wire2.Informational, id, 0), nil, from.rand)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

// As many requests as were announced are taken, in whatever order; no other is (RFC7296-2.3-4).
func TestRequestsInTheWindowAreServedInAnyOrder(t *testing.T) {
	t.Parallel()
	p := windowed(t, "1", "4")
	a := p.sa("a1")
	for _, step := range []struct {
		id   uint32
		want int
	}{{6, 0}, {5, 1}, {3, 1}, {6, 0}, {4, 1}, {6, 0}, {2, 1}, {9, 1}, {10, 0}, {6, 1}, {10, 1}} {
		if n := p.give(a, p.empty(a, step.id)); n != step.want {
			t.Fatalf("request %d has %d answers, want %d", step.id, n, step.want)
		}
	}
}

// Without an announcement there is one request at a time (RFC7296-2.3-2), and IKE_AUTH does not change that before it is over
// (RFC 7296 section 2.3).
func TestTheWindowIsOneUnlessAnnounced(t *testing.T) {
	t.Parallel()
	p := windowed(t, "4", "1")
	a, b := p.sa("a1"), p.sa("b1")
	if n := p.give(a, p.empty(a, 3)); n != 0 {
		t.Error("a request ahead of its turn is answered")
	}
	if a.own.size > 1 || b.own.size != 4 || b.peer.width() != 1 || a.peer.width() != 4 {
		t.Errorf("a sends %d and takes %d, b sends %d and takes %d", a.own.size, a.peer.width(), b.own.size, b.peer.width())
	}
	early := &player{world: newWorld(t)}
	early.makeNodes([]string{"a.window=4", "b.window=4"})
	early.initiate("a", nil)
	for early.sa("a1").State() < AuthSent {
		_ = early.answerCalls() || early.deliverNext()
	}
	if n := early.give(early.sa("a1"), early.empty(early.sa("a1"), 2)); n != 0 || early.sa("b1").peer.width() != 1 {
		t.Error("a window is open before the SA is established")
	}
}

// As many responses are kept as the window is wide, and repeated bit for bit (RFC7296-2.3-7, RFC7296-2.1-7); one that the peer
// must have had is forgotten, and its request ignored (RFC 7296 section 2.1).
func TestResponsesInTheWindowAreKept(t *testing.T) {
	t.Parallel()
	p := windowed(t, "1", "3")
	a, b := p.sa("a1"), p.sa("b1")
	var requests [][]byte
	for id := uint32(2); id < 8; id++ {
		requests = append(requests, p.empty(a, id))
		p.give(a, requests[len(requests)-1])
	}
	for i, want := range []int{0, 0, 0, 1, 1, 1} {
		if n := p.give(a, requests[i]); n != want {
			t.Errorf("request %d has %d answers when it is repeated, want %d", i+2, n, want)
		}
	}
	if len(b.peer.seen) != 3 {
		t.Errorf("%d requests are remembered", len(b.peer.seen))
	}
}

// Of our requests as many are out as the peer takes, and request X waits for the responses up to X-N (RFC7296-2.3-4, -5); each is
// repeated bit for bit (RFC7296-2.3-6), which the world checks.
func TestOurRequestsStayInThePeersWindow(t *testing.T) {
	t.Parallel()
	p := windowed(t, "1", "3")
	a, b := p.sa("a1"), p.sa("b1")
	var answered []uint32
	for id := uint32(2); id < 8; id++ {
		a.now, a.fx = p.now, new(machine.Effects)
		a.request(request{exch: wire2.Informational, answered: func(r packet) { answered = append(answered, r.Header.MessageID) }})
	}
	p.meddled = true
	out := func() (ids []uint32) {
		for _, o := range a.own.out {
			ids = append(ids, o.id)
		}
		return ids
	}
	reply := func(id uint32) {
		bytes, _ := b.tap.Seal(b.header(wire2.Informational, id, wire.FlagResponse), nil, b.rand)
		p.give(b, bytes)
	}
	for _, step := range []struct {
		reply uint32
		out   []uint32
	}{{0, []uint32{2, 3, 4}}, {3, []uint32{2, 4}}, {4, []uint32{2}}, {4, []uint32{2}}, {2, []uint32{5, 6, 7}}, {7, []uint32{5, 6}}, {5, []uint32{6}}, {6, nil}} {
		if step.reply != 0 {
			reply(step.reply)
		}
		if !slices.Equal(out(), step.out) {
			t.Fatalf("after the response to %d the requests %v are out, want %v", step.reply, out(), step.out)
		}
	}
	if !slices.Equal(answered, []uint32{3, 4, 2, 7, 5, 6}) || !a.own.idle() {
		t.Errorf("answered: %v", answered)
	}
}

// What must be alone is: no request before it is unanswered.
func TestADeleteOfTheIKESAIsAlone(t *testing.T) {
	t.Parallel()
	p := windowed(t, "1", "3")
	a := p.sa("a1")
	p.step(a, machine.Probe{})
	p.step(a, machine.Terminate{Reason: "enough"})
	if len(a.own.out) != 1 || len(a.own.queue) != 1 {
		t.Fatalf("%d requests are out, %d wait", len(a.own.out), len(a.own.queue))
	}
	p.run()
	p.advance(a.limits.Linger)
	if a.State() != Closed || p.sa("b1").State() != Closed {
		t.Errorf("states %v and %v", a.State(), p.sa("b1").State())
	}
}

func TestNothingGoesTogetherWithWhatIsAlone(t *testing.T) {
	t.Parallel()
	p := windowed(t, "1", "3")
	a := p.sa("a1")
	a.now, a.fx, p.meddled = p.now, new(machine.Effects), true
	a.request(request{exch: wire2.Informational, alone: true})
	a.request(request{exch: wire2.Informational})
	if len(a.own.out) != 1 || len(a.own.queue) != 1 {
		t.Errorf("%d requests are out, %d wait", len(a.own.out), len(a.own.queue))
	}
}

// A window grows by a later announcement and never shrinks; what is no number of four octets does not count (RFC7296-2.3-1).
func TestAWindowOnlyGrows(t *testing.T) {
	t.Parallel()
	p := windowed(t, "1", "3")
	a, b := p.sa("a1"), p.sa("b1")
	for _, step := range []struct {
		data []byte
		want uint32
	}{{[]byte{0, 0, 0, 2}, 3}, {[]byte{0, 0, 0, 5}, 5}, {[]byte{9}, 5}, {[]byte{0, 0, 0, 7, 0}, 5}, {nil, 5}, {[]byte{0, 0, 0, 0}, 5}, {bytes.Repeat([]byte{255}, 4), 32}} {
		n := wire2.Notify{Kind: wire2.SetWindowSize, Data: step.data}
		m, _ := b.tap.Seal(b.header(wire2.Informational, uint32(a.peer.next), 0), []wire2.Payload{n}, b.rand)
		p.give(b, m)
		if a.own.size != step.want {
			t.Errorf("after %x the window is %d, want %d", step.data, a.own.size, step.want)
		}
	}
}

// An SA that begins without IKE_AUTH announces its window in an exchange of its own (RFC 7296 section 2.3).
func TestAWindowCanBeAnnouncedLater(t *testing.T) {
	t.Parallel()
	p := windowed(t, "4", "1")
	a, b := p.sa("a1"), p.sa("b1")
	a.peer.size, b.own.size, p.meddled = 0, 0, true
	a.now, a.fx = p.now, new(machine.Effects)
	a.announceWindow()
	for _, e := range a.fx.List() {
		p.perform(a, e)
	}
	p.run()
	if b.own.size != 4 || a.peer.width() != 4 || !a.own.idle() {
		t.Errorf("b sends %d, a takes %d", b.own.size, a.peer.width())
	}
}

// An SA that ends has forgotten the requests in its window.
func TestAWindowIsEmptyAtTheEnd(t *testing.T) {
	t.Parallel()
	p := windowed(t, "1", "4")
	a, b := p.sa("a1"), p.sa("b1")
	p.node("b").hold["KERespond"], p.node("b").hold["AllocateSPI"] = true, true
	ps := []wire2.Payload{p.payload("esp:00000909:aes128gcm16"), p.payload("nonce"), p.payload("tsi:10.1.0.0/16"), p.payload("tsr:10.2.0.0/16")}
	create, _ := a.tap.Seal(a.header(wire2.CreateChildSA, 2, 0), ps, a.rand)
	if n := p.give(a, create, p.empty(a, 3)); n != 0 || len(b.peer.waiting) != 1 {
		t.Fatalf("%d answers; %d requests wait", n, len(b.peer.waiting))
	}
	p.step(b, machine.Terminate{Reason: "enough"})
	p.advance(b.limits.DeleteWait + b.limits.Linger)
	if len(b.peer.waiting) != 0 || b.peer.work != nil || b.State() != Closed {
		t.Errorf("%d requests wait in state %v", len(b.peer.waiting), b.State())
	}
}
