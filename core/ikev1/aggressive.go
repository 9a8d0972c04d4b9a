package ikev1

import (
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// This file is aggressive mode (RFC 2409 section 5):
//
//	HDR, SA, KE, Ni, IDii  -->
//	                       <--  HDR, SA, KE, Nr, IDir, HASH_R
//	HDR*, HASH_I           -->
//
// With a pre-shared key the second message is all that is needed to guess keys offline, so that a connection must permit us to send it.

// beginAggressive begins as initiator. All of what we offer has one group, because our value of it goes with the offer.
func (s *SA) beginAggressive(offer wire1.SA) {
	x := newPhase1(s, wire1.Aggressive)
	x.offer, x.saBody, s.phase1 = offer, wire1.Body(offer), x
	s.suite = suite.Suite{KE: suite.KEID(policy.FirstGroup(s.conn.IKE))}
	s.localID = s.conn.Local.Identity
	x.ni = s.nonce()
	s.enter(Preparing)
	if s.decrypts() {
		x.value(x.sendAggressiveHidden)
		return
	}
	x.value(x.sendAggressive)
}

// sendAggressive sends the first message.
func (x *phase1) sendAggressive() {
	s := x.s
	ps := append([]wire1.Payload{x.offer, wire1.KE{Data: x.public}, wire1.Nonce{Data: x.ni}, s.ourID()}, s.certRequests()...)
	s.enter(Proposed)
	s.transmit(&x.exchange, x.message(append(ps, s.vendorIDs()...)...), true)
}

// aggressiveAnswered takes the second message, which anyone may have sent: its proof is checked before it counts.
func (x *phase1) aggressiveAnswered(p packet) {
	s := x.s
	if !x.accept(p) {
		return
	}
	x.takeExchange(p)
	x.nr = x.peerNonce(p)
	if f := x.expectPeer(p); f != nil {
		s.fail(*f)
		return
	}
	x.finish(func() {
		s.detectNAT(p)
		x.verify(p, x.admitThen(func() { x.prove(s.ourID(), x.sendProof) }))
	})
}

// sendProof sends the third message, which ends phase 1: encrypted, and over port 4500 where a NAT was found (RFC 3947 section 4).
func (x *phase1) sendProof(proof []wire1.Payload) {
	s := x.s
	s.float()
	s.transmit(&x.exchange, s.seal(&x.exchange, append(proof, s.natDetection()...)), false)
	if contact := s.contactNotify(x); len(contact) > 0 { // HASH_I does not cover a notify beside it (RFC2407-4.6.3-2)
		s.inform(contact...)
	}
	x.establish()
}

// answerAggressive takes the first message as responder.
func (x *phase1) answerAggressive(p packet) {
	s := x.s
	if !x.choose(p) {
		return
	}
	if s.decrypts() {
		x.answerAggressiveHidden(p)
		return
	}
	f := x.takeID(p)
	if f == nil {
		f = x.selectConnection()
	}
	if f != nil {
		x.refuse(*f)
		return
	}
	x.takeExchange(p)
	x.ni, x.nr = x.peerNonce(p), s.nonce()
	s.deadline = s.now.Add(s.conn.HalfOpen)
	x.respond(func() { x.prove(s.ourID(), x.answerAggressively) })
}

// answerAggressively sends the second message.
func (x *phase1) answerAggressively(proof []wire1.Payload) {
	s := x.s
	ps := append([]wire1.Payload{x.terms.Answer, wire1.KE{Data: x.public}, wire1.Nonce{Data: x.nr}, s.ourID()}, proof...)
	ps = append(append(ps, s.natDetection()...), s.vendorIDs()...)
	s.enter(HalfOpen)
	s.transmit(&x.exchange, x.message(append(ps, s.certRequests()...)...), false)
}

// answerAggressiveProof takes the third message.
func (x *phase1) answerAggressiveProof(p packet) {
	s := x.s
	s.detectNAT(p)
	x.noteNotifies(p)
	x.busy = true
	x.verify(p, x.admitThen(func() {
		x.closeBy()
		x.establish()
	}))
}
