package protocol

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// The initial exchanges with the daemon as the initiator (RFC 7296 sections 1.2, 2.6, 2.21, 3.3, 3.4).
var daemonCases = []Case{
	{IDs: ids("RFC7296-4-3", "RFC7296-2.13-2", "RFC7296-2.15-2"), Title: "Called by the daemon, four messages make an IKE SA and a child SA.", Run: fourMessagesOfDaemon},
	{IDs: ids("RFC7296-3.1-4", "RFC7296-3.1-3"), Title: "The daemon's first message has an initiator SPI, no responder SPI, and message ID 0.", Run: firstMessage},
	{IDs: ids("RFC7296-3.3-3", "RFC7296-3.3.1-3", "RFC7296-3.3-4", "RFC7296-3.3-5", "RFC7296-3.3-6", "RFC7296-3.3-7", "RFC7296-3.3.5-1", "RFC7296-3.3.5-2",
		"RFC7296-3.3.5-3", "RFC7296-3.3.5-4", "RFC7296-3-1"),
		Title: "The daemon's offers, for IKE and ESP, are numbered from 1, complete, keep AEADs apart, and have key lengths where they belong.", Run: offers},
	{IDs: ids("RFC7296-1.2-6"), Title: "The daemon's offer in IKE_AUTH has no key exchange transform.", Run: authOfferNoKE},
	{IDs: ids("RFC7296-3.4-2", "RFC7296-3.3.6-7"), Title: "The group of the daemon's KE is in its proposals, and one that most peers take.", Run: keInOffer},
	{IDs: ids("RFC7296-3.4-3"), Title: "The group of the daemon's KE is the first of its first proposal, when that is the one it prefers.", Run: keIsFirst,
		Tune: func(c *Connection) { c.MODPFirst = true }},
	{IDs: ids("RFC7296-3.4-1"), Title: "The daemon's MODP value has the length of the modulus.", Run: modpOfDaemon, Tune: func(c *Connection) { c.MODPFirst = true }},
	{IDs: ids("RFC7296-1.2-4", "RFC7296-1.2-5", "RFC7296-3.3.6-8"), Title: "After INVALID_KE_PAYLOAD the daemon calls again with the group asked for and all its proposals.", Run: invalidKE},
	{IDs: ids("RFC7296-1.2-4"), Title: "INVALID_KE_PAYLOAD with a group that the daemon did not offer does not change its call.", Run: invalidKEUnknown, Settings: hasty},
	{IDs: ids("RFC7296-2.6-4"), Title: "After COOKIE the daemon calls again with the cookie first and all else unchanged.", Run: cookieForDaemon},
	{IDs: ids("RFC7296-2.6-4", "RFC7296-2.6-3"), Title: "Cookies of 1 and 64 octets come back.", Run: oddCookies},
	{IDs: ids("RFC7296-2.6.1-1"), Title: "After COOKIE and then INVALID_KE_PAYLOAD the daemon sends both the cookie and the group.", Run: cookieThenKE},
	{IDs: ids("RFC7296-2.6.1-2"), Title: "A responder that then asks for another cookie is served.", Run: cookieKECookie},
	{IDs: ids("RFC7296-2.10-1", "RFC7296-3.9-2"), Title: "The daemon's nonces and SPIs as the initiator are long enough, and fresh.", Run: freshCalls},
	{IDs: ids("RFC7296-2.23-6"), Title: "The daemon's first message has both NAT detection notifies, and they are right.", Run: natdOfInitiator},
	{IDs: ids("RFC7296-3.3.6-4"), Title: "An answer that is not among the daemon's proposals does not make an IKE SA.", Run: answerNotOffered},
	{IDs: ids("RFC7296-2.7-4", "RFC7296-3.3.6-4"), Title: "An answer with two transforms of a type, or two proposals, does not make an IKE SA.", Run: answerTwice},
	{IDs: ids("RFC7296-3.9-1", "RFC7296-2.21.4-1"), Title: "Malformed answers to the first message are ignored; the true one after them makes the SA.", Run: malformedAnswers, Settings: hasty},
	{IDs: ids("RFC7296-2.5-9", "RFC7296-2.21.4-1"), Title: "An answer in clear with an unknown critical payload is not answered.", Run: criticalAnswer, Settings: hasty},
	{IDs: ids("RFC7296-2.4-3", "RFC7296-3.10.1-1"), Title: "A refusal in clear may be forged: the daemon takes the true answer that follows it.", Run: forgedRefusal, Settings: hasty},
	{IDs: ids("RFC7296-1.2-2"), Title: "A responder that proves itself wrongly is not believed, and told AUTHENTICATION_FAILED under the SA.", Run: wrongResponder},
	{IDs: ids("RFC7296-1.2-3"), Title: "A responder that proves its key under another identity is not believed.", Run: otherResponder},
	{IDs: ids("RFC7296-2.21.2-3", "RFC7296-1.3.1-3"), Title: "When the responder refuses the child, the IKE SA lives: NO_PROPOSAL_CHOSEN, TS_UNACCEPTABLE, INTERNAL_ADDRESS_FAILURE, FAILED_CP_REQUIRED, SINGLE_PAIR_REQUIRED.", Run: childRefused},
	{IDs: ids("RFC7296-3.10.1-1"), Title: "An IKE_AUTH response with nothing but an error, known or not, ends the attempt.", Run: authRefused},
	{IDs: ids("RFC7296-3.10.1-1", "RFC7296-2.21.2-4"), Title: "An error that nobody knows, beside a right AUTH and instead of the child, ends the attempt, too.", Run: unknownErrorWithAuth},
	{IDs: ids("RFC7296-3.10.1-2", "RFC7296-2.5-8", "RFC7296-3.12-2"), Title: "Unknown statuses, vendor IDs and payloads in responses are ignored.", Run: noisyAnswers},
	{IDs: ids("RFC7296-2.21.2-2", "RFC7296-2.21.3-2"), Title: "A malformed IKE_AUTH response makes no SA that serves, and no end of messages.", Run: malformedAuthAnswer},
	{IDs: ids("RFC7296-2.9-2", "RFC7296-3.3.6-4"), Title: "Selectors and ESP proposals that the daemon did not offer are not taken; the child is not made.", Run: childNotOffered},
	{IDs: ids("RFC7296-2.9-3"), Title: "Selectors that are narrower than the daemon's are taken.", Run: narrowedByPeer},
	{IDs: ids("RFC7296-3.13.1-1"), Title: "The daemon's selectors for all ports run from 0 to 65535.", Run: allPorts},
	{IDs: ids("RFC7296-2.21.3-2", "RFC7296-3.10.1-1"), Title: "Errors in the response to a Delete lead to no further request about them.", Run: errorInResponse},
	{IDs: ids("RFC7296-2.5-9", "RFC7296-2.21.3-2"), Title: "A response with an unknown critical payload is not taken as if it had none.", Run: criticalResponse},
	{IDs: ids("RFC7296-2.3-3", "RFC7296-2.1-2"), Title: "Requests that come before the daemon has seen our IKE_AUTH response are served once it has.", Run: earlyRequest},
}

func fourMessagesOfDaemon(t *T) {
	sa := t.upByDaemon()
	sa.alive()
}

func firstMessage(t *T) {
	t.order(Up)
	_, m := t.called()
	if m.SPIi == 0 || m.SPIr != 0 || m.ID != 0 || m.Flags != peer.FlagInitiator {
		t.Errorf("SPIs %x and %x: %v", m.SPIi, m.SPIr, m)
	}
}

// keyLengths are the lengths in bits that encryption algorithms of variable key length have; others have none (RFC 7296
// section 3.3.5, RFC 8247 section 2.1, RFC 7634).
var keyLengths = map[uint16][]uint16{12: {128, 192, 256}, 13: {128, 192, 256}, 18: {128, 192, 256}, 19: {128, 192, 256}, 20: {128, 192, 256}, 23: {128, 192, 256}, 28: {0}}

// aead reports whether a transform is a combined-mode cipher.
func aead(t peer.Transform) bool { return t.Type == peer.ENCR && t.ID >= 14 && t.ID != 23 }

// wellOffered demands what RFC 7296 sections 3.3 to 3.3.5 want of an offer.
func (t *T) wellOffered(body []byte, protocol uint8, spi int, need ...uint8) {
	offer, err := peer.ParseSA(body) // it demands the lengths, and zero in what is reserved
	t.must(err)
	for i, p := range offer {
		if int(p.Number) != i+1 || p.Protocol != protocol || len(p.SPI) != spi {
			t.Errorf("proposal %d has number %d, protocol %d, SPI %x", i+1, p.Number, p.Protocol, p.SPI)
		}
		for _, kind := range need {
			if len(p.Of(kind)) == 0 {
				t.Errorf("proposal %d has no transform of type %d", i+1, kind)
			}
		}
		combined := slices.ContainsFunc(p.Transforms, aead)
		for _, tr := range p.Transforms {
			switch {
			case len(tr.Attrs) > 0:
				t.Errorf("proposal %d: attributes %x", i+1, tr.Attrs)
			case tr.Type == peer.ENCR && (!slices.Contains(keyLengths[tr.ID], tr.KeyBits) || aead(tr) != combined):
				t.Errorf("proposal %d: encryption %d with %d bits", i+1, tr.ID, tr.KeyBits)
			case tr.Type != peer.ENCR && tr.KeyBits != 0:
				t.Errorf("proposal %d: a key length for transform %d of type %d", i+1, tr.ID, tr.Type)
			case tr.Type == peer.INTEG && combined:
				t.Errorf("proposal %d: integrity %d beside combined modes", i+1, tr.ID)
			case tr.Type == peer.KE && (tr.ID >= 6 && tr.ID <= 13), tr.Type < peer.ENCR, tr.Type > peer.ESN, tr.ID >= 1024:
				t.Errorf("proposal %d: transform %d of type %d is not assigned, or of private use", i+1, tr.ID, tr.Type)
			}
		}
		if !combined && protocol == peer.ProtoIKE && len(p.Of(peer.INTEG)) == 0 {
			t.Errorf("proposal %d has no integrity", i+1)
		}
	}
}

func offers(t *T) {
	t.order(Up)
	sa, m := t.called()
	t.wellOffered(m.Body(peer.TypeSA), peer.ProtoIKE, 0, peer.ENCR, peer.PRF, peer.KE)
	sa.accept(m, sa.welcome(m))
	t.wellOffered(sa.request(peer.IKEAuth).Body(peer.TypeSA), peer.ProtoESP, 4, peer.ENCR, peer.ESN)
}

func authOfferNoKE(t *T) {
	_, auth := t.greeted()
	offer, err := peer.ParseSA(auth.Body(peer.TypeSA))
	t.must(err)
	for _, p := range offer {
		if len(p.Of(peer.KE)) != 0 {
			t.Errorf("proposal %d has %+v", p.Number, p.Of(peer.KE))
		}
	}
}

// method is the group of a KE payload.
func method(m peer.Message) uint16 { return binary.BigEndian.Uint16(m.Body(peer.TypeKE)) }

func keInOffer(t *T) {
	t.order(Up)
	_, m := t.called()
	offer, err := peer.ParseSA(m.Body(peer.TypeSA))
	t.must(err)
	if !slices.ContainsFunc(offer, func(p peer.Proposal) bool { return p.Has(peer.Transform{Type: peer.KE, ID: method(m)}) }) {
		t.Errorf("KE is of group %d, which is not offered", method(m))
	}
	if g := method(m); !slices.Contains([]uint16{peer.MODP2048, peer.P256, peer.X25519}, g) { // the mandatory ones of RFC 8247 section 2.4 and what succeeds them
		t.Errorf("KE is of group %d", g)
	}
}

func keIsFirst(t *T) {
	t.order(Up)
	_, m := t.called()
	offer, err := peer.ParseSA(m.Body(peer.TypeSA))
	t.must(err)
	if first := offer[0].Of(peer.KE)[0].ID; first != method(m) {
		t.Errorf("KE is of group %d, the first offered is %d", method(m), first)
	}
}

func modpOfDaemon(t *T) {
	t.order(Up)
	_, m := t.called()
	if n := len(m.Body(peer.TypeKE)) - 4; method(m) != peer.MODP2048 || n != 256 {
		t.Errorf("KE is of group %d with %d octets, want 14 with 256", method(m), n)
	}
}

// turnAway answers an IKE_SA_INIT request with a notify and returns the daemon's next.
func (sa *SA) turnAway(m peer.Message, kind uint16, data ...byte) (*SA, peer.Message) {
	sa.refuse(m, kind, data...)
	return sa.t.called()
}

// refuse answers an IKE_SA_INIT request with a notify.
func (sa *SA) refuse(m peer.Message, kind uint16, data ...byte) {
	no := peer.Message{SPIi: m.SPIi, Exchange: peer.IKESAInit, Flags: peer.FlagResponse, Payloads: []peer.Payload{peer.NotifyPayload(kind, data...)}}
	sa.t.send(sa.way, no.Encode())
}

// sameBut demands that two messages are the same but for some payloads, which are left out of both.
func (t *T) sameBut(a, b peer.Message, but ...int) {
	cut := func(m peer.Message) []byte {
		var ps []peer.Payload
		for _, p := range m.Payloads {
			if n, err := peer.ParseNotify(p.Body); slices.Contains(but, int(p.Type)) || p.Type == peer.TypeNotify && err == nil && slices.Contains(but, int(n.Kind)) {
				continue
			}
			ps = append(ps, p)
		}
		m.Payloads = ps
		return m.Encode()
	}
	if !bytes.Equal(cut(a), cut(b)) {
		t.Fatalf("more than that has changed: %x and %x", cut(a), cut(b))
	}
}

// completes makes the SA from the daemon's last call.
func (sa *SA) completes(m peer.Message) {
	sa.accept(m, sa.welcome(m))
	auth := sa.request(peer.IKEAuth)
	sa.proven(auth)
	sa.answer(auth, append(sa.grant(), sa.grantChild(auth)...)...)
	sa.t.counts(1, 1)
}

func invalidKE(t *T) {
	t.order(Up)
	sa, m := t.called()
	sa, again := sa.turnAway(m, peer.InvalidKEPayload, 0, peer.MODP2048)
	if method(again) != peer.MODP2048 {
		t.Errorf("KE is of group %d, want 14", method(again))
	}
	t.sameOffer(m, again)
	sa.completes(again)
}

// sameOffer demands that two first messages offer the same, in whatever order.
func (t *T) sameOffer(a, b peer.Message) {
	sorted := func(m peer.Message) (all []string) {
		for _, p := range must(peer.ParseSA(m.Body(peer.TypeSA))) {
			for _, tr := range p.Transforms {
				all = append(all, fmt.Sprintf("%d: %+v", p.Number, tr))
			}
		}
		slices.Sort(all)
		return all
	}
	if was, is := sorted(a), sorted(b); !slices.Equal(was, is) {
		t.Fatalf("the offer was %v and is %v", was, is)
	}
}

func invalidKEUnknown(t *T) {
	t.order(Up)
	sa, m := t.called()
	sa, again := sa.turnAway(m, peer.InvalidKEPayload, 0, 22)
	t.sameOffer(m, again)
	if method(again) == 22 {
		t.Errorf("KE is of group 22, which was not offered")
	}
	sa.completes(again)
}

// cookied demands that a call has a cookie first.
func (t *T) cookied(m peer.Message, cookie []byte) {
	n, err := peer.ParseNotify(m.Payloads[0].Body)
	if m.Payloads[0].Type != peer.TypeNotify || err != nil || n.Kind != peer.Cookie || !bytes.Equal(n.Data, cookie) {
		t.Fatalf("the cookie is not the first payload: %v", m)
	}
}

func cookieForDaemon(t *T) {
	t.order(Up)
	sa, m := t.called()
	cookie := peer.Random(20)
	sa, again := sa.turnAway(m, peer.Cookie, cookie...)
	t.cookied(again, cookie)
	t.sameBut(m, again, peer.Cookie)
	sa.completes(again)
}

func oddCookies(t *T) {
	for _, n := range []int{1, 64} {
		t.order(Up)
		sa, m := t.called()
		cookie := peer.Random(n)
		sa, again := sa.turnAway(m, peer.Cookie, cookie...)
		t.cookied(again, cookie)
		sa.completes(again)
		sa.inform(peer.DeletePayload(peer.ProtoIKE))
		t.counts(0, 0)
	}
}

func cookieThenKE(t *T) {
	t.order(Up)
	sa, m := t.called()
	cookie := peer.Random(32)
	sa, second := sa.turnAway(m, peer.Cookie, cookie...)
	sa, third := sa.turnAway(second, peer.InvalidKEPayload, 0, peer.MODP2048)
	t.cookied(third, cookie)
	t.sameOffer(second, third)
	if method(third) != peer.MODP2048 {
		t.Errorf("KE is of group %d, want 14", method(third))
	}
	sa.completes(third)
}

func cookieKECookie(t *T) {
	t.order(Up)
	sa, m := t.called()
	sa, m = sa.turnAway(m, peer.Cookie, peer.Random(32)...)
	sa, m = sa.turnAway(m, peer.InvalidKEPayload, 0, peer.MODP2048)
	cookie := peer.Random(32)
	sa, m = sa.turnAway(m, peer.Cookie, cookie...)
	t.cookied(m, cookie)
	sa.completes(m)
}

func freshCalls(t *T) {
	seen := map[string]bool{}
	for range 3 {
		t.order(Up)
		sa, m := t.called()
		if len(sa.Ni) < 16 || seen[string(sa.Ni)] || seen[string(peer.Octets64(sa.SPIi))] {
			t.Fatalf("nonce %x or SPI %x: too short, or seen before", sa.Ni, sa.SPIi)
		}
		seen[string(sa.Ni)], seen[string(peer.Octets64(sa.SPIi))] = true, true
		sa.completes(m)
		sa.inform(peer.DeletePayload(peer.ProtoIKE))
		t.counts(0, 0)
	}
}

func natdOfInitiator(t *T) {
	t.order(Up)
	sa, m := t.called()
	source, there := m.Notify(peer.NATDetectionSource)
	destination, also := m.Notify(peer.NATDetectionDestination)
	if !there || !also || !slices.Equal(source.Data, peer.NATHash(m.SPIi, 0, sa.way.to)) ||
		!slices.Equal(destination.Data, peer.NATHash(m.SPIi, 0, sa.way.from.Addr())) {
		t.Errorf("NAT detection is missing or wrong: %v", m)
	}
}

// notTaken sends answers to the daemon's call, which must not go on to IKE_AUTH.
func (t *T) notTaken(spoil ...func(p *peer.Proposal) []peer.Proposal) {
	t.order(Up)
	sa, m := t.called()
	for _, f := range spoil {
		p := sa.Suite.Proposal(1)
		for i, o := range must(peer.ParseSA(m.Body(peer.TypeSA))) {
			if !slices.ContainsFunc(p.Transforms, func(tr peer.Transform) bool { return !o.Has(tr) }) {
				p.Number = uint8(i + 1)
			}
		}
		answer := sa.welcome(m)
		answer.Payloads[0] = peer.SAPayload(f(&p)...)
		t.send(sa.way, answer.Encode())
	}
	if d, ok := t.receive(silence, func(d peer.Datagram) bool {
		h, err := peer.Header(d.Bytes)
		return err == nil && h.Exchange != peer.IKESAInit
	}); ok {
		t.Fatalf("the daemon goes on: %x", d.Bytes)
	}
	t.counts(0, 0)
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

func answerNotOffered(t *T) {
	t.notTaken(
		func(p *peer.Proposal) []peer.Proposal { p.Transforms[0].KeyBits = 192; return []peer.Proposal{*p} },
		func(p *peer.Proposal) []peer.Proposal { p.Transforms[0].ID = 3; return []peer.Proposal{*p} },
		func(p *peer.Proposal) []peer.Proposal { p.Number = 77; return []peer.Proposal{*p} },
		func(p *peer.Proposal) []peer.Proposal { p.Protocol = peer.ProtoESP; return []peer.Proposal{*p} },
		func(p *peer.Proposal) []peer.Proposal { return []peer.Proposal{without(*p, peer.INTEG)} },
		func(p *peer.Proposal) []peer.Proposal { return []peer.Proposal{without(*p, peer.KE)} },
		func(p *peer.Proposal) []peer.Proposal { return nil })
}

func answerTwice(t *T) {
	t.notTaken(
		func(p *peer.Proposal) []peer.Proposal {
			return []peer.Proposal{with(*p, peer.Transform{Type: peer.ENCR, ID: 12, KeyBits: 128})}
		},
		func(p *peer.Proposal) []peer.Proposal {
			return []peer.Proposal{with(*p, peer.Transform{Type: peer.KE, ID: peer.MODP2048})}
		},
		func(p *peer.Proposal) []peer.Proposal { return []peer.Proposal{*p, *p} })
}

func malformedAnswers(t *T) {
	t.order(Up)
	sa, m := t.called()
	for _, spoil := range []func(m *peer.Message){
		func(m *peer.Message) { m.Payloads[2].Body = peer.Random(15) },
		func(m *peer.Message) { m.Payloads[2].Body = peer.Random(257) },
		func(m *peer.Message) { m.Payloads[0].Lie = peer.Lie(uint16(3)) },
		func(m *peer.Message) { m.Lie = peer.Lie(uint32(1 << 20)) },
		func(m *peer.Message) { m.Payloads = m.Payloads[1:] },
		func(m *peer.Message) { m.Payloads = append(m.Payloads, m.Payloads[1]) },
		func(m *peer.Message) { m.Payloads[1].Body = m.Payloads[1].Body[:3] },
		func(m *peer.Message) { m.Payloads = nil },
		func(m *peer.Message) { m.SPIr = 0 },
		func(m *peer.Message) { m.ID = 1 },
		func(m *peer.Message) { m.Version = 0x30 },
		func(m *peer.Message) { m.Exchange = peer.IKEAuth },
	} {
		answer := sa.welcome(m)
		answer.Payloads = slices.Clone(answer.Payloads)
		spoil(&answer)
		t.send(sa.way, answer.Encode())
	}
	_, again := t.called()
	t.sameBut(m, again)
	sa.completes(m)
}

func criticalAnswer(t *T) {
	t.order(Up)
	sa, m := t.called()
	answer := sa.welcome(m)
	answer.Payloads = append(answer.Payloads, unknown(peer.Critical))
	t.send(sa.way, answer.Encode())
	_, again := t.called() // it was repeated, so nothing was taken for its answer
	t.sameBut(m, again)
	t.forget()
}

func forgedRefusal(t *T) {
	t.order(Up)
	sa, m := t.called()
	for _, kind := range []uint16{peer.NoProposalChosen, peer.InvalidSyntax, peer.InvalidMajorVersion, peer.AuthenticationFailed, peer.InvalidIKESPI, 8000} {
		sa.refuse(m, kind)
	}
	_, again := t.called()
	t.sameBut(m, again)
	sa.completes(m)
}

// rejected demands that the daemon, which believes nothing of our IKE_AUTH response, says so under the SA, and keeps none.
func (sa *SA) rejected() {
	m := sa.request(peer.Informational)
	sa.t.only(m, peer.AuthenticationFailed)
	sa.answer(m)
	sa.t.counts(0, 0)
}

func wrongResponder(t *T) {
	for _, proof := range []func(sa *SA) []byte{
		func(sa *SA) []byte { return sa.Proof(false, "another key", sa.id.Body()) },
		func(*SA) []byte { return nil },
		func(sa *SA) []byte { return sa.Proof(true, t.Key, FQDN(DaemonID).Body()) }, // what the daemon sent
		func(sa *SA) []byte { return sa.Proof(false, t.Key, FQDN("else.example.net").Body()) },
	} {
		sa, auth := t.greeted()
		ps := sa.grant()
		ps[1] = peer.AuthPayload(2, proof(sa))
		sa.answer(auth, append(ps, sa.grantChild(auth)...)...)
		sa.rejected()
	}
}

func otherResponder(t *T) {
	sa, auth := t.greeted()
	sa.id = FQDN("else.example.net")
	sa.answer(auth, append(sa.grant(), sa.grantChild(auth)...)...)
	sa.rejected()
}

func childRefused(t *T) {
	for _, kind := range []uint16{peer.NoProposalChosen, peer.TSUnacceptable, peer.InternalAddressFailure, peer.FailedCPRequired, peer.SinglePairRequired} {
		sa, auth := t.greeted()
		sa.answer(auth, append(sa.grant(), peer.NotifyPayload(kind))...)
		t.counts(1, 0)
		sa.alive()
		sa.inform(peer.DeletePayload(peer.ProtoIKE))
		t.counts(0, 0)
	}
}

func authRefused(t *T) {
	for _, kind := range []uint16{peer.AuthenticationFailed, peer.InvalidSyntax, 8002} {
		sa, auth := t.greeted()
		sa.answer(auth, peer.NotifyPayload(kind))
		t.counts(0, 0)
	}
}

func unknownErrorWithAuth(t *T) {
	sa, auth := t.greeted()
	sa.answer(auth, append(sa.grant(), peer.NotifyPayload(8001))...)
	if d, ok := t.receive(silence, sa.ours); ok { // it may delete what it believes us to have
		m, _ := sa.open(d)
		if _, any := m.Deletes(peer.ProtoIKE); !any && len(m.Errors()) == 0 {
			t.Fatalf("the daemon goes on with %v", m)
		}
		sa.answer(m)
	}
	t.counts(0, 0)
}

func noisyAnswers(t *T) {
	t.order(Up)
	sa, m := t.called()
	answer := sa.welcome(m)
	answer.Payloads = append(answer.Payloads, peer.Payload{Type: peer.TypeVendor, Body: peer.Random(16)}, peer.NotifyPayload(44000), unknown(0))
	sa.accept(m, answer)
	auth := sa.request(peer.IKEAuth)
	sa.answer(auth, slices.Concat(sa.grant(), sa.grantChild(auth), []peer.Payload{peer.NotifyPayload(45000, 1), unknown(0), {Type: peer.TypeVendor}})...)
	t.counts(1, 1)
	sa.alive()
}

func malformedAuthAnswer(t *T) {
	for _, odd := range []peer.Oddities{
		{Inner: []byte{0, 0, 0, 3, 1}, InnerFirst: one(peer.TypeIDr)},
		{Inner: []byte{}, InnerFirst: one(peer.TypeAuth)},
		{Inner: []byte{}},
	} {
		sa, auth := t.greeted()
		t.send(sa.way, sa.Seal(sa.Reply(auth), odd))
		if d, ok := t.receive(silence, sa.ours); ok { // RFC 7296 section 2.21.2 lets the initiator tell so
			m, _ := sa.open(d)
			if errs := m.Errors(); m.Exchange != peer.Informational || len(errs) != 1 {
				t.Fatalf("the daemon goes on with %v", m)
			}
			sa.answer(m)
		}
		t.counts(0, 0)
	}
}

func childNotOffered(t *T) {
	for _, spoil := range []func(ps []peer.Payload, sa *SA){
		func(ps []peer.Payload, sa *SA) { ps[1] = peer.TSPayload(peer.TypeTSi, peer.Net("10.0.0.0/8")) },
		func(ps []peer.Payload, sa *SA) { ps[2] = peer.TSPayload(peer.TypeTSr, peer.Net("0.0.0.0/0")) },
		func(ps []peer.Payload, sa *SA) {
			ps[0] = peer.SAPayload(with(without(peer.ESPProposal(1, sa.in, 0), peer.ENCR), peer.Transform{Type: peer.ENCR, ID: 3}))
		},
		func(ps []peer.Payload, sa *SA) { ps[0] = peer.SAPayload(peer.ESPProposal(1, []byte{0, 0, 0, 7}, 0)) },
	} {
		sa, auth := t.greeted()
		child := sa.grantChild(auth)
		spoil(child, sa)
		sa.answer(auth, append(sa.grant(), child...)...)
		if d, ok := t.receive(silence, sa.ours); ok { // what we believe to be a child, the daemon may delete
			m, _ := sa.open(d)
			if _, any := m.Deletes(peer.ProtoESP); !any {
				t.Fatalf("the daemon goes on with %v", m)
			}
			sa.answer(m)
		}
		t.counts(1, 0)
		sa.inform(peer.DeletePayload(peer.ProtoIKE))
		t.counts(0, 0)
	}
}

func narrowedByPeer(t *T) {
	sa, auth := t.greeted()
	child := sa.grantChild(auth)
	s := peer.Net("10.1.5.0/24")
	s.Protocol, s.StartPort, s.EndPort = 6, 22, 22
	child[1] = peer.TSPayload(peer.TypeTSi, s)
	sa.answer(auth, append(sa.grant(), child...)...)
	t.counts(1, 1)
	sa.alive()
}

func allPorts(t *T) {
	_, auth := t.greeted()
	for _, kind := range []uint8{peer.TypeTSi, peer.TypeTSr} {
		for _, s := range must(peer.ParseTS(auth.Body(kind))) {
			if s.Protocol != 0 || s.StartPort != 0 || s.EndPort != 65535 {
				t.Errorf("a selector is %+v", s)
			}
		}
	}
}

func errorInResponse(t *T) {
	sa := t.up()
	t.order(DownChild)
	m := sa.request(peer.Informational)
	sa.answer(m, peer.NotifyPayload(8003), peer.NotifyPayload(peer.ChildSANotFound))
	t.counts(1, 0)
	sa.alive()
}

func criticalResponse(t *T) {
	sa := t.up()
	t.order(DownChild)
	m := sa.request(peer.Informational)
	sa.answer(m, peer.DeletePayload(peer.ProtoESP, sa.in), unknown(peer.Critical))
	if d, ok := t.receive(silence, sa.ours); ok { // it may end the SA
		next, _ := sa.open(d)
		if _, any := next.Deletes(peer.ProtoIKE); !any || next.Response() {
			t.Fatalf("the daemon goes on with %v", next)
		}
		sa.answer(next)
	}
	t.forget()
}

func earlyRequest(t *T) {
	sa, auth := t.greeted()
	early := sa.Request(peer.Informational)
	sa.push(early)
	sa.answer(auth, append(sa.grant(), sa.grantChild(auth)...)...)
	t.counts(1, 1)
	sa.again(early)
	sa.response(early)
	t.forget()
	sa.alive()
}
