package ikev1

import (
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// This file is aggressive mode with public key encryption (RFC 2409 sections 5.2 and 5.3). Vendor IDs stand before the nonce, because in
// the revised mode all behind it is encrypted.

// onlyOne leaves the first transform of an offer, and takes it as chosen: the key that encrypts the first message of the revised mode
// follows from the cipher and hash, which nobody has agreed to yet.
func (x *phase1) onlyOne() {
	s := x.s
	p := x.offer.Proposals[0]
	p.Transforms = p.Transforms[:1]
	x.offer.Proposals = []wire1.Proposal{p}
	x.saBody = wire1.Body(x.offer)
	if choice, err := policy.AcceptPhase1(x.offer, x.offer); err == nil {
		s.suite = choice.Suite
	}
}

// sendAggressiveHidden sends the first message.
func (x *phase1) sendAggressiveHidden() {
	s := x.s
	if s.base() == wire1.AuthRSAEncRevised {
		x.onlyOne()
	}
	x.hide(x.ni, func(ps []wire1.Payload) {
		s.enter(Proposed)
		s.transmit(&x.exchange, x.message(append(append([]wire1.Payload{x.offer}, s.vendorIDs()...), ps...)...), true)
	})
}

// aggressiveRevealed takes the second message, which anyone may have sent: its proof is checked before it counts.
func (x *phase1) aggressiveRevealed(p packet) {
	s := x.s
	if !x.accept(p) {
		return
	}
	x.reveal(p, func(p packet, ok bool) {
		x.noteID(p)
		if ok {
			x.takeExchange(p)
		}
		x.nr = x.peerNonce(p)
		if f := x.takeNotedID(); f != nil {
			s.fail(*f)
			return
		}
		x.finish(func() {
			s.detectNAT(p)
			x.verify(p, x.admitThen(func() { x.prove(s.ourID(), x.sendProof) }))
		})
	})
}

// answerAggressiveHidden takes the first message as responder.
func (x *phase1) answerAggressiveHidden(p packet) {
	s := x.s
	s.deadline = s.now.Add(s.conn.HalfOpen)
	s.enter(Agreeing)
	x.reveal(p, func(p packet, ok bool) {
		if x.known(p, ok) {
			x.respondHidden(p, func(hidden []wire1.Payload) {
				x.prove(s.ourID(), func(proof []wire1.Payload) { x.answerAggressivelyHidden(hidden, proof) })
			})
		}
	})
}

// answerAggressivelyHidden sends the second message.
func (x *phase1) answerAggressivelyHidden(hidden, proof []wire1.Payload) {
	s := x.s
	ps := append([]wire1.Payload{x.terms.Answer}, s.vendorIDs()...)
	ps = append(append(ps, x.alsoInClear(hidden)...), proof...)
	s.enter(HalfOpen)
	s.transmit(&x.exchange, x.message(ps...), false)
}
