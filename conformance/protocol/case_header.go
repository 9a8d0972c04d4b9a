package protocol

import (
	"fmt"
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// Header, generic payload header, versions and forward compatibility (RFC 7296 sections 2.5, 3.1, 3.2).
var headerCases = []Case{
	{IDs: ids("RFC7296-2.5-1", "RFC7296-3.1-7", "RFC7296-3.1-8", "RFC7296-3.1-11"),
		Title: "Minor version, version flag and reserved flags of a header are ignored.", Run: oddHeaders},
	{IDs: ids("RFC7296-2.5-2", "RFC7296-2.5-3", "RFC7296-3.1-6"),
		Title: "A request of major version 3 is dropped, with INVALID_MAJOR_VERSION in clear and our version in its header.", Run: higherMajor},
	{IDs: ids("RFC7296-2.5-2", "RFC7296-3.1-6"), Title: "A protected request under major version 3 leaves its IKE SA as it is.", Run: higherMajorProtected},
	{IDs: ids("RFC7296-2.5-5", "RFC7296-3.1-5", "RFC7296-3.1-7", "RFC7296-3.1-8", "RFC7296-3.1-9", "RFC7296-3.1-11", "RFC7296-3.1-12",
		"RFC7296-2.5-7", "RFC7296-2.5-11", "RFC7296-3.2-1", "RFC7296-3.2-3", "RFC7296-3.2-5"),
		Title: "What the daemon sends, in both roles, has version 2.0, the right flags, and zero in all reserved and critical bits.", Run: formOfAll},
	{IDs: ids("RFC7296-2.5-7", "RFC7296-3.2-5", "RFC7296-3.3.1-1", "RFC7296-3.3.2-1", "RFC7296-3.5-1", "RFC7296-3.8-2", "RFC7296-3.13-1"),
		Title: "Whatever reserved fields hold, in headers, proposals, transforms, ID, AUTH, KE and TS, is ignored.", Run: reservedFields},
	{IDs: ids("RFC7296-2.5-8", "RFC7296-2.5-10", "RFC7296-4-1"),
		Title: "Payloads of unknown type without the critical bit are skipped, in clear and protected.", Run: unknownPayloads},
	{IDs: ids("RFC7296-2.5-9", "RFC7296-4-2"),
		Title: "IKE_SA_INIT with an unknown critical payload gets UNSUPPORTED_CRITICAL_PAYLOAD with its type, and no SA.", Run: criticalInInit},
	{IDs: ids("RFC7296-2.5-9", "RFC7296-2.21.2-2", "RFC7296-4-2"),
		Title: "IKE_AUTH with an unknown critical payload gets nothing but UNSUPPORTED_CRITICAL_PAYLOAD, and no SA.", Run: criticalInAuth},
	{IDs: ids("RFC7296-2.5-9", "RFC7296-2.21.3-1", "RFC7296-4-2"),
		Title: "INFORMATIONAL with an unknown critical payload gets UNSUPPORTED_CRITICAL_PAYLOAD; what else it says does not happen; the SA lives.", Run: criticalInInformational},
	{IDs: ids("RFC7296-3.2-2"), Title: "The critical bit of payloads that RFC 7296 defines is ignored.", Run: criticalKnown},
	{IDs: ids("RFC7296-1.7-2", "RFC7296-2.5-13"), Title: "Payloads in reverse order do not harm IKE_SA_INIT and IKE_AUTH.", Run: reversed},
	{IDs: ids("RFC7296-2.5-12"), Title: "The daemon's payloads have the order of RFC 7296's figures, in both roles.", Run: orderOfOurs},
	{IDs: ids("RFC7296-3.1-3"), Title: "A message whose initiator SPI is zero is dropped.", Run: zeroSPI},
	{IDs: ids("RFC7296-3.1-4"), Title: "A first message with a responder SPI makes no SA.", Run: earlyResponderSPI},
	{IDs: ids("RFC7296-3.1-9", "RFC7296-3.1-12", "RFC7296-3.1-10"), Title: "First messages with the response flag, or without the initiator flag, are dropped.", Run: wrongFlags},
	{IDs: ids("RFC7296-2.21.4-1", "RFC7296-3.1-10"), Title: "Responses that nobody asked for are never answered, protected or not.", Run: unaskedResponses},
	{IDs: ids("RFC7296-2-1", "RFC7296-2-2"), Title: "Messages of 1280 and 3000 octets are processed, IKE_SA_INIT, IKE_AUTH and INFORMATIONAL.", Run: longMessages},
	{IDs: ids("RFC7296-2-3", "RFC7296-2.23-1"), Title: "On port 4500 messages have four zero octets in front, and what has none is not taken for IKE.", Run: marker},
	{IDs: ids("RFC7296-2.21.4-1", "RFC7296-3.10.1-3"), Title: "Datagrams whose lengths lie are dropped without an answer.", Run: lyingLengths},
}

// filler is vendor IDs that make a message longer by about n octets.
func filler(n int) (ps []peer.Payload) {
	for ; n > 0; n -= 256 {
		ps = append(ps, peer.Payload{Type: peer.TypeVendor, Body: peer.Random(min(max(n-4, 1), 252))})
	}
	return ps
}

func oddHeaders(t *T) {
	sa := t.newSA(usual)
	m := sa.hello()
	m.Version, m.Flags = 0x2f, m.Flags|peer.FlagVersion|0xc7
	answer := sa.greet(peer.Message{SPIi: m.SPIi, Version: m.Version, Exchange: m.Exchange, Flags: m.Flags, Payloads: m.Payloads})
	sa.agree(answer)
	auth := sa.claim()
	auth.Version, auth.Flags = 0x21, auth.Flags|peer.FlagVersion|0x41
	sa.admitted(sa.ask(auth))
	m = sa.Request(peer.Informational)
	m.Version, m.Flags = 0x28, m.Flags|0x87
	if got := sa.ask(m); len(got.Payloads) != 0 {
		t.Errorf("the answer is %v", got)
	}
}

func higherMajor(t *T) {
	sa := t.newSA(usual)
	m := sa.hello()
	m.Version = 0x30
	answer := sa.greet(m)
	t.only(answer, peer.InvalidMajorVersion)
	m.Flags |= peer.FlagResponse
	t.send(sa.way, m.Encode())
	t.quiet()
	t.counts(0, 0)
}

func higherMajorProtected(t *T) {
	sa := t.up()
	m := sa.Request(peer.Informational, peer.DeletePayload(peer.ProtoIKE))
	sa.Own--
	m.Version = 0x30
	t.send(sa.way, sa.seal(m))
	if d, ok := t.receive(silence, anyDatagram); ok { // it may say so in clear
		t.only(t.decode(d), peer.InvalidMajorVersion)
	}
	sa.alive()
}

func formOfAll(t *T) {
	sa := t.up()
	sa.inform(peer.DeletePayload(peer.ProtoESP, sa.in))
	sa.inform(peer.DeletePayload(peer.ProtoIKE))
	sa = t.upByDaemon()
	t.order(DownChild)
	m := sa.request(peer.Informational)
	sa.answer(m, peer.DeletePayload(peer.ProtoESP, sa.in))
	t.order(Down)
	sa.answer(sa.request(peer.Informational))
	t.counts(0, 0)
}

// dirty sets all reserved bits that a payload has, and those of its header but the critical bit.
func dirty(ps []peer.Payload) []peer.Payload {
	ps = slices.Clone(ps)
	for i, p := range ps {
		p.Flags, p.Body = 0x7f, slices.Clone(p.Body)
		switch p.Type {
		case peer.TypeKE:
			p.Body[2], p.Body[3] = 0xff, 0xff
		case peer.TypeIDi, peer.TypeIDr, peer.TypeAuth, peer.TypeTSi, peer.TypeTSr:
			p.Body[1], p.Body[2], p.Body[3] = 0xff, 0xff, 0xff
		}
		ps[i] = p
	}
	return ps
}

func reservedFields(t *T) {
	sa := t.newSA(usual)
	m := sa.hello()
	proposal := sa.Suite.Proposal(1)
	proposal.Reserved = 0xff
	m.Payloads[0] = peer.SAPayload(proposal)
	m.Payloads = dirty(m.Payloads)
	sa.agree(sa.greet(m))
	esp := peer.ESPProposal(1, sa.in, 0)
	esp.Reserved = 0xff
	child := sa.child()
	child[0] = peer.SAPayload(esp)
	// AUTH covers the reserved octets of the ID payload as they were sent (RFC 7296 section 2.15).
	proofs := dirty(sa.proofs())
	proofs[2] = peer.AuthPayload(2, sa.Proof(true, t.Key, proofs[0].Body))
	sa.admitted(sa.ask(sa.Request(peer.IKEAuth, append(proofs, dirty(child)...)...)))
}

// unknown is a payload of a type that IANA has not given away.
func unknown(flags uint8) peer.Payload {
	return peer.Payload{Type: 200, Flags: flags, Body: peer.Random(37)}
}

func unknownPayloads(t *T) {
	sa := t.newSA(usual)
	m := sa.hello()
	m.Payloads = slices.Insert(m.Payloads, 1, unknown(0), peer.Payload{Type: 1}, peer.Payload{Type: 255})
	sa.agree(sa.greet(m))
	auth := sa.claim()
	auth.Payloads = append(slices.Insert(auth.Payloads, 0, unknown(0)), unknown(0))
	sa.admitted(sa.ask(auth))
	if got := sa.inform(unknown(0)); len(got.Payloads) != 0 {
		t.Errorf("the answer is %v", got)
	}
}

func criticalInInit(t *T) {
	sa := t.newSA(usual)
	m := sa.hello()
	m.Payloads = append(m.Payloads, unknown(peer.Critical))
	n := t.only(sa.greet(m), peer.UnsupportedCriticalPayload)
	if !slices.Equal(n.Data, []byte{200}) {
		t.Errorf("the notify holds %x, want the payload type c8", n.Data)
	}
	t.counts(0, 0)
}

func criticalInAuth(t *T) {
	sa := t.begin()
	auth := sa.claim()
	auth.Payloads = append(auth.Payloads, unknown(peer.Critical))
	n := t.only(sa.ask(auth), peer.UnsupportedCriticalPayload)
	if !slices.Equal(n.Data, []byte{200}) {
		t.Errorf("the notify holds %x, want the payload type c8", n.Data)
	}
	t.counts(0, 0)
}

func criticalInInformational(t *T) {
	sa := t.up()
	answer := sa.inform(peer.DeletePayload(peer.ProtoIKE), unknown(peer.Critical))
	t.only(answer, peer.UnsupportedCriticalPayload)
	sa.alive()
	t.counts(1, 1)
}

func criticalKnown(t *T) {
	sa := t.newSA(usual)
	m := sa.hello()
	critical := func(ps []peer.Payload) {
		for i := range ps {
			ps[i].Flags = peer.Critical
		}
	}
	critical(m.Payloads)
	sa.agree(sa.greet(m))
	auth := sa.claim()
	critical(auth.Payloads)
	sa.admitted(sa.ask(auth))
	del := sa.Request(peer.Informational, peer.DeletePayload(peer.ProtoESP, sa.in))
	critical(del.Payloads)
	sa.deleted(sa.ask(del))
}

func reversed(t *T) {
	sa := t.newSA(usual)
	m := sa.hello()
	slices.Reverse(m.Payloads)
	sa.agree(sa.greet(m))
	auth := sa.claim()
	slices.Reverse(auth.Payloads)
	sa.admitted(sa.ask(auth))
}

func orderOfOurs(t *T) {
	ours := t.up() // agree and admitted demand the order of responses
	ours.inform(peer.DeletePayload(peer.ProtoIKE))
	t.order(Up)
	sa, m := t.called()
	t.kinds(m, peer.TypeSA, peer.TypeKE, peer.TypeNonce)
	sa.accept(m, sa.welcome(m))
	auth := sa.request(peer.IKEAuth)
	t.kinds(auth, peer.TypeIDi, peer.TypeIDr, peer.TypeAuth, peer.TypeSA, peer.TypeTSi, peer.TypeTSr)
}

func zeroSPI(t *T) {
	sa := t.newSA(usual)
	m := sa.hello()
	m.SPIi = 0
	t.send(sa.way, m.Encode())
	t.quiet()
}

func earlyResponderSPI(t *T) {
	sa := t.newSA(usual)
	m := sa.hello()
	m.SPIr = peer.SPI64()
	t.send(sa.way, m.Encode())
	if d, ok := t.receive(silence, anyDatagram); ok {
		t.only(t.decode(d), peer.InvalidIKESPI)
	}
	t.counts(0, 0)
}

func wrongFlags(t *T) {
	sa := t.newSA(usual)
	for _, flags := range []uint8{0, peer.FlagResponse, peer.FlagResponse | peer.FlagInitiator} {
		m := sa.hello()
		m.Flags = flags
		t.send(sa.way, m.Encode())
	}
	t.quiet()
	t.counts(0, 0)
}

func unaskedResponses(t *T) {
	sa := t.up()
	for _, exchange := range []uint8{peer.IKESAInit, peer.IKEAuth, peer.CreateChildSA, peer.Informational} {
		m := peer.Message{SPIi: sa.SPIi, SPIr: sa.SPIr, Exchange: exchange, Flags: peer.FlagInitiator | peer.FlagResponse}
		for m.ID = range uint32(4) {
			t.send(sa.way, m.Encode())
			t.send(sa.way, sa.seal(m))
		}
		m.SPIr = peer.SPI64()
		t.send(sa.way, m.Encode())
	}
	sa.alive()
	t.counts(1, 1)
}

func longMessages(t *T) {
	for _, size := range []int{1280, 3000} {
		sa := t.newSA(usual)
		m := sa.hello()
		m.Payloads = append(m.Payloads, filler(size-len(m.Encode()))...)
		sa.agree(sa.greet(m))
		auth := sa.claim()
		auth.Payloads = append(auth.Payloads, filler(size-len(sa.seal(auth)))...)
		sa.admitted(sa.ask(auth))
		if got := sa.inform(filler(size - 80)...); len(got.Payloads) != 0 {
			t.Errorf("%d octets: the answer is %v", size, got)
		}
		sa.inform(peer.DeletePayload(peer.ProtoIKE))
	}
}

func marker(t *T) {
	sa := t.newSA(usual)
	sa.way = t.path(peer.PortNAT)
	m := sa.hello()
	t.must(sa.way.from.SendRaw(sa.way.to, m.Encode())) // as ESP with the SPI of its first four octets
	t.quiet()
	sa.agree(sa.greet(sa.hello()))
	sa.admitted(sa.ask(sa.claim()))
}

func lyingLengths(t *T) {
	sa := t.newSA(usual)
	t.sendLies(sa.way, sa.hello(), 0, 1, 4, 27, 28, 29)
	t.quiet()
	t.counts(0, 0)
}

// sendLies sends a message cut to some numbers of octets and to all but one, and with lengths that are not its own or its payloads'.
func (t *T) sendLies(at path, good peer.Message, cuts ...int) {
	whole := good.Encode()
	for _, n := range append(cuts, len(whole)-1) {
		t.send(at, whole[:n])
	}
	for _, length := range []uint32{0, 27, 28, uint32(len(whole)) - 1, uint32(len(whole)) + 1, 1 << 31, 1<<32 - 1} {
		m := good
		m.Lie = peer.Lie(length)
		t.send(at, m.Encode())
	}
	for _, length := range []uint16{0, 3, 5, 65535} {
		for i := range good.Payloads {
			m := good
			m.Payloads = slices.Clone(good.Payloads)
			m.Payloads[i].Lie = peer.Lie(length)
			t.send(at, m.Encode())
		}
	}
}

// deleted demands that a response deletes the daemon's half of our child, and nothing else.
func (sa *SA) deleted(m peer.Message) {
	spis, any := m.Deletes(peer.ProtoESP)
	if !any || len(m.Payloads) != 1 || len(spis) != 1 || !slices.Equal(spis[0], sa.out) {
		sa.t.Fatalf("want a Delete of %x: %v %s", sa.out, m, fmt.Sprintf("%x", spis))
	}
}
