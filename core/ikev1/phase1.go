package ikev1

import (
	"fmt"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
	"github.com/parley-ike/parley/sdk/secret"
)

// phase1 is main mode or aggressive mode (RFC 2409 section 5): what the two have in common. When it is over it is kept, without
// secrets, to repeat its last message.
type phase1 struct {
	exchange
	s         *SA
	offer     wire1.SA // initiator's, as sent
	saBody    []byte   // SAi_b
	ni, nr    []byte   // Ni_b, Nr_b
	private   secret.Bytes
	public    []byte // our key exchange value
	peer      []byte // the peer's
	shared    secret.Bytes
	terms     policy.Terms
	suspicion *failure  // a sign of failure; anyone may have made it
	peerID    *wire1.ID // as it came
	contact   bool      // the peer said INITIAL-CONTACT
	alone     bool      // there are no other SAs of the peer
	peerCerts [][]byte  // that it wants to be encrypted to (RFC 2409 section 5.3)
	certAsked bool      // the peer asked for a certificate
	short     bool      // the peer's encrypted nonce is none, being too short or too long
}

func newPhase1(s *SA, kind wire.ExchangeType) *phase1 {
	return &phase1{exchange: exchange{kind: kind}, s: s}
}

// wipe overwrites what keys could be computed from.
func (x *phase1) wipe() {
	x.private.Wipe()
	x.shared.Wipe()
	x.private, x.shared = nil, nil
}

// message returns a message of phase 1 in clear.
func (x *phase1) message(ps ...wire1.Payload) []byte {
	return wire1.Message{Header: x.s.header(x.kind, 0), Payloads: ps}.Append(nil)
}

// value asks a plugin for our key exchange value.
func (x *phase1) value(then func()) {
	s := x.s
	x.busy = true
	ask(s, machine.KEInitiate{Method: uint16(s.suite.KE)}, 0, func(r machine.KEInitiated, err *machine.CallError) {
		if err != nil {
			s.fail(pluginFailure("the key exchange plugin could not make a value of "+s.suite.KE.String(), err))
			return
		}
		x.private, x.public = r.State, r.Public
		then()
	})
}

// finish computes the shared secret as initiator.
func (x *phase1) finish(then func()) {
	s := x.s
	s.enter(Agreeing)
	x.busy = true
	ask(s, machine.KEFinish{Method: uint16(s.suite.KE), State: x.private, Peer: x.peer}, 0, func(r machine.KEFinished, err *machine.CallError) {
		x.agreed(r.Secret, err, then)
	})
}

// respond computes our key exchange value and the shared secret as responder.
func (x *phase1) respond(then func()) {
	s := x.s
	s.enter(Agreeing)
	x.busy = true
	ask(s, machine.KERespond{Method: uint16(s.suite.KE), Peer: x.peer}, 0, func(r machine.KEResponded, err *machine.CallError) {
		x.public = r.Public
		x.agreed(r.Secret, err, then)
	})
}

// agreed goes on to the keys when the shared secret is there.
func (x *phase1) agreed(shared secret.Bytes, err *machine.CallError, then func()) {
	s := x.s
	if err != nil {
		s.fail(keFailure(s.suite.KE, err))
		return
	}
	x.shared = shared
	if s.signs() {
		id, err := suite.SKEYIDSignatures(s.suite.PRF, x.ni, x.nr, x.shared)
		x.derive(id, err, then)
		return
	}
	if s.decrypts() {
		x.encryptedSKEYID(then)
		return
	}
	x.preshared(then)
}

// preshared asks for SKEYID = prf(pre-shared-key, Ni_b | Nr_b), which only a credential store can compute (RFC 2409 section 5).
func (x *phase1) preshared(then func()) {
	s := x.s
	op := machine.SKEYID{Auth: s.conn.Local.Auth, Local: opIdentity(s.conn.Local.Identity), Remote: opIdentity(x.keyOf()),
		PRF: uint16(s.suite.PRF), Data: slices.Concat(x.ni, x.nr)}
	ask(s, op, 0, func(r machine.SKEYIDDerived, err *machine.CallError) {
		if err != nil {
			x.noKey(err)
			return
		}
		x.derive(r.Value, nil, then)
	})
}

// keyOf is the identity whose pre-shared key is used. In main mode the peer has not told its identity when the key is needed (RFC
// 2409 section 5.4): a connection for one peer knows it; else the key is that of the peer's address.
func (x *phase1) keyOf() policy.Identity {
	s := x.s
	if x.peerID != nil { // aggressive mode
		return s.remoteID
	}
	if id := s.conn.Remote.Identity; s.certain() && !id.IsPattern() {
		return id
	}
	return policy.AddressIdentity(s.remote.Addr())
}

// noKey ends phase 1 for want of a pre-shared key.
func (x *phase1) noKey(err *machine.CallError) {
	f := pluginFailure("SKEYID could not be computed", err)
	if err.Kind == machine.NoCredential {
		f = failure{cause: event.CauseNoCredential, by: byUs, reason: fmt.Sprintf(
			"there is no pre-shared key for %v, by which main mode has to find it before the peer tells who it is: %v", x.keyOf(), err)}
	}
	x.s.authFailed(f)
	x.s.fail(f)
}

// derive computes the keys of the SA and the first IV (RFC 2409 section 5, appendix B).
func (x *phase1) derive(skeyid secret.Bytes, err error, then func()) {
	s := x.s
	if err == nil {
		s.keys, err = suite.DeriveISAKMP(s.suite, skeyid, x.shared, s.cookieI, s.cookieR)
	}
	if err == nil {
		s.cipher, err = suite.NewISAKMPCipher(s.suite, &s.keys)
	}
	if err != nil {
		s.fail(failure{cause: event.CausePlugin, by: byUs, reason: "the keys could not be derived: " + err.Error()})
		return
	}
	s.export()
	x.iv = s.cipher.FirstIV(x.values())
	x.wipe()
	then()
}

// values returns g^xi and g^xr.
func (x *phase1) values() (gi, gr []byte) {
	if x.s.initiator {
		return x.public, x.peer
	}
	return x.peer, x.public
}

// proof returns HASH_I or HASH_R (RFC 2409 section 5).
func (x *phase1) proof(ofInitiator bool, id wire1.ID) []byte {
	s := x.s
	gi, gr := x.values()
	both := suite.PhaseOne{PublicI: gi, PublicR: gr, CookieI: s.cookieI, CookieR: s.cookieR, SAi: x.saBody}
	if ofInitiator {
		return s.keys.HashI(both, wire1.Body(id))
	}
	return s.keys.HashR(both, wire1.Body(id))
}

// ourID is our identity as it is sent: without protocol and port, which say nothing here (RFC3947-4-10).
func (s *SA) ourID() wire1.ID {
	if s.unnamed() {
		return wire1.ID{}
	}
	return wire1.ID{IDType: wire1.IDType(s.conn.Local.Identity.Type), Data: []byte(s.conn.Local.Identity.Data)}
}

// takeID reads the peer's identity. Its protocol and port are 0 and 0, or UDP and 500 (RFC 2407 section 4.6.2); some peers send
// UDP and 0, or 4500.
func (x *phase1) takeID(p packet) *failure {
	id, _ := wire1.Get[wire1.ID](p.Payloads)
	s := x.s
	f := failure{cause: event.CauseUnknownIdentity, notify: wire1.InvalidIDInformation, by: byUs}
	switch {
	case id.IDType == 0 && len(id.Data) == 0 && s.hybrid() && !s.peerSigns(): // a user is known by the password
		x.peerID, s.remoteID = &id, policy.AddressIdentity(s.remote.Addr())
		return nil
	case id.Protocol == 0 && id.Port == 0, id.Protocol == protoUDP && (id.Port == portIKE || id.Port == 0 || id.Port == portNAT):
	default:
		f.reason = fmt.Sprintf("the peer's identity is for protocol %d and port %d, not for IKE (RFC 2407 section 4.6.2)", id.Protocol, id.Port)
		return &f
	}
	claimed, err := policy.IdentityFromIKEv1(id)
	if err != nil {
		f.reason = "the peer's identity is unreadable: " + err.Error()
		return &f
	}
	x.peerID, s.remoteID = &id, claimed
	return nil
}

const protoUDP = 17

// checkHash compares HASH_I or HASH_R in constant time.
func (x *phase1) checkHash(p packet) bool {
	hash, _ := wire1.Get[wire1.Hash](p.Payloads)
	return suite.EqualHash(hash.Data, x.proof(!x.s.initiator, *x.peerID)) && !x.short
}

// verify checks the peer's proof and goes on with then. What proves nothing is ignored but for the explanation: anyone could have
// sent it in place of the peer.
func (x *phase1) verify(p packet, then func()) {
	s := x.s
	s.enter(Verifying)
	if s.peerSigns() {
		x.verifySignature(p, then)
		return
	}
	if !x.checkHash(p) {
		x.unproved(fmt.Sprintf("the proof of %v is wrong: %s", s.remoteID, s.otherKeys()))
		return
	}
	if !s.signs() { // else it is a user, who proves nothing yet
		s.emit(event.AuthSucceeded{Method: s.method.String(), RemoteID: s.remoteID.String()})
	}
	then()
}

// unproved ends phase 1 because the peer is not who it claims to be.
func (x *phase1) unproved(reason string) {
	f := failure{cause: event.CauseAuthentication, notify: wire1.AuthenticationFailed, by: byUs, reason: reason}
	x.s.authFailed(f)
	x.refuse(f)
}

// refuse ends phase 1 and tells the peer why, under the keys of phase 1 (RFC2408-4.8-1). A responder believes the SA established
// after the last message of main mode, and has to be told that it is not.
func (x *phase1) refuse(f failure) {
	s := x.s
	if s.keys.A != nil && f.notify != 0 {
		s.inform(s.notify(f.notify))
	}
	if s.keys.A != nil && s.initiator {
		s.inform(s.deletion())
	}
	s.fail(f)
}

// establish ends phase 1. Its last message is kept, should it be ours and the peer have missed it.
func (x *phase1) establish() {
	s := x.s
	s.lastIV = x.iv
	x.wipe()
	x.busy, x.again = false, never
	x.until = s.now.Add(s.limits.Linger)
	s.lastHeard, s.candidates = s.now, nil
	s.life = s.spanOf(x.terms.Bound(s.conn.Lifetime))
	s.mode, s.session.contact = x.kind, x.contact
	s.dpd.begin(s)
	x.tellLifetime()
	s.extend()
}
