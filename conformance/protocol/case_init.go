package protocol

import (
	"encoding/binary"
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// IKE_SA_INIT with the daemon as the responder: the suite, the key exchange, nonces (RFC 7296 sections 1.2, 2.7, 2.10, 3.3,
// 3.4, 3.9).
var initCases = []Case{
	{IDs: ids("RFC7296-4-3", "RFC7296-2.13-2", "RFC7296-2.14-1", "RFC7296-2.15-2"),
		Title: "Four messages make an IKE SA and a child SA, with the keys that RFC 7296 derives.", Run: fourMessages},
	{IDs: ids("RFC7296-4-3", "RFC7296-3.4-1"), Title: "So they do with AES-GCM, P-256 and MODP-2048.", Run: otherSuites},
	{IDs: ids("RFC7296-2.7-1", "RFC7296-2.7-2", "RFC7296-2.7-4", "RFC7296-3.3.6-1", "RFC7296-3.3.6-2", "RFC7296-3.3.6-3", "RFC7296-2.13-1"),
		Title: "Of many transforms the answer has one of each type, as they were offered.", Run: oneOfEach},
	{IDs: ids("RFC7296-3.3.1-2", "RFC7296-3.3.6-5", "RFC7296-3.3.6-6", "RFC7296-3.3.4-3"),
		Title: "Proposals with unknown transform types, algorithms or attributes are passed over; the answer has the number of the one that was taken.", Run: passesOver},
	{IDs: ids("RFC7296-3.3.6-6"), Title: "A transform with an unknown attribute is passed over in favour of the next of its type.", Run: unknownAttribute},
	{IDs: ids("RFC7296-2.7-3", "RFC7296-3.3.4-4"), Title: "An offer of nothing acceptable gets NO_PROPOSAL_CHOSEN, and no SA.", Run: noProposal},
	{IDs: ids("RFC7296-3.3.5-5"), Title: "AES without a Key Length is not accepted.", Run: noKeyLength},
	{IDs: ids("RFC7296-3.3.5-6"), Title: "AES with the longer of two keys is accepted.", Run: longerKey},
	{IDs: ids("RFC7296-5-2", "RFC7296-3.14-2"), Title: "An IKE SA with ENCR_NULL, with integrity NONE or without integrity is not accepted.", Run: noProtection},
	{IDs: ids("RFC7296-3.3.6-5"), Title: "An IKE proposal without PRF or without key exchange is not accepted.", Run: lacksMandatory},
	{IDs: ids("RFC7296-3.3-4", "RFC7296-3.3-5"), Title: "AES-GCM is accepted with integrity NONE as well as without, and not with HMAC.", Run: combinedIntegrity},
	{IDs: ids("RFC7296-3.3-2"), Title: "SA payloads whose lengths and counts disagree make no SA.", Run: lyingSA},
	{IDs: ids("RFC7296-3.3-6"), Title: "A transform with two Key Lengths is not accepted.", Run: twoKeyLengths},
	{IDs: ids("RFC7296-3.4-5", "RFC7296-1.3-3"), Title: "A KE of another group than the one to use gets INVALID_KE_PAYLOAD with a group that was offered.", Run: otherGroup},
	{IDs: ids("RFC7296-3.4-1", "RFC6989-2.1"), Title: "MODP values of a wrong length, and 0, 1 and p-1, make no SA.", Run: badMODP},
	{IDs: ids("RFC6989-2.3", "RFC7748-6.1"), Title: "Values of X25519 and P-256 that are no points, or of small order, make no SA.", Run: badPoints},
	{IDs: ids("RFC7296-2.10-1", "RFC7296-3.9-2", "RFC7296-2.6-1"), Title: "Nonces of the daemon are 16 octets at least, and none comes twice; nor do its SPIs.", Run: freshNonces},
	{IDs: ids("RFC7296-3.9-1"), Title: "Nonces of 16 and 256 octets are accepted.", Run: goodNonces},
	{IDs: ids("RFC7296-3.9-1"), Title: "Nonces of 0, 15 and 257 octets make no SA.", Run: badNonces},
	{IDs: ids("RFC7296-3.12-1", "RFC7296-3.12-2", "RFC7296-3.10.1-2"), Title: "Unknown vendor IDs, statuses and errors in an IKE_SA_INIT request are ignored.", Run: noise},
	{IDs: ids("RFC7296-2.21.2-2", "RFC7296-2.7-3"), Title: "IKE_SA_INIT without SA, KE or nonce, or with two of one, makes no SA.", Run: incompleteInit},
	{IDs: ids("RFC7296-2.11-1", "RFC7296-2.11-2", "RFC7296-2.11-3", "RFC7296-2.23-1"),
		Title: "From whatever port a request comes, the response goes back there, from the port that was asked.", Run: anyPort},
	{IDs: ids("RFC7296-2.1-2", "RFC7296-2.1-1"), Title: "A repeated IKE_SA_INIT request gets the same octets.", Run: repeatedInit},
	{IDs: ids("RFC7296-2.6-1"), Title: "IKE_SA_INIT requests that differ in the nonce alone make two SAs.", Run: sameSPITwice},
	{IDs: ids("RFC7296-2.23-6"), Title: "The IKE_SA_INIT response has both NAT detection notifies, and they are right.", Run: natdOfResponder},
}

func fourMessages(t *T) {
	sa := t.up()
	t.counts(1, 1)
	sa.alive()
}

func otherSuites(t *T) {
	for _, s := range []peer.Suite{{AEAD: true, Method: peer.X25519}, {Method: peer.P256}, {AEAD: true, Method: peer.MODP2048}} {
		sa := t.newSA(s)
		sa.agree(sa.greet(sa.hello()))
		sa.admitted(sa.ask(sa.claim()))
		sa.alive()
		sa.inform(peer.DeletePayload(peer.ProtoIKE))
	}
}

// offering is our first message with other proposals.
func (sa *SA) offering(ps ...peer.Proposal) peer.Message {
	m := sa.hello()
	m.Payloads[0] = peer.SAPayload(ps...)
	return m
}

// with returns a proposal with more transforms, those first.
func with(p peer.Proposal, ts ...peer.Transform) peer.Proposal {
	p.Transforms = slices.Concat(ts, p.Transforms)
	return p
}

// without returns a proposal without the transforms of a type.
func without(p peer.Proposal, kind uint8) peer.Proposal {
	p.Transforms = slices.DeleteFunc(slices.Clone(p.Transforms), func(t peer.Transform) bool { return t.Type == kind })
	return p
}

func oneOfEach(t *T) {
	sa := t.newSA(usual)
	offer := with(sa.Suite.Proposal(1), peer.Transform{Type: peer.ENCR, ID: 12, KeyBits: 128}, peer.Transform{Type: peer.INTEG, ID: 13},
		peer.Transform{Type: peer.PRF, ID: 6}, peer.Transform{Type: peer.KE, ID: peer.MODP2048}, peer.Transform{Type: peer.KE, ID: peer.P256})
	answer := sa.greet(sa.offering(offer))
	t.kinds(answer, peer.TypeSA, peer.TypeKE, peer.TypeNonce)
	chosen, err := peer.ParseSA(answer.Body(peer.TypeSA))
	t.must(err)
	if len(chosen) != 1 || chosen[0].Number != 1 || chosen[0].Protocol != peer.ProtoIKE || len(chosen[0].Transforms) != 4 {
		t.Fatalf("the answer has %+v", chosen)
	}
	for _, kind := range []uint8{peer.ENCR, peer.PRF, peer.INTEG, peer.KE} {
		if got := chosen[0].Of(kind); len(got) != 1 || !offer.Has(got[0]) {
			t.Errorf("of type %d the answer has %+v", kind, got)
		}
	}
}

func passesOver(t *T) {
	sa := t.newSA(usual)
	strange := []peer.Proposal{
		with(sa.Suite.Proposal(1), peer.Transform{Type: 241, ID: 1}),
		with(without(sa.Suite.Proposal(2), peer.ENCR), peer.Transform{Type: peer.ENCR, ID: 1024, KeyBits: 256}),
		with(without(sa.Suite.Proposal(3), peer.ENCR), peer.Transform{Type: peer.ENCR, ID: 12, Attrs: []byte{0x80, 14, 1, 0, 0x80, 99, 0, 1}}),
	}
	answer := sa.greet(sa.offering(append(strange, sa.Suite.Proposal(4))...))
	sa.agree(answer)
	if chosen, _ := peer.ParseSA(answer.Body(peer.TypeSA)); chosen[0].Number != 4 {
		t.Errorf("the answer has proposal %d, want 4", chosen[0].Number)
	}
	sa.admitted(sa.ask(sa.claim()))
}

func unknownAttribute(t *T) {
	sa := t.newSA(usual)
	sa.agree(sa.greet(sa.offering(with(sa.Suite.Proposal(1), peer.Transform{Type: peer.ENCR, ID: 12, Attrs: []byte{0x80, 14, 1, 0, 0, 99, 0, 3, 1, 2, 3}}))))
	sa.admitted(sa.ask(sa.claim()))
}

// refused demands that the daemon refuses a proposal.
func (t *T) refused(p peer.Proposal) {
	sa := t.newSA(usual)
	answer := sa.greet(sa.offering(p))
	t.only(answer, peer.NoProposalChosen)
	t.counts(0, 0)
}

func noProposal(t *T) {
	p := usual.Proposal(1)
	t.refused(with(without(p, peer.ENCR), peer.Transform{Type: peer.ENCR, ID: 2})) // DES
	t.refused(with(without(p, peer.PRF), peer.Transform{Type: peer.PRF, ID: 1}))   // HMAC-MD5
	p.Protocol, p.SPI = peer.ProtoESP, peer.SPI()
	t.fails(t.newSA(usual).offering(p))
}

func noKeyLength(t *T) {
	t.refused(with(without(usual.Proposal(1), peer.ENCR), peer.Transform{Type: peer.ENCR, ID: 12}))
}

func longerKey(t *T) {
	sa := t.newSA(usual)
	sa.agree(sa.greet(sa.offering(sa.Suite.Proposal(1)))) // AES-256, where AES-128 would do
}

func noProtection(t *T) {
	p := usual.Proposal(1)
	t.refused(with(without(p, peer.ENCR), peer.Transform{Type: peer.ENCR, ID: 11}))
	t.refused(with(without(p, peer.INTEG), peer.Transform{Type: peer.INTEG}))
	t.refused(without(p, peer.INTEG))
}

func lacksMandatory(t *T) {
	t.refused(without(usual.Proposal(1), peer.PRF))
	t.refused(without(usual.Proposal(1), peer.KE))
	t.refused(without(usual.Proposal(1), peer.ENCR))
}

func combinedIntegrity(t *T) {
	aead := peer.Suite{AEAD: true, Method: peer.X25519}
	for _, p := range []peer.Proposal{aead.Proposal(1), with(aead.Proposal(1), peer.Transform{Type: peer.INTEG})} {
		sa := t.newSA(aead)
		sa.agree(sa.greet(sa.offering(p)))
		sa.admitted(sa.ask(sa.claim()))
		sa.inform(peer.DeletePayload(peer.ProtoIKE))
	}
	t.refused(with(aead.Proposal(1), peer.Transform{Type: peer.INTEG, ID: 12}))
}

// fails sends first messages that are malformed: they may be answered in clear, but no SA comes of them.
func (t *T) fails(all ...peer.Message) {
	for _, m := range all {
		t.send(t.path(peer.PortIKE), m.Encode())
	}
	for {
		d, ok := t.receive(silence, anyDatagram)
		if !ok {
			break
		}
		if m := t.decode(d); len(m.Errors()) != 1 || len(m.Payloads) != 1 {
			t.Errorf("the answer to a malformed request is %v", m)
		}
	}
	t.counts(0, 0)
}

func lyingSA(t *T) {
	sa := t.newSA(usual)
	p := sa.Suite.Proposal(1)
	mend := func(edit func(b []byte) []byte) peer.Message {
		m := sa.hello()
		m.SPIi = peer.SPI64()
		m.Payloads[0].Body = edit(peer.SAPayload(p).Body)
		return m
	}
	set := func(at int, v byte) func([]byte) []byte {
		return func(b []byte) []byte { b[at] = v; return b }
	}
	t.fails(
		mend(set(3, 7)),    // the proposal ends before it begins
		mend(set(3, 255)),  // it ends behind the payload
		mend(set(0, 2)),    // another should follow
		mend(set(6, 200)),  // an SPI of 200 octets
		mend(set(7, 3)),    // three transforms, where four are
		mend(set(7, 5)),    // five
		mend(set(11, 4)),   // a transform shorter than its header
		mend(set(11, 200)), // one that ends behind the proposal
		mend(set(8, 0)),    // the last one, and others follow
		mend(func(b []byte) []byte { return b[:len(b)-1] }),
		mend(func(b []byte) []byte { return append(b, 0) }),
		mend(func([]byte) []byte { return nil }),
	)
}

func twoKeyLengths(t *T) {
	t.refused(with(without(usual.Proposal(1), peer.ENCR), peer.Transform{Type: peer.ENCR, ID: 12, Attrs: []byte{0x80, 14, 1, 0, 0x80, 14, 0, 128}}))
}

func otherGroup(t *T) {
	sa := t.newSA(usual)
	m := sa.offering(with(without(sa.Suite.Proposal(1), peer.KE), peer.Transform{Type: peer.KE, ID: peer.P256}))
	n := t.only(sa.greet(m), peer.InvalidKEPayload)
	if len(n.Data) != 2 || binary.BigEndian.Uint16(n.Data) != peer.P256 {
		t.Errorf("the notify holds %x, want group 19", n.Data)
	}
	t.counts(0, 0)
	sa.Suite.Method, sa.half = peer.P256, peer.NewExchange(peer.P256) // the same SPI and nonce once more, as RFC 7296 section 1.2 has it
	sa.agree(sa.greet(sa.hello()))
	sa.admitted(sa.ask(sa.claim()))
}

// publics are first messages with other public values, each of an SA of its own.
func (t *T) publics(method uint16, values ...[]byte) (all []peer.Message) {
	for _, v := range values {
		sa := t.newSA(peer.Suite{Method: method})
		m := sa.hello()
		m.Payloads[1] = peer.KEPayload(method, v)
		all = append(all, m)
	}
	return all
}

func badMODP(t *T) {
	value := func(last byte) []byte { return append(make([]byte, 255), last) }
	t.fails(t.publics(peer.MODP2048, peer.NewExchange(peer.MODP2048).Public[:255], append(peer.NewExchange(peer.MODP2048).Public, 0), nil,
		value(0), value(1), slices.Repeat([]byte{255}, 256), peer.MODP2048Minus1())...)
}

func badPoints(t *T) {
	t.fails(t.publics(peer.X25519, make([]byte, 32), append([]byte{1}, make([]byte, 31)...), make([]byte, 31), make([]byte, 33), nil)...)
	t.fails(t.publics(peer.P256, make([]byte, 64), slices.Repeat([]byte{7}, 64), peer.NewExchange(peer.P256).Public[:63],
		append([]byte{4}, peer.NewExchange(peer.P256).Public...), nil)...)
}

func freshNonces(t *T) {
	seen := map[string]bool{}
	spis := map[uint64]bool{}
	for range 8 {
		sa := t.begin()
		if len(sa.Nr) < 16 || seen[string(sa.Nr)] || spis[sa.SPIr] {
			t.Fatalf("nonce %x and SPI %x: too short, or seen before", sa.Nr, sa.SPIr)
		}
		seen[string(sa.Nr)], spis[sa.SPIr] = true, true
	}
}

func goodNonces(t *T) {
	for _, n := range []int{16, 256} {
		sa := t.newSA(usual)
		sa.Ni = peer.Random(n)
		sa.agree(sa.greet(sa.hello()))
		sa.admitted(sa.ask(sa.claim()))
		sa.inform(peer.DeletePayload(peer.ProtoIKE))
	}
}

func badNonces(t *T) {
	var all []peer.Message
	for _, n := range []int{0, 15, 257} {
		sa := t.newSA(usual)
		sa.Ni = peer.Random(n)
		all = append(all, sa.hello())
	}
	t.fails(all...)
}

func noise(t *T) {
	sa := t.newSA(usual)
	m := sa.hello()
	m.Payloads = append(m.Payloads, peer.Payload{Type: peer.TypeVendor, Body: []byte("RFC 9999")}, peer.Payload{Type: peer.TypeVendor},
		peer.NotifyPayload(40000, 1, 2, 3), peer.NotifyPayload(8191), peer.NotifyPayload(9999),
		peer.Notify{Protocol: peer.ProtoIKE, SPI: peer.Random(8), Kind: 50000}.Payload())
	sa.agree(sa.greet(m))
	sa.admitted(sa.ask(sa.claim()))
}

func incompleteInit(t *T) {
	var all []peer.Message
	for i := range 3 {
		lacks, twice := t.newSA(usual).hello(), t.newSA(usual).hello()
		lacks.Payloads = slices.Delete(lacks.Payloads, i, i+1)
		twice.Payloads = append(twice.Payloads, twice.Payloads[i])
		all = append(all, lacks, twice)
	}
	t.fails(all...)
}

func anyPort(t *T) {
	sa := t.newSA(usual)
	sa.way = t.from(12345, peer.PortIKE) // greet and response demand the way back
	sa.agree(sa.greet(sa.hello()))
	sa.way = t.from(23456, peer.PortNAT)
	sa.admitted(sa.ask(sa.claim()))
	sa.way = t.from(34567, peer.PortNAT)
	sa.inform()
}

func repeatedInit(t *T) {
	sa := t.newSA(usual)
	sa.agree(sa.greet(sa.hello()))
	for range 3 {
		t.send(sa.way, sa.Init1)
		if d, _ := t.clear(sa.SPIi); !slices.Equal(d.Bytes, sa.Init2) {
			t.Fatalf("another response to the same request")
		}
	}
	t.nothingCame()
	sa.admitted(sa.ask(sa.claim()))
	t.counts(1, 1)
}

func sameSPITwice(t *T) {
	a := t.begin()
	b := t.newSA(usual)
	b.SPIi = a.SPIi
	b.agree(b.greet(b.hello()))
	if a.SPIr == b.SPIr {
		t.Fatalf("two SAs have the SPI %x", a.SPIr)
	}
	b.admitted(b.ask(b.claim()))
	a.admitted(a.ask(a.claim()))
}

func natdOfResponder(t *T) {
	sa := t.newSA(usual)
	m := sa.greet(sa.hello())
	source, there := m.Notify(peer.NATDetectionSource)
	destination, also := m.Notify(peer.NATDetectionDestination)
	if !there || !also || !slices.Equal(source.Data, peer.NATHash(m.SPIi, m.SPIr, sa.way.to)) ||
		!slices.Equal(destination.Data, peer.NATHash(m.SPIi, m.SPIr, sa.way.from.Addr())) {
		t.Errorf("NAT detection is missing or wrong: %v", m)
	}
}
