package ikev1

import (
	"bytes"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// This file is main mode with public key encryption, and what aggressive mode shares with it; rsaenc.go shows the messages.

// sendHidden sends the third message of main mode.
func (x *phase1) sendHidden() {
	s := x.s
	x.ni = s.nonce()
	x.hide(x.ni, func(ps []wire1.Payload) {
		s.enter(Exchanging)
		s.transmit(&x.exchange, x.message(x.alsoInClear(ps)...), true)
	})
}

// alsoInClear adds what stands in clear behind an encrypted nonce: nothing does in the revised mode, where it is encrypted already.
func (x *phase1) alsoInClear(ps []wire1.Payload) []wire1.Payload {
	if x.s.base() == wire1.AuthRSAEncRevised {
		return ps
	}
	return append(ps, x.s.natDetection()...)
}

// answerHidden takes the third message as responder.
func (x *phase1) answerHidden(p packet) {
	x.s.enter(Agreeing)
	x.reveal(p, func(p packet, ok bool) {
		if x.known(p, ok) {
			x.s.detectNAT(p)
			x.respondHidden(p, x.answerKeysHidden)
		}
	})
}

// respondHidden derives the keys and hides our half of what they follow from, of which the nonces are wiped with the derivation.
func (x *phase1) respondHidden(p packet, then func([]wire1.Payload)) {
	nonce := x.s.nonce()
	x.ni, x.nr = x.peerNonce(p), bytes.Clone(nonce)
	x.respond(func() {
		x.hide(nonce, func(ps []wire1.Payload) {
			clear(nonce)
			then(ps)
		})
	})
}

// answerKeysHidden sends the fourth message.
func (x *phase1) answerKeysHidden(ps []wire1.Payload) {
	s := x.s
	s.enter(HalfOpen)
	s.transmit(&x.exchange, x.message(x.alsoInClear(ps)...), false)
}

// known finds the connection of a peer by the identity that it encrypted. A responder says nothing to one that it does not know, be the
// identity another or not decrypted at all.
func (x *phase1) known(p packet, ok bool) bool {
	s := x.s
	f := x.connectionOf(p, ok)
	if f != nil {
		f.notify = 0 // nothing is said
		s.authFailed(*f)
		s.fail(*f)
		return false
	}
	x.takeExchange(p)
	if s.base() == wire1.AuthRSAEncRevised {
		x.peerCerts = encryptionCerts(p.Payloads)
	}
	return true
}

// connectionOf selects the connection of what was decrypted, if it was: by implicit rejection a wrong key gives octets as well, that
// make no identity, or make one by chance.
func (x *phase1) connectionOf(p packet, ok bool) *failure {
	f := &failure{cause: event.CauseUnknownIdentity, by: byUs, reason: "what the peer encrypted makes no sense: it has not our public key, or means another side"}
	if !ok || x.takeID(p) != nil {
		return f
	}
	why := x.selectConnection()
	if why == nil {
		return nil
	}
	f.reason += "; as it reads, " + why.reason
	return f
}

// encryptionCerts returns the certificate that the initiator sent to be answered with.
func encryptionCerts(ps []wire1.Payload) (certs [][]byte) {
	for _, c := range wire1.All[wire1.Cert](ps) {
		if (c.Encoding == wire1.CertX509KE || c.Encoding == wire1.CertX509Signature) && len(certs) < maxPeerCerts {
			certs = append(certs, c.Data)
		}
	}
	return certs
}

// revealedAnswer takes the fourth message as initiator. Who sent it shows in the sixth: until then the identity is only noted.
func (x *phase1) revealedAnswer(p packet) {
	x.reveal(p, func(p packet, ok bool) {
		s := x.s
		if !ok {
			x.mistaken(failure{cause: event.CauseMalformed, by: byUs, reason: "what the peer encrypted makes no sense: it has not our public key, or the message was forged"})
			x.busy = false
			return
		}
		x.takeExchange(p)
		x.noteID(p)
		x.nr = x.peerNonce(p)
		s.detectNAT(p)
		x.finish(x.identify)
	})
}

// noteID keeps the peer's identity as it came, for HASH_R.
func (x *phase1) noteID(p packet) {
	id, _ := wire1.Get[wire1.ID](p.Payloads)
	x.peerID = &id
}

// answerDecrypted takes the fifth message: the peer has read our nonce.
func (x *phase1) answerDecrypted(p packet) {
	x.noteNotifies(p)
	x.busy = true
	x.verify(p, x.admitThen(x.answerProof))
}

// decrypted takes the sixth message: the peer has read our nonce, and only now is asked who it is.
func (x *phase1) decrypted(p packet) {
	s := x.s
	if claimed, err := policy.IdentityFromIKEv1(*x.peerID); err == nil {
		s.remoteID = claimed
	}
	x.noteNotifies(p)
	x.verify(p, func() {
		if f := x.takeNotedID(); f != nil {
			x.refuse(*f)
			return
		}
		x.closeBy()
		x.establish()
	})
}

// takeNotedID compares the identity of a peer that has proved it with the one of our connection.
func (x *phase1) takeNotedID() *failure {
	return x.expectPeer(packet{Message: wire1.Message{Payloads: []wire1.Payload{*x.peerID}}})
}

// identifying are the payloads that tell who we are with our proof; with public key encryption that was told before.
func (s *SA) identifying() []wire1.Payload {
	if s.decrypts() {
		return nil
	}
	return []wire1.Payload{s.ourID()}
}

// doubt says what may be wrong between the two sides when the peer says nothing to our proof.
func (s *SA) doubt() string {
	if s.decrypts() {
		return "the public keys may not match"
	}
	return "the pre-shared keys may differ"
}

// otherKeys says why the two sides may have come to different keys.
func (s *SA) otherKeys() string {
	switch {
	case s.decrypts():
		return "one side has not the public key of the other, or deviates from RFC 2409 in another way (rsa_deviation)"
	case s.signs():
		return "it was changed on its way"
	}
	return "the pre-shared keys of the two sides differ"
}
