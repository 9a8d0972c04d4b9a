package ikev1

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// fragmenting returns two nodes with an established SA; b1 is the responder.
func fragmenting(t *testing.T, words ...string) *player {
	t.Helper()
	p := &player{newWorld(t)}
	p.makeNodes(append([]string{"fragments=300"}, words...))
	p.initiate("a", nil)
	p.run()
	if p.sa("b1").State() != Established || !p.sa("b1").fragments() {
		t.Fatal("no SA that fragments")
	}
	p.trace = nil
	return p
}

// probing returns a dead peer detection message of an SA, which its peer answers.
func probing(from *host, id uint32) []byte {
	n := from.notify(wire1.RUThere)
	n.Data = []byte{0, 0, 0, byte(id)}
	x := &exchange{kind: wire1.Informational, id: id}
	x.iv = from.exchangeIV(id)
	return from.seal(x, from.hashed(id, []wire1.Payload{n, wire1.VendorID{Data: make([]byte, 300)}}))
}

// cut returns a message in fragments.
func cut(from *host, id uint16, message []byte, total int) (all [][]byte) {
	for i := range total {
		f := wire1.Fragment{ID: id, Number: uint8(i + 1), Last: i+1 == total, Data: message[i*len(message)/total : (i+1)*len(message)/total]}
		all = append(all, wire1.Message{Header: from.header(wire1.MainMode, 0), Payloads: []wire1.Payload{f}}.Append(nil))
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

// A fragment that contradicts those before it, by its octets, by the number of the last one, or by lying behind that, begins anew: what
// was forged is gone when the message is repeated.
func TestFragmentsThatContradictBeginAnew(t *testing.T) {
	t.Parallel()
	p := fragmenting(t)
	a := p.sa("a1")
	for i, forged := range []func(good [][]byte) []byte{
		func([][]byte) []byte { return cut(a, 7, bytes.Repeat([]byte{9}, 90), 3)[1] },
		func([][]byte) []byte { return cut(a, 7, bytes.Repeat([]byte{9}, 90), 2)[1] },
		func([][]byte) []byte { return cut(a, 7, bytes.Repeat([]byte{9}, 90), 9)[8] },
		func([][]byte) []byte { return cut(a, 7, bytes.Repeat([]byte{9}, 400), 200)[150] },
	} {
		good := cut(a, 7, probing(a, 100+uint32(i)), 3)
		if n := p.give(a, append([][]byte{forged(good)}, good...)...) + p.give(a, good...); n != 1 {
			t.Errorf("%d: %d answers", i, n)
		}
	}
}

// Fragments come in any order and more than once; the message counts once, and again when all have come again.
func TestFragmentsAreCountedOnce(t *testing.T) {
	t.Parallel()
	p := fragmenting(t)
	a := p.sa("a1")
	f := cut(a, 7, probing(a, 100), 3)
	for i, step := range []struct {
		give [][]byte
		want int
	}{{[][]byte{f[2], f[0], f[0], f[2]}, 0}, {[][]byte{f[1]}, 1}, {[][]byte{f[0], f[2]}, 0}, {[][]byte{f[1]}, 1}} {
		if n := p.give(a, step.give...); n != step.want {
			t.Errorf("%d: %d answers, want %d", i, n, step.want)
		}
	}
}

// Two messages whose fragments are mixed become whole both.
func TestFragmentsOfSeveralMessagesMayMix(t *testing.T) {
	t.Parallel()
	p := fragmenting(t)
	a := p.sa("a1")
	one, two := cut(a, 7, probing(a, 100), 2), cut(a, 8, probing(a, 101), 2)
	if n := p.give(a, one[0], two[1], one[1], two[0]); n != 2 {
		t.Errorf("%d answers", n)
	}
}

// What is inside has to be a message of the same SA, and no fragment again.
func TestFragmentsHoldMessagesOfTheirSAOnly(t *testing.T) {
	t.Parallel()
	p := fragmenting(t)
	a := p.sa("a1")
	other := probing(a, 100)
	other[0] ^= 1
	long := probing(a, 101)
	for name, message := range map[string][]byte{"another SA": other, "a fragment": cut(a, 9, probing(a, 102), 1)[0], "garbage": make([]byte, 20),
		"another length": append(long, 0)} {
		if n := p.give(a, cut(a, 7, message, 2)...); n != 0 {
			t.Errorf("%s: %d answers", name, n)
		}
	}
	if p.sa("b1").State() != Established {
		t.Error("the SA ended")
	}
}

// A fragment with the number 0, or with unknown flags, is no fragment.
func TestFragmentsAreNumberedFromOne(t *testing.T) {
	t.Parallel()
	p := fragmenting(t)
	a, b := p.sa("a1"), p.sa("b1")
	for at, value := range map[int]byte{wire.HeaderLen + 6: 0, wire.HeaderLen + 7: 2} {
		f := cut(a, 7, probing(a, 100), 1)[0]
		f[at] = value
		if n := p.give(a, f); n != 0 || len(b.partial) != 0 {
			t.Errorf("%d answers, %d messages begun", n, len(b.partial))
		}
	}
}

// What an SA keeps of fragments is bounded, in octets and in messages; a message that is too long costs itself only.
func TestFragmentsAreBounded(t *testing.T) {
	t.Parallel()
	p := fragmenting(t)
	a, b := p.sa("a1"), p.sa("b1")
	for id := range uint16(40) {
		p.give(a, cut(a, id, make([]byte, 60000), 200)[:150]...)
		if held := b.heldOctets(); held > maxFragmentOctets || len(b.partial) > maxAssemblies {
			t.Fatalf("%d octets of %d messages held", held, len(b.partial))
		}
	}
	p.give(a, cut(a, 50, make([]byte, 70000), 200)...)
	if b.State() != Established || !p.saw("protocol.fragment_error") || b.heldOctets() > maxFragmentOctets {
		t.Errorf("state %v, %d octets held", b.State(), b.heldOctets())
	}
}

// Before phase 1 is over less is kept.
func TestAStrangerMayKeepLess(t *testing.T) {
	t.Parallel()
	p := &player{newWorld(t)}
	p.makeNodes(nil)
	p.initiate("a", nil)
	p.deliver(0)
	p.deliver(0)
	a, b := p.sa("a1"), p.sa("b1")
	p.give(a, cut(a, 7, make([]byte, 60000), 200)[:199]...)
	if held := b.heldOctets(); b.State() != Answered || held > maxStrangerOctets {
		t.Errorf("state %v, %d octets held", b.State(), held)
	}
	b.terminate(machine.Terminate{})
	if len(b.partial) != 0 {
		t.Error("what is closed keeps fragments")
	}
}

// What does not become whole is forgotten in the time in which messages are repeated, and the SA goes on.
func TestIncompleteFragmentsAreForgotten(t *testing.T) {
	t.Parallel()
	p := fragmenting(t)
	a, b := p.sa("a1"), p.sa("b1")
	f := cut(a, 7, probing(a, 100), 3)
	p.give(a, f[:2]...)
	p.advance(b.conn.Retransmit.Total() - time.Millisecond)
	if len(b.partial) != 1 {
		t.Fatal("the fragments are gone too early")
	}
	p.advance(time.Millisecond)
	if len(b.partial) != 0 || b.State() != Established || !p.saw("received=2") {
		t.Errorf("%d messages begun in state %v", len(b.partial), b.State())
	}
	if n := p.give(a, f[2]) + p.give(a, f[:2]...); n != 1 {
		t.Errorf("%d answers to all of them", n)
	}
	p.advance(b.limits.Linger)
	if len(b.partial) != 0 {
		t.Error("a message that was whole is kept for ever")
	}
}

// Who did not announce fragments takes none, and no fragment begins an SA.
func TestFragmentsAreNotTakenUnasked(t *testing.T) {
	t.Parallel()
	p := &player{newWorld(t)}
	p.makeNodes([]string{"b.fragments=0"})
	p.initiate("a", nil)
	first := p.flight[0].Bytes
	p.run()
	a, b := p.sa("a1"), p.sa("b1")
	if n := p.give(a, cut(a, 7, probing(a, 100), 2)...); n != 0 || len(b.partial) != 0 {
		t.Errorf("%d answers, %d messages begun", n, len(b.partial))
	}
	h, _ := wire.ParseHeader(first)
	f := wire1.Message{Header: h, Payloads: []wire1.Payload{wire1.Fragment{ID: 1, Number: 1, Last: true, Data: first}}}.Append(nil)
	if _, err := InspectFirst(f); err == nil {
		t.Error("a fragment begins an SA")
	}
}

// A datagram is never larger than the connection wants it, with IPv6 neither, and a message that fits stays whole.
func TestFragmentsHaveTheSizeOfTheConfiguration(t *testing.T) {
	t.Parallel()
	p := fragmenting(t)
	s := p.sa("a1").SA
	for addr, front := range map[string]int{"192.0.2.2:500": 32, "[2001:db8::2]:500": 52} {
		s.remote = netip.MustParseAddrPort(addr)
		for _, size := range []int{300 - front, 301 - front, 5000, 40000} {
			b := s.header(wire1.QuickMode, 1)
			list := s.datagrams(wire1.Message{Header: b, Payloads: []wire1.Payload{wire1.VendorID{Data: make([]byte, size-wire.HeaderLen-4)}}}.Append(nil))
			for _, d := range list {
				if len(d)+front > 300 {
					t.Errorf("%s: a datagram of %d octets", addr, len(d)+front)
				}
			}
			if want := size > 300-front; len(list) > 1 != want {
				t.Errorf("%s: %d octets go in %d datagrams", addr, size, len(list))
			}
		}
	}
}
