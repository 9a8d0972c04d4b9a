package protocol

import (
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// Peers that answer twice, and peers that change their mind: what was said first under a message ID counts (RFC 7296 section
// 2.1), and what is in clear may be anybody's (section 2.21.1).
var mindCases = []Case{
	{IDs: ids("RFC7296-2.1-2", "RFC7296-2.21.4-1"), Title: "A second IKE_SA_INIT response, with another SPI, nonce and KE, changes nothing: the IKE SA is made with the first.", Run: secondInitAnswer},
	{IDs: ids("RFC7296-2.1-2", "RFC7296-2.21.4-1"), Title: "COOKIE, INVALID_KE_PAYLOAD, REDIRECT and refusals in clear after the IKE_SA_INIT response change nothing.", Run: initTakenBack, Settings: followsAway},
	{IDs: ids("RFC7296-2.6-4", "RFC7296-2.4-5"), Title: "A peer that asks for one cookie after the other is called a few times, and not for ever.", Run: endlessCookies},
	{IDs: ids("RFC7296-1.2-4", "RFC7296-2.4-5"), Title: "A peer that asks for one group, then for the other and again for the first, is called a few times, and not for ever.", Run: endlessGroups},
	{IDs: ids("RFC7296-2.1-2", "RFC7296-2.3-7"), Title: "An IKE_AUTH response that admits cannot be taken back by a refusal under the same message ID.", Run: admissionTakenBack},
	{IDs: ids("RFC7296-2.1-2", "RFC7296-2.21.2-4"), Title: "An IKE_AUTH response that refuses cannot be taken back by one that admits.", Run: refusalTakenBack},
	{IDs: ids("RFC7296-2.1-2", "RFC7296-2.3-7"), Title: "A second, different IKE_AUTH request under the same message ID gets no answer of its own: the first, right or wrong, decides.", Run: secondAuthRequest},
	{IDs: ids("RFC7296-2.1-2"), Title: "A first message under the SPI of an IKE SA that is up, with another nonce and KE, does not disturb it.", Run: firstMessageAgain},
	{IDs: ids("RFC7296-2.1-2", "RFC7296-2.3-7"), Title: "Of two answers to CREATE_CHILD_SA the first makes the child; the second, another child or a refusal, changes nothing.", Run: secondChildAnswer, Settings: two},
	{IDs: ids("RFC7296-1.3-2", "RFC7296-2.4-5"), Title: "A peer that answers every CREATE_CHILD_SA with INVALID_KE_PAYLOAD is asked a few times, and not for ever.", Run: endlessChildGroups, Settings: two},
	{IDs: ids("RFC7296-2.1-2", "RFC7296-2.3-7"), Title: "Of two answers to the rekeying of the IKE SA the first makes the new one.", Run: secondRenewal},
	{IDs: ids("RFC7296-2.1-2", "RFC7296-2.3-7"), Title: "A CREATE_CHILD_SA request that turns into a Delete, a rekeying or other selectors under its message ID makes one child and nothing else.", Run: requestTurns},
}

func secondInitAnswer(t *T) {
	t.order(Up)
	sa, call := t.called()
	sa.accept(call, sa.welcome(call))
	second := &SA{SA: &peer.SA{Suite: sa.Suite, SPIi: sa.SPIi, SPIr: peer.SPI64(), Nr: peer.Random(32)}, t: t, way: sa.way}
	t.send(sa.way, second.welcome(call).Encode())
	auth := sa.request(peer.IKEAuth)
	t.send(sa.way, second.welcome(call).Encode())
	sa.proven(auth)
	sa.answer(auth, append(sa.grant(), sa.grantChild(auth)...)...)
	t.counts(1, 1)
	t.send(sa.way, second.welcome(call).Encode())
	sa.alive()
}

func initTakenBack(t *T) {
	t.order(Up)
	sa, call := t.called()
	takeBack := func() {
		sa.refuse(call, peer.Cookie, peer.Random(20)...)
		sa.refuse(call, peer.InvalidKEPayload, 0, peer.P256)
		sa.refuse(call, peer.NoProposalChosen)
		sa.refuse(call, peer.AuthenticationFailed)
		sa.redirect(call, append(gatewayID(t.Peer), call.Body(peer.TypeNonce)...))
	}
	sa.accept(call, sa.welcome(call))
	takeBack()
	auth := sa.request(peer.IKEAuth)
	takeBack()
	sa.proven(auth)
	sa.answer(auth, append(sa.grant(), sa.grantChild(auth)...)...)
	t.counts(1, 1)
	takeBack()
	sa.alive()
}

// fewCalls is how many calls a peer may have from a daemon that it sends from one thing to the other.
const fewCalls = 20

// calls answers the daemon's first messages until no more come: some must, and not too many.
func (t *T) calls(answer func(sa *SA, call peer.Message)) {
	t.order(Up)
	for n := range fewCalls {
		d, ok := t.receive(2*silence, anyDatagram)
		if !ok && n < 2 {
			t.Fatalf("the daemon has called %d times", n)
		}
		if !ok {
			return
		}
		answer(&SA{t: t, way: path{t.ports[d.Local], d.Remote}}, t.decode(d))
	}
	t.Errorf("the daemon has called %d times", fewCalls)
}

func endlessCookies(t *T) {
	t.calls(func(sa *SA, call peer.Message) { sa.refuse(call, peer.Cookie, peer.Random(20)...) })
}

func endlessGroups(t *T) {
	t.calls(func(sa *SA, call peer.Message) {
		other := byte(peer.P256)
		if method(call) == peer.P256 {
			other = peer.X25519
		}
		sa.refuse(call, peer.InvalidKEPayload, 0, other)
	})
}

func admissionTakenBack(t *T) {
	sa, auth := t.greeted()
	sa.answer(auth, append(sa.grant(), sa.grantChild(auth)...)...)
	sa.answer(auth, peer.NotifyPayload(peer.AuthenticationFailed))
	t.counts(1, 1)
	sa.answer(auth, peer.NotifyPayload(peer.InvalidSyntax))
	sa.alive()
	t.counts(1, 1)
}

func refusalTakenBack(t *T) {
	sa, auth := t.greeted()
	sa.answer(auth, peer.NotifyPayload(peer.AuthenticationFailed))
	sa.answer(auth, append(sa.grant(), sa.grantChild(auth)...)...)
	t.quiet()
	t.counts(0, 0)
	sa.gone()
}

// wrongClaim is an IKE_AUTH request under a message ID that is taken, with a wrong AUTH.
func (sa *SA) wrongClaim(id uint32) peer.Message {
	own := sa.Own
	m := sa.claim()
	sa.Own, m.ID = own, id
	m.Payloads[2] = peer.AuthPayload(2, peer.Random(32))
	return m
}

func secondAuthRequest(t *T) {
	sa := t.begin()
	right := sa.claim()
	wrong := sa.wrongClaim(right.ID)
	t.send(sa.way, sa.seal(right))
	t.send(sa.way, sa.seal(wrong))
	sa.admitted(sa.response(right))
	t.send(sa.way, sa.seal(wrong))
	sa.alive()
	t.counts(1, 1)
	sa.inform(peer.DeletePayload(peer.ProtoIKE))
	t.counts(0, 0)

	sa = t.begin()
	right = sa.claim()
	wrong = sa.wrongClaim(right.ID)
	t.send(sa.way, sa.seal(wrong))
	t.send(sa.way, sa.seal(right))
	t.only(sa.response(right), peer.AuthenticationFailed)
	t.send(sa.way, sa.seal(right))
	t.quiet()
	t.counts(0, 0)
}

func firstMessageAgain(t *T) {
	sa := t.up()
	again := t.newSA(usual)
	again.SPIi = sa.SPIi
	t.send(sa.way, again.hello().Encode()) // it may make another half-open SA
	t.receive(silence, anyDatagram)
	sa.alive()
	t.counts(1, 1)
	sa.deleted(sa.inform(peer.DeletePayload(peer.ProtoESP, sa.in)))
}

func secondChildAnswer(t *T) {
	sa, m := t.createsSecond()
	first, ps := sa.agreeTo(m)
	second, others := sa.agreeTo(m)
	sa.answer(m, ps...)
	sa.answer(m, others...)
	sa.answer(m, peer.NotifyPayload(peer.NoAdditionalSAs))
	sa.inform()
	t.counts(1, 2)
	if m := sa.inform(peer.DeletePayload(peer.ProtoESP, second.spi)); len(m.Payloads) != 0 {
		t.Errorf("there is a child of the second answer: %v", m)
	}
	sa.deleted2(first)
	t.counts(1, 1)
}

func endlessChildGroups(t *T) {
	sa, m := t.createsSecond()
	for n := range fewCalls {
		sa.answer(m, peer.NotifyPayload(peer.InvalidKEPayload, 0, []byte{peer.P256, peer.X25519, peer.MODP2048}[n%3]))
		d, ok := t.receive(2*silence, sa.ours)
		if !ok {
			sa.alive()
			t.counts(1, 1)
			return
		}
		m, _ = sa.open(d)
		sa.Theirs = m.ID + 1
	}
	t.Errorf("the daemon has asked %d times", fewCalls)
}

func secondRenewal(t *T) {
	old := t.up()
	sa, m := old.daemonRenews()
	other := *sa
	otherPeer := *sa.SA
	other.SA, other.half = &otherPeer, peer.NewExchange(sa.Suite.Method)
	other.SPIr, other.Nr = peer.SPI64(), peer.Random(32)
	sa.consent(old, m)
	other.consent(old, m)
	old.answer(m, peer.NotifyPayload(peer.NoProposalChosen))
	del := old.request(peer.Informational)
	if _, any := del.Deletes(peer.ProtoIKE); !any {
		t.Fatalf("want a Delete of the old IKE SA: %v", del)
	}
	old.answer(del)
	sa.alive()
	t.counts(1, 1)
}

func requestTurns(t *T) {
	sa := t.up()
	o := sa.offers(0)
	m := sa.Request(peer.CreateChildSA, o.payloads()...)
	turned := [][]peer.Payload{sa.offers(0).payloads(), append([]peer.Payload{rekeySA(sa.in)}, sa.offers(0).payloads()...), {peer.DeletePayload(peer.ProtoIKE)}, nil}
	sa.push(m)
	for _, ps := range turned {
		other := m
		other.Payloads = ps
		t.send(sa.way, sa.seal(other))
		other.Exchange = peer.Informational
		t.send(sa.way, sa.seal(other))
	}
	answer := sa.response(m)
	o.made(answer)
	first := slices.Clone(o.out)
	sa.again(m) // before the next request, so that it is remembered
	o.made(sa.response(m))
	if !slices.Equal(first, o.out) {
		t.Errorf("a repetition is answered by SPI %x, and not %x", o.out, first)
	}
	sa.inform()
	t.counts(1, 2)
}
