package ikev1

import (
	"fmt"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// This file is main mode as initiator (RFC 2409 section 5):
//
//	HDR, SA           -->
//	                  <--  HDR, SA
//	HDR, KE, Ni       -->
//	                  <--  HDR, KE, Nr
//	HDR*, IDii, HASH  -->
//	                  <--  HDR*, IDir, HASH

// initiate starts the SA, or adds children to one that is established.
func (s *SA) initiate(in machine.Initiate) {
	switch {
	case s.state == Established:
		s.want(s.orFirst(in.Children))
		return
	case s.state != Idle && s.state < Established && s.initiator:
		s.session.names = append(s.session.names, s.orFirst(in.Children)...)
		return
	case s.state != Idle || !s.initiator:
		return
	}
	s.session = session{names: in.Children, replaces: in.Replaces}
	s.inner.had = in.Wants
	if in.Replaces == (event.UID{}) {
		s.session.names = s.orFirst(in.Children)
	}
	s.emit(event.IKEInitiated{IKE: s.describe()})
	s.method = s.authMethod()
	offer, f := s.propose()
	if f != nil {
		s.fail(*f)
		return
	}
	if s.conn.Aggressive {
		s.beginAggressive(offer)
		return
	}
	x := newPhase1(s, wire1.MainMode)
	x.offer, x.saBody, s.phase1 = offer, wire1.Body(offer), x
	s.enter(Proposed)
	s.transmit(&x.exchange, x.message(append([]wire1.Payload{offer}, s.vendorIDs()...)...), true)
}

// propose returns the SA payload of phase 1: several transforms in one proposal (RFC2409-5-10, RFC2409-5-11).
func (s *SA) propose() (wire1.SA, *failure) {
	proposals := s.conn.IKE
	if s.conn.Aggressive { // the group cannot be negotiated (RFC 2409 section 5)
		proposals = policy.OnlyKE(proposals, policy.FirstGroup(proposals))
	}
	offer := policy.OfferPhase1(proposals, s.method, s.conn.Lifetime.Time)
	if len(offer.Proposals) == 0 {
		return offer, &failure{cause: event.CauseUnsupported, by: byUs, reason: fmt.Sprintf(
			"connection %q has no IKE proposal that IKEv1 can do: it needs AES-CBC, a hash and a key exchange method, such as \"aes256-sha256-modp2048\"", s.conn.Name)}
	}
	return offer, nil
}

// proposalAnswered takes the responder's choice.
func (x *phase1) proposalAnswered(p packet) {
	s := x.s
	if !x.accept(p) {
		return
	}
	s.enter(Preparing)
	x.value(x.sendExchange)
}

// accept checks that the choice is one of those that we offered, unchanged (RFC2409-5-13, RFC2408-4.2-7). The responder's cookie is
// that of the answer.
func (x *phase1) accept(p packet) bool {
	s := x.s
	answer, _ := wire1.Get[wire1.SA](p.Payloads)
	choice, err := policy.AcceptPhase1(x.offer, answer)
	switch {
	case err != nil:
		x.mistaken(failure{cause: event.CauseNoProposal, by: byUs, reason: "the peer's answer is not what we offered: " + err.Error()})
	case p.Header.ResponderSPI == 0:
		x.mistaken(failure{cause: event.CauseMalformed, by: byUs, reason: "the peer's answer has no responder cookie"})
	default:
		s.detectVendors(p)
		if f := s.consents(choice.Method); f != nil {
			x.mistaken(*f)
			return false
		}
		s.cookieR = p.Header.ResponderSPI
		s.suite, s.method, x.terms = choice.Suite, choice.Method, choice
		s.tellSuite()
		return true
	}
	return false
}

// mistaken drops an answer that makes no sense, as if it had not come: it may be forged, and the real one follow.
func (x *phase1) mistaken(f failure) {
	x.taken, x.again = false, x.s.now.Add(x.s.conn.Retransmit.After(x.tries-1))
	x.s.suspect(f)
}

// sendExchange sends the third message.
func (x *phase1) sendExchange() {
	s := x.s
	if s.decrypts() {
		x.sendHidden()
		return
	}
	x.ni = s.nonce()
	ps := append([]wire1.Payload{wire1.KE{Data: x.public}, wire1.Nonce{Data: x.ni}}, s.certRequests()...)
	s.enter(Exchanging)
	s.transmit(&x.exchange, x.message(append(ps, s.natDetection()...)...), true)
}

// exchanged takes the responder's key exchange value and nonce.
func (x *phase1) exchanged(p packet) {
	s := x.s
	x.takeExchange(p)
	x.nr = x.peerNonce(p)
	s.detectNAT(p)
	x.finish(x.identify)
}

// takeExchange notes the peer's key exchange value.
func (x *phase1) takeExchange(p packet) {
	ke, _ := wire1.Get[wire1.KE](p.Payloads)
	x.peer = ke.Data
}

func (x *phase1) peerNonce(p packet) []byte {
	nonce, _ := wire1.Get[wire1.Nonce](p.Payloads)
	return nonce.Data
}

// identify asks whether there is a place for the SA and then sends the fifth message, over port 4500 where a NAT was found
// (RFC3947-4-1).
func (x *phase1) identify() {
	s := x.s
	s.localID = s.conn.Local.Identity
	s.enter(Signing)
	if s.conn.Remote.Extended() { // who it is for is known when its user is
		x.prove(s.ourID(), x.sendIdentity)
		return
	}
	s.admit(func(r machine.Admitted, err *machine.CallError) {
		if f := s.notAdmitted(r, err); f != nil {
			s.fail(*f)
			return
		}
		x.alone = r.Others == 0
		x.prove(s.ourID(), x.sendIdentity)
	})
}

func (x *phase1) sendIdentity(proof []wire1.Payload) {
	s := x.s
	s.float()
	ps := append(s.identifying(), proof...)
	s.enter(Identifying)
	s.transmit(&x.exchange, s.seal(&x.exchange, append(ps, s.contactNotify(x)...)), true)
}

// identified takes the responder's identity and proof.
func (x *phase1) identified(p packet) {
	if f := x.expectPeer(p); f != nil {
		x.refuse(*f)
		return
	}
	x.noteNotifies(p)
	x.verify(p, func() {
		x.closeBy()
		x.establish()
	})
}
