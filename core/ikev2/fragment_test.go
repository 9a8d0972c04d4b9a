package ikev2

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// fragmentOf returns the SKF payload of a message.
func fragmentOf(b []byte) (wire2.SKF, bool) {
	m, err := wire2.Parse(b)
	if err != nil {
		return wire2.SKF{}, false
	}
	return wire2.Get[wire2.SKF](m.Payloads)
}

// renderFragment shows a fragment, and with the last one what the message says.
func renderFragment(h *host, b []byte, f wire2.SKF) string {
	head, _ := wire.ParseHeader(b)
	kind := "request"
	if head.Flags&wire.FlagResponse != 0 {
		kind = "response"
	}
	text := fmt.Sprintf("%s %d %s SKF{%d of %d, %d octets}", wire2.ExchangeName(head.Exchange), head.MessageID, kind, f.Number, f.Total, len(b))
	if f.Number == 1 {
		h.inner, h.innerFirst = nil, f.First
	}
	opened, err := h.tap.OpenFragment(b)
	if err != nil {
		return text + " " + err.Error()
	}
	if h.inner = append(h.inner, opened.Body...); f.Number < f.Total {
		return text
	}
	ps, err := wire2.ParsePayloads(h.innerFirst, h.inner)
	if err != nil {
		return text + " " + err.Error()
	}
	return text + ": " + renderPayloads(ps)
}

// checkFragment holds every fragment that an SA sends against the rules on its form: RFC7383-2.4-1, RFC7383-2.5-1 to -5,
// RFC7383-2.5.1-1. That the header is intact (RFC7383-2.5-6) shows in headerFaults, the numbers in OpenFragment.
func (w *world) checkFragment(h *host, e machine.Send, f wire2.SKF) {
	w.t.Helper()
	head, _ := wire.ParseHeader(e.Bytes)
	faults := headerFaults(head, h.initiator)
	if _, err := h.tap.OpenFragment(e.Bytes); err != nil {
		faults = append(faults, err.Error())
	}
	if (f.Number == 1) == (f.First == wire2.TypeNone) && f.Total > 1 {
		faults = append(faults, "fragment 1, and no other, names the first payload")
	}
	if !h.fragments.on || head.Exchange == wire2.IKESAInit {
		faults = append(faults, "it may not be a fragment")
	}
	if size := datagramSize(machine.Datagram{Remote: e.Remote, Bytes: e.Bytes}); size > h.fragments.size && size > h.conn.FragmentSize {
		faults = append(faults, fmt.Sprintf("a datagram of %d octets, though %d are the most", size, h.fragments.size))
	}
	for _, text := range faults {
		w.t.Errorf("%s sends fragment %d of %d of %s %d: %s", h.label, f.Number, f.Total, wire2.ExchangeName(head.Exchange), head.MessageID, text)
	}
}

// fragmenting returns two nodes that fragment, with an established SA; b1 is the responder.
func fragmenting(t *testing.T) *player {
	t.Helper()
	p := &player{world: newWorld(t)}
	p.makeNodes([]string{"a.fragments=300", "b.fragments=300"})
	p.initiate("a", nil)
	p.run()
	if p.sa("b1").State() != Established || !p.sa("b1").fragments.on {
		t.Fatal("no SA that fragments")
	}
	p.trace = nil
	return p
}

// inform is an INFORMATIONAL request that an SA would not send: a large one.
func inform(from *host, id uint32) (wire.Header, []wire2.Payload) {
	h := from.header(wire2.Informational, id, 0)
	return h, []wire2.Payload{wire2.Unknown{Number: 200, Body: make([]byte, 600)}}
}

// cut returns a message in a number of fragments of its own making.
func (p *player) cut(from *host, h wire.Header, ps []wire2.Payload, total int) (all [][]byte) {
	p.t.Helper()
	inner := wire2.AppendPayloads(nil, ps)
	for i := range total {
		piece := inner[i*len(inner)/total : (i+1)*len(inner)/total]
		b, err := from.tap.SealFragment(h, wire2.FirstType(ps), uint16(i+1), uint16(total), piece, from.rand)
		if err != nil {
			p.t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// give lets the other side receive datagrams, and returns how many it sends in answer.
func (p *player) give(from *host, datagrams ...[]byte) int {
	p.t.Helper()
	before := len(p.flight)
	for _, b := range datagrams {
		p.arrive(datagram{from: from, Send: machine.Send{Local: from.local, Remote: from.remote, Bytes: b}})
	}
	return len(p.flight) - before
}

func (p *player) saw(text string) bool {
	return slices.ContainsFunc(p.trace, func(l string) bool { return strings.Contains(l, text) })
}

// A larger total begins anew (RFC7383-2.6-4); a smaller one, a fragment that is there and one of another exchange are dropped
// (RFC7383-2.6-1, -2); nothing is mixed (RFC7383-2.5.2-6).
func TestFragmentsOfTwoSetsAreNotMixed(t *testing.T) {
	t.Parallel()
	p := fragmenting(t)
	a, b := p.sa("a1"), p.sa("b1")
	h, ps := inform(a, 2)
	two, three := p.cut(a, h, ps, 2), p.cut(a, h, ps, 3)
	other := h
	other.Exchange = wire2.CreateChildSA
	if n := p.give(a, two[0], three[2], two[1], three[1], three[1], p.cut(a, other, ps, 3)[0]); n != 0 || len(b.partial) != 1 || len(b.partial[0].pieces) != 2 {
		t.Fatalf("%d answers, and %d messages begun", n, len(b.partial))
	}
	if n := p.give(a, three[0]); n == 0 || b.peer.next != 3 || len(b.partial) != 0 || b.State() != Established {
		t.Errorf("%d answers; next is %d, the state %v", n, b.peer.next, b.State())
	}
}

// A request that was answered is repeated as other fragments: the first of them gets the response, no other does
// (RFC7383-2.6.1-1, -2).
func TestARepetitionInOtherFragmentsGetsTheResponse(t *testing.T) {
	t.Parallel()
	p := fragmenting(t)
	a := p.sa("a1")
	h, ps := inform(a, 2)
	two, three := p.cut(a, h, ps, 2), p.cut(a, h, ps, 3)
	if n := p.give(a, two...); n != 1 {
		t.Fatalf("%d answers", n)
	}
	for i, want := range []int{1, 0, 0} {
		if n := p.give(a, three[i]); n != want {
			t.Errorf("fragment %d gets %d datagrams, want %d", i+1, n, want)
		}
	}
	bad := slices.Clone(p.cut(a, h, ps, 4)[0])
	bad[len(bad)-1] ^= 1
	if n := p.give(a, bad); n != 0 {
		t.Error("a forged repetition is answered")
	}
}

// A whole message takes the place of the fragments that came before it.
func TestAWholeMessageEndsItsFragments(t *testing.T) {
	t.Parallel()
	p := fragmenting(t)
	a, b := p.sa("a1"), p.sa("b1")
	h, ps := inform(a, 2)
	whole, err := a.tap.Seal(h, ps, a.rand)
	if err != nil {
		t.Fatal(err)
	}
	if n := p.give(a, p.cut(a, h, ps, 3)[0], whole); n != 1 || len(b.partial) != 0 {
		t.Errorf("%d answers, %d messages begun", n, len(b.partial))
	}
}

// Without an agreement no fragment is taken (RFC7383-2.4-1).
func TestFragmentsAreNotTakenUnlessAgreed(t *testing.T) {
	t.Parallel()
	p := &player{world: newWorld(t)}
	p.makeNodes([]string{"a.fragments=300"})
	p.initiate("a", nil)
	p.run()
	a, b := p.sa("a1"), p.sa("b1")
	h, ps := inform(a, 2)
	if n := p.give(a, p.cut(a, h, ps, 3)...); n != 0 || len(b.partial) != 0 || b.peer.next != 2 {
		t.Errorf("%d answers, %d messages begun", n, len(b.partial))
	}
}

// What does not become complete is dropped after the time in which an initiator gives up, and the SA lives on; all fragments
// together are then served (RFC7383-2.6-5, -6).
func TestIncompleteFragmentsAreDropped(t *testing.T) {
	t.Parallel()
	p := fragmenting(t)
	a, b := p.sa("a1"), p.sa("b1")
	h, ps := inform(a, 2)
	three := p.cut(a, h, ps, 3)
	p.give(a, three[:2]...)
	p.advance(b.conn.Retransmit.Total() - time.Millisecond)
	if len(b.partial) != 1 {
		t.Fatal("the fragments are gone too early")
	}
	p.advance(time.Millisecond)
	if len(b.partial) != 0 || b.State() != Established || !p.saw("protocol.fragment_error") || !b.Deadline().IsZero() {
		t.Errorf("%d messages begun in state %v", len(b.partial), b.State())
	}
	if n := p.give(a, three[2]); n != 0 {
		t.Error("a message of fragments that were dropped is served")
	}
	if n := p.give(a, three[:2]...); n == 0 {
		t.Error("the whole message is not served")
	}
}

// Fragments are bounded in number and octets; a message beyond ends the SA (RFC7383-5-1, -2, -3).
func TestTooManyFragmentsEndTheSA(t *testing.T) {
	t.Parallel()
	h, ps := wire.Header{}, []wire2.Payload{wire2.Unknown{Number: 200, Body: make([]byte, wire2.MaxMessage-8)}}
	many := func(p *player, a *host) [][]byte { return p.cut(a, h, ps, maxFragments+1)[:1] }
	large := func(p *player, a *host) [][]byte {
		return append(p.cut(a, h, ps, 100)[:99], p.cut(a, h, ps, 90)[0], p.cut(a, h, append(ps, ps[0]), 100)[99])
	}
	for name, make := range map[string]func(*player, *host) [][]byte{"number": many, "octets": large} {
		p := fragmenting(t)
		a, b := p.sa("a1"), p.sa("b1")
		h = a.header(wire2.Informational, 2, 0)
		p.give(a, make(p, a)...)
		if b.State() != Deleting || len(b.partial) != 0 || !p.saw("protocol.fragment_error") {
			t.Errorf("%s: state %v, %d messages begun", name, b.State(), len(b.partial))
		}
	}
}

// Before the peer is authenticated less is kept for it.
func TestAStrangerMayKeepLess(t *testing.T) {
	t.Parallel()
	p := &player{world: newWorld(t)}
	p.makeNodes([]string{"a.fragments=300", "b.fragments=300"})
	p.initiate("a", nil)
	for p.sa("a1").State() < AuthSent {
		_ = p.answerCalls() || p.deliverNext()
	}
	a, b := p.sa("a1"), p.sa("b1")
	h, ps := inform(a, 1)
	h.Exchange = wire2.IKEAuth
	ps[0] = wire2.Unknown{Number: 200, Body: make([]byte, 2*maxStrangerOctets-8)}
	all := p.cut(a, h, ps, 100)
	p.give(a, all[:49]...)
	if held := b.partial[0].octets; b.State() != HalfOpen || held > maxStrangerOctets {
		t.Fatalf("state %v, %d octets held", b.State(), held)
	}
	p.give(a, all[49:51]...)
	if b.State() < Closing {
		t.Errorf("state %v", b.State())
	}
}

// A response in fragments that is too large ends the SA at the initiator, too, and the peer is told.
func TestATooLargeResponseEndsTheSA(t *testing.T) {
	t.Parallel()
	p := fragmenting(t)
	a, b := p.sa("a1"), p.sa("b1")
	p.step(a, machine.Probe{})
	h := b.header(wire2.Informational, 2, wire.FlagResponse)
	p.give(b, p.cut(b, h, []wire2.Payload{wire2.Unknown{Number: 200, Body: make([]byte, 60000)}}, maxFragments+1)[0])
	if a.State() != Deleting {
		t.Errorf("state %v", a.State())
	}
}

// What fragments say when they are together is judged as that of a whole message: malformed, it is fatal (RFC 7296 section
// 2.21.3).
func TestAMalformedMessageInFragmentsIsMalformed(t *testing.T) {
	t.Parallel()
	p := fragmenting(t)
	a, b := p.sa("a1"), p.sa("b1")
	ps := []wire2.Payload{wire2.Unknown{Number: wire2.TypeDelete, Body: []byte{3}}}
	p.give(a, p.cut(a, a.header(wire2.Informational, 2, 0), ps, 3)...)
	if b.State() != Closing || !p.saw("INVALID_SYNTAX") {
		t.Errorf("state %v: %v", b.State(), p.trace)
	}
}

// Messages that are assembled at the same time share one limit: what has no room is dropped, and the SA lives.
func TestMessagesInPiecesShareTheLimit(t *testing.T) {
	t.Parallel()
	p := fragmenting(t)
	a, b := p.sa("a1"), p.sa("b1")
	b.peer.size, p.meddled = 4, true
	for id := range uint32(4) {
		h, ps := inform(a, 2+id)
		ps[0] = wire2.Unknown{Number: 200, Body: make([]byte, 30000)}
		p.give(a, p.cut(a, h, ps, 30)[1:]...)
	}
	held := 0
	for _, m := range b.partial {
		held += m.octets
	}
	if held > maxFragmentOctets || b.State() != Established || len(b.partial) != 3 {
		t.Errorf("%d octets of %d messages held in state %v", held, len(b.partial), b.State())
	}
}

// IPv6 headers are longer: with the same size there is less in each fragment (RFC7383-2.5.1-3).
func TestDatagramsCountTheirHeaders(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]int{"192.0.2.1": 1280 - 32, "2001:db8::1": 1280 - 52, "::ffff:192.0.2.1": 1280 - 32} {
		s := &SA{remote: netip.AddrPortFrom(netip.MustParseAddr(addr), 500)}
		if got := s.limit(1280); got != want {
			t.Errorf("%s: an IKE message has %d octets, want %d", addr, got, want)
		}
	}
	v4, v6 := &SA{remote: netip.MustParseAddrPort("192.0.2.1:500")}, &SA{remote: netip.MustParseAddrPort("[2001:db8::1]:500")}
	if v4.smallest() != 576 || v6.smallest() != 1280 { // RFC7383-2.5.1-3, -4
		t.Error("the smallest sizes are not those of RFC 7383")
	}
}

// A response that is cut anew has more fragments than before (RFC7383-2.5.2-6), even where the new size is not much smaller; one
// that fits is the same, bit for bit, which the world checks.
func TestAResponseIsCutAnewIntoMoreFragments(t *testing.T) {
	t.Parallel()
	p := &player{world: newWorld(t)}
	nets := "10.2.1.0/24,10.2.3.0/24,10.2.5.0/24,10.2.7.0/24,10.2.9.0/24,10.2.11.0/24"
	p.makeNodes([]string{"a.fragments=260", "b.fragments=260", "a.remote-ts=" + nets})
	p.initiate("a", nil)
	for len(p.nodes[1].sas) == 0 || p.sa("b1").State() < Established {
		_ = p.answerCalls() || p.deliverNext()
	}
	a, b := p.sa("a1"), p.sa("b1")
	h, ps := a.header(wire2.IKEAuth, 1, 0), []wire2.Payload{wire2.Unknown{Number: 200, Body: make([]byte, 400)}}
	for _, c := range []struct{ total, octets, want int }{{3, 240, 3}, {4, 200, 3}} {
		probe := p.cut(a, h, ps, c.total)[0]
		if size := datagramSize(machine.Datagram{Remote: b.local, Bytes: probe}); size > c.octets || size < c.octets-40 {
			t.Fatalf("the probe has %d octets", size)
		}
		if n := p.give(a, probe); n != c.want {
			t.Errorf("%d datagrams in answer to %d octets, want %d", n, c.octets, c.want)
		}
	}
}

// The size that was found to arrive stays for what comes later (RFC7383-2.4-3).
func TestTheSizeThatArrivesStays(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/fragments_probe.txt")
	if err != nil {
		t.Fatal(err)
	}
	p := &player{world: newWorld(t)}
	p.play(string(b))
	for _, name := range []string{"a1", "b1"} {
		if got := p.sa(name).fragments.size; got != safeSize4 {
			t.Errorf("%s sends datagrams of %d octets", name, got)
		}
	}
}
