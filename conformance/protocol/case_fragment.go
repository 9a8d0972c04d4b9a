package protocol

import (
	"slices"
	"strings"
	"time"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// small makes the daemon fragment what does not fit a datagram of 200 octets: its IKE_AUTH messages.
var small = Settings{Fragments: 200}

// Fragmentation (RFC 7383).
var fragmentCases = []Case{
	{IDs: ids("RFC7383-2.3-1"), Title: "Both roles announce IKEV2_FRAGMENTATION_SUPPORTED without protocol, SPI and data.", Run: announcesFragments},
	{IDs: ids("RFC7383-2.5-1", "RFC7383-2.5-2", "RFC7383-2.5-4", "RFC7383-2.6-1"), Title: "An IKE_AUTH request in fragments is put together, in whatever order they come, with some twice.", Run: fragmentsInAnyOrder},
	{IDs: ids("RFC7383-2.4-5"), Title: "A request in fragments is answered in fragments, or in one piece that is short; one in one piece, in one piece.", Run: answersInForm},
	{IDs: ids("RFC7383-2.4-1"), Title: "A daemon does not fragment for a peer that did not announce support, and takes no fragments from it.", Run: unannounced, Settings: small},
	{IDs: ids("RFC7383-2.5-1", "RFC7383-2.5-2", "RFC7383-2.5-3", "RFC7383-2.5-4", "RFC7383-2.5-5", "RFC7383-2.5-6", "RFC7383-2.5.1-1", "RFC7383-2.4-2", "RFC7383-2.4-3"),
		Title: "What the daemon sends in fragments, in both roles, has the numbers and types of RFC 7383 and fits the size.", Run: fragmentsOfDaemon, Settings: small},
	{IDs: ids("RFC7383-2.4-4"), Title: "A message that fits is not fragmented.", Run: wholeWhenShort},
	{IDs: ids("RFC7383-2.6-1", "RFC7383-2.5-4", "RFC7383-2.5-5"), Title: "Fragments with the number 0, of 0, and with a number above the total are discarded; the message comes together without them.", Run: oddNumbers},
	{IDs: ids("RFC7383-2.6-3"), Title: "A fragment with a wrong checksum is discarded, and the true one after it taken.", Run: forgedFragment},
	{IDs: ids("RFC7383-2.6-1", "RFC7383-2.6-4"), Title: "Fragments of a larger total replace those that came; those of a lower total are discarded.", Run: otherTotals},
	{IDs: ids("RFC7383-2.6-2", "RFC7383-2.6.1-1"), Title: "A fragment that comes again with other content does not replace the first.", Run: replacedFragment},
	{IDs: ids("RFC7383-2.6.1-2", "RFC7383-2.6.1-1"), Title: "Of a repeated request in fragments, the first fragment alone brings the response again.", Run: repeatedFragments},
	{IDs: ids("RFC7383-2.6-1"), Title: "A fragment in clear, or a message with both an Encrypted payload and fragments, is not obeyed.", Run: fragmentInClear},
	{IDs: ids("RFC7383-5-1", "RFC7383-5-2", "RFC7383-5-3"), Title: "More than 64 KiB of fragments that never come together are not kept; other peers are served.", Run: fragmentFlood},
	{IDs: ids("RFC7383-2.5.2-1", "RFC7383-2.5.2-2", "RFC7383-2.5.2-3", "RFC7383-2.5.2-6", "RFC7383-2.5.2-4"), Title: "A request in fragments that is not answered comes in smaller and more fragments in time, and goes on coming.", Run: smallerFragments,
		Settings: Settings{Fragments: 1200, Retransmit: hundred, Tries: 8}, Tune: longID},
	{IDs: ids("RFC7383-5-1", "RFC7383-5-2", "RFC7383-2.6-1"), Title: "Before IKE_AUTH, fragments that claim to be one of 257 to 65535 make no SA and harm no other.", Run: fragmentClaims},
	{IDs: ids("RFC7383-2.6-1", "RFC7383-2.6-4"), Title: "Of fragments whose total goes up and down only those of the largest count, and the message comes together.", Run: restlessTotals},
	{IDs: ids("RFC7383-2.6-1", "RFC7296-2.3-8"), Title: "Fragments of different exchanges under one message ID are not mixed, and those of message IDs that are not due not kept.", Run: mixedFragments},
	{IDs: ids("RFC7383-2.6-1"), Title: "A message in one piece is served in the midst of its fragments, and the rest of them does nothing.", Run: wholeAmongFragments},
	{IDs: ids("RFC7383-2.6-1", "RFC7296-2.21.3-1"), Title: "Two hundred fragments with nothing in them make an empty message, or none.", Run: emptyFragments},
}

// fragmenting announces that we fragment.
func fragmenting() peer.Payload { return peer.NotifyPayload(peer.FragmentationSupported) }

// beginFragments does IKE_SA_INIT as the initiator, with fragmentation.
func (t *T) beginFragments() *SA {
	sa := t.newSA(usual)
	m := sa.hello()
	m.Payloads = append(m.Payloads, fragmenting())
	answer := sa.greet(m)
	sa.agree(answer)
	if _, ok := answer.Notify(peer.FragmentationSupported); !ok {
		t.Fatalf("the daemon does not fragment: %v", answer)
	}
	return sa
}

// pieces is a request in fragments of at most size octets inside.
func (sa *SA) pieces(m peer.Message, size int) [][]byte {
	sa.t.note(">>", m)
	return sa.Fragment(m, size)
}

func (sa *SA) sendAll(all ...[]byte) {
	for _, b := range all {
		sa.t.send(sa.way, b)
	}
}

func announcesFragments(t *T) {
	check := func(m peer.Message) {
		n, ok := m.Notify(peer.FragmentationSupported)
		if !ok || n.Protocol != 0 || len(n.SPI) != 0 || len(n.Data) != 0 {
			t.Errorf("the notify is %+v (%v)", n, ok)
		}
	}
	sa := t.newSA(usual)
	m := sa.hello()
	m.Payloads = append(m.Payloads, fragmenting())
	check(sa.greet(m))
	t.order(Up)
	_, call := t.called()
	check(call)
}

func fragmentsInAnyOrder(t *T) {
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 1, 3, 0, 3, 2, 0}} {
		sa := t.beginFragments()
		m := sa.claim()
		inner, _ := m.Inner()
		all := sa.pieces(m, (len(inner)+3)/4)
		for _, i := range order {
			t.send(sa.way, all[i])
		}
		sa.admitted(sa.response(m))
		sa.inform()
		sa.inform(peer.DeletePayload(peer.ProtoIKE))
		t.forget()
	}
}

func answersInForm(t *T) {
	sa := t.beginFragments()
	m := sa.claim()
	sa.sendAll(sa.pieces(m, 100)...)
	sa.admitted(sa.response(m)) // which takes both forms
	whole := sa.Request(peer.Informational)
	sa.push(whole)
	d, ok := t.receive(patience, sa.ours)
	if !ok {
		t.Fatalf("no answer")
	}
	if _, sealed := sa.open(d); sealed.Fragment != 0 {
		t.Errorf("a request in one piece is answered by fragment %d of %d", sealed.Fragment, sealed.Total)
	}
}

func unannounced(t *T) {
	sa := t.begin()
	m := sa.claim()
	sa.push(m)
	d, ok := t.receive(patience, sa.ours)
	if !ok {
		t.Fatalf("no answer")
	}
	answer, sealed := sa.open(d)
	if sealed.Fragment != 0 {
		t.Fatalf("the daemon fragments, and we did not announce that we can")
	}
	sa.admitted(answer)
	del := sa.Request(peer.Informational, peer.DeletePayload(peer.ProtoIKE))
	sa.Own--
	sa.sendAll(sa.pieces(del, 100)...)
	sa.alive()
}

// fits demands of the fragments of one message what RFC 7383 section 2.5 wants, and their size; wait has checked the numbers.
func (t *T) fit(sa *SA, want func(peer.Message) bool) peer.Message {
	var parts []peer.Sealed
	var first peer.Message
	for {
		d, ok := t.receive(patience, func(d peer.Datagram) bool {
			h, err := peer.Header(d.Bytes)
			return err == nil && sa.ours(d) && want(h)
		})
		if !ok {
			t.Fatalf("%d fragments came", len(parts))
		}
		m, sealed := sa.open(d)
		headers := 20 + 8 // of IPv4 and UDP
		if d.Local.Addr().Is6() {
			headers = 40 + 8
		}
		if size := len(d.Bytes) + headers; sealed.Fragment == 0 || size > t.settings.Fragments {
			t.Fatalf("fragment %d of %d with a datagram of %d octets", sealed.Fragment, sealed.Total, size)
		}
		if len(parts) == 0 {
			first = m
		} else if m.ID != first.ID || m.Flags != first.Flags || m.Exchange != first.Exchange || m.Version != first.Version {
			t.Errorf("the header of fragment %d is another", sealed.Fragment)
		}
		if parts = append(parts, sealed); len(parts) == sealed.Total {
			m, err := peer.Reassemble(m, parts)
			t.must(err)
			t.form(m)
			return m
		}
	}
}

func fragmentsOfDaemon(t *T) {
	sa := t.beginFragments()
	m := sa.claim()
	sa.push(m)
	sa.admitted(t.fit(sa, func(h peer.Message) bool { return h.Response() && h.ID == m.ID }))
	sa.inform(peer.DeletePayload(peer.ProtoIKE))
	t.order(Up)
	sa, call := t.called()
	answer := sa.welcome(call)
	answer.Payloads = append(answer.Payloads, fragmenting())
	sa.accept(call, answer)
	auth := t.fit(sa, func(h peer.Message) bool { return h.Exchange == peer.IKEAuth })
	sa.proven(auth)
}

func wholeWhenShort(t *T) {
	sa := t.beginFragments()
	m := sa.claim()
	sa.push(m)
	d, ok := t.receive(patience, sa.ours)
	if !ok {
		t.Fatalf("no answer")
	}
	answer, sealed := sa.open(d)
	if sealed.Fragment != 0 {
		t.Fatalf("%d octets are fragment %d of %d", len(d.Bytes), sealed.Fragment, sealed.Total)
	}
	sa.admitted(answer)
}

// halves is our IKE_AUTH request as octets to be sent in two fragments.
func (sa *SA) halves() (m peer.Message, first uint8, a, b []byte) {
	m = sa.claim()
	inner, first := m.Inner()
	return m, first, inner[:len(inner)/2], inner[len(inner)/2:]
}

func oddNumbers(t *T) {
	sa := t.beginFragments()
	m, first, a, b := sa.halves()
	for _, n := range [][2]int{{0, 2}, {0, 0}, {1, 0}, {3, 2}, {65535, 2}} {
		t.send(sa.way, sa.SealFragment(m, n[0], n[1], 0, peer.Random(40), peer.Oddities{}))
	}
	t.quiet()
	t.send(sa.way, sa.SealFragment(m, 1, 2, first, a, peer.Oddities{}))
	t.send(sa.way, sa.SealFragment(m, 2, 2, 0, b, peer.Oddities{}))
	sa.admitted(sa.response(m))
}

func forgedFragment(t *T) {
	sa := t.beginFragments()
	m, first, a, b := sa.halves()
	t.send(sa.way, sa.SealFragment(m, 1, 2, first, peer.Random(len(a)), peer.Oddities{Forge: true}))
	t.send(sa.way, sa.SealFragment(m, 2, 2, 0, peer.Random(len(b)), peer.Oddities{Forge: true}))
	t.quiet()
	t.send(sa.way, sa.SealFragment(m, 1, 2, first, a, peer.Oddities{}))
	t.send(sa.way, sa.SealFragment(m, 2, 2, 0, b, peer.Oddities{}))
	sa.admitted(sa.response(m))
}

func otherTotals(t *T) {
	sa := t.beginFragments()
	m := sa.claim()
	inner, first := m.Inner()
	third := len(inner)/3 + 1
	t.send(sa.way, sa.SealFragment(m, 1, 2, first, peer.Random(40), peer.Oddities{})) // of a larger size, and given up
	t.send(sa.way, sa.SealFragment(m, 1, 3, first, inner[:third], peer.Oddities{}))
	t.send(sa.way, sa.SealFragment(m, 2, 2, 0, peer.Random(40), peer.Oddities{})) // too late
	t.send(sa.way, sa.SealFragment(m, 2, 3, 0, inner[third:2*third], peer.Oddities{}))
	t.quiet()
	t.send(sa.way, sa.SealFragment(m, 3, 3, 0, inner[2*third:], peer.Oddities{}))
	sa.admitted(sa.response(m))
}

func replacedFragment(t *T) {
	sa := t.beginFragments()
	m, first, a, b := sa.halves()
	t.send(sa.way, sa.SealFragment(m, 1, 2, first, a, peer.Oddities{}))
	t.send(sa.way, sa.SealFragment(m, 1, 2, first, peer.Random(len(a)), peer.Oddities{}))
	t.send(sa.way, sa.SealFragment(m, 2, 2, 0, b, peer.Oddities{}))
	sa.admitted(sa.response(m))
}

func repeatedFragments(t *T) {
	sa := t.beginFragments()
	m := sa.claim()
	all := sa.pieces(m, 100)
	sa.sendAll(all...)
	sa.admitted(sa.response(m))
	t.forget()
	sa.sendAll(all[1:]...)
	t.quiet()
	t.send(sa.way, all[0])
	sa.response(m)
	sa.alive()
}

func fragmentInClear(t *T) {
	sa := t.beginFragments()
	sa.admitted(sa.ask(sa.claim()))
	m := sa.Request(peer.Informational, peer.DeletePayload(peer.ProtoIKE))
	sa.Own--
	clear := m
	inner, _ := m.Inner()
	clear.Payloads = []peer.Payload{{Type: peer.TypeSKF, Body: slices.Concat([]byte{0, 1, 0, 1}, inner, make([]byte, 40))}}
	t.send(sa.way, clear.Encode())
	sa.alive()
}

func fragmentFlood(t *T) {
	sa := t.beginFragments()
	sa.admitted(sa.ask(sa.claim()))
	m := sa.Request(peer.Informational)
	for n := range 200 {
		t.must(sa.way.from.Send(sa.way.to, sa.SealFragment(m, n+2, 65535, 0, peer.Random(1000), peer.Oddities{})))
		if n%20 == 0 {
			pause(hundred / 10) // no socket's buffer is meant
		}
	}
	pause(silence)
	t.forget()
	other := t.up() // from the same address
	other.inform()
}

// longID makes the daemon's IKE_AUTH request long: it names the peer in it.
func longID(c *Connection) { c.PeerID = Identity{peer.IDKeyID, strings.Repeat("a-long-name-", 100)} }

func smallerFragments(t *T) {
	t.order(Up)
	sa, call := t.called()
	answer := sa.welcome(call)
	answer.Payloads = append(answer.Payloads, fragmenting())
	sa.accept(call, answer)
	first, before := 0, 0
	for end := time.Now().Add(patience); time.Now().Before(end); {
		d, ok := t.receive(patience, sa.ours)
		if !ok {
			break
		}
		_, sealed := sa.open(d)
		switch {
		case first == 0:
			first = sealed.Total
		case sealed.Total > first:
			before = sealed.Total
		case before > sealed.Total:
			t.Fatalf("fragments of %d come after such of %d", sealed.Total, before)
		}
		if before > 0 && sealed.Total == before && sealed.Fragment == before {
			return
		}
	}
	t.Errorf("the request came in %d fragments, and then in %d", first, before)
}

func fragmentClaims(t *T) {
	for _, total := range []int{65535, 40000, 257} {
		sa := t.beginFragments()
		m := sa.claim()
		inner, first := m.Inner()
		t.send(sa.way, sa.SealFragment(m, 1, total, first, inner, peer.Oddities{}))
		t.send(sa.way, sa.SealFragment(m, total, total, 0, peer.Random(400), peer.Oddities{}))
	}
	pause(silence)
	t.forget()
	t.counts(0, 0)
	t.up().alive()
}

func restlessTotals(t *T) {
	sa := t.beginFragments()
	m := sa.claim()
	inner, first := m.Inner()
	for _, total := range []int{2, 5, 3, 9, 2, 17, 16} {
		t.send(sa.way, sa.SealFragment(m, 1, total, first, peer.Random(60), peer.Oddities{}))
		t.send(sa.way, sa.SealFragment(m, 2, total, 0, peer.Random(60), peer.Oddities{})) // of 2: rubbish, were it taken
		if total == 2 {
			t.forget()
			sa = t.beginFragments() // the rubbish of two was a whole message, which may have ended the SA
			m = sa.claim()
			inner, first = m.Inner()
		}
	}
	const total = 20
	size := len(inner)/total + 1
	for i, part := range slices.Collect(slices.Chunk(inner, size)) {
		kind := uint8(0)
		if i == 0 {
			kind = first
		}
		t.send(sa.way, sa.SealFragment(m, i+1, (len(inner)+size-1)/size, kind, part, peer.Oddities{}))
	}
	sa.admitted(sa.response(m))
}

func mixedFragments(t *T) {
	sa := t.beginFragments()
	sa.admitted(sa.ask(sa.claim()))
	del := peer.DeletePayload(peer.ProtoIKE)
	m := sa.Request(peer.Informational, del, del)
	sa.Own--
	inner, first := m.Inner()
	other := m
	other.Exchange = peer.CreateChildSA
	t.send(sa.way, sa.SealFragment(m, 1, 2, first, inner[:8], peer.Oddities{}))
	t.send(sa.way, sa.SealFragment(other, 2, 2, 0, inner[8:], peer.Oddities{}))
	for i := range uint32(100) {
		far := m
		far.ID += 2 + i*1000
		t.send(sa.way, sa.SealFragment(far, 1, 2, first, peer.Random(1000), peer.Oddities{}))
		far.Flags |= peer.FlagResponse
		t.send(sa.way, sa.SealFragment(far, 1, 2, first, peer.Random(1000), peer.Oddities{}))
	}
	pause(silence)
	sa.alive()
	t.counts(1, 1)
}

func wholeAmongFragments(t *T) {
	sa := t.beginFragments()
	m, first, a, b := sa.halves()
	t.send(sa.way, sa.SealFragment(m, 1, 2, first, a, peer.Oddities{}))
	sa.push(m)
	sa.admitted(sa.response(m))
	t.send(sa.way, sa.SealFragment(m, 2, 2, 0, b, peer.Oddities{}))
	sa.alive()
	t.counts(1, 1)
}

func emptyFragments(t *T) {
	sa := t.beginFragments()
	sa.admitted(sa.ask(sa.claim()))
	m := sa.Request(peer.Informational)
	for n := range 200 {
		t.send(sa.way, sa.SealFragment(m, n+1, 200, 0, nil, peer.Oddities{}))
	}
	if d, ok := t.receive(silence, sa.ours); ok {
		if answer, _ := sa.open(d); len(answer.Payloads) > 0 {
			t.only(answer, peer.InvalidSyntax)
		}
	}
	t.forget()
	t.up().alive()
}
