package ikev1

import (
	"fmt"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// This file is how the two sides prove themselves: with a pre-shared key by HASH_I and HASH_R themselves (RFC 2409 section 5.4), with
// signatures by signing these (section 5.1); rsaenc.go is about public key encryption.

const authPSK = policy.DefaultAuth

// authMethod is the method that an initiator offers.
func (s *SA) authMethod() wire1.AuthMethod { return s.methodsOf(s.conn)[0] }

// methodsOf lists the methods that a connection permits, the preferred one first. IKEv1 has one method for both sides.
func (s *SA) methodsOf(c *policy.Connection) []wire1.AuthMethod {
	switch {
	case c.Extended():
		return extendedMethods(c, s.initiator)
	case c.Local.Auth == policy.AuthRSAEncryption:
		return []wire1.AuthMethod{wire1.AuthRSAEnc}
	case c.Local.Auth == policy.AuthRevisedRSAEncryption:
		return []wire1.AuthMethod{wire1.AuthRSAEncRevised}
	case c.Local.Signs():
		return []wire1.AuthMethod{wire1.AuthRSASig, wire1.AuthECDSA256, wire1.AuthECDSA384, wire1.AuthECDSA521}
	}
	return []wire1.AuthMethod{wire1.AuthPSK}
}

// signs reports whether the method that was chosen is by signatures, be it of one side alone.
func (s *SA) signs() bool {
	return s.base() == wire1.AuthRSASig || s.base() >= wire1.AuthECDSA256 && s.base() <= wire1.AuthECDSA521
}

// prove makes our proof and goes on with then: the payloads behind our identity.
func (x *phase1) prove(id wire1.ID, then func([]wire1.Payload)) {
	hash := x.proof(x.s.initiator, id)
	if !x.s.weSign() {
		then(append(x.emptyCert(), wire1.Hash{Data: hash}))
		return
	}
	x.sign(hash, then)
}

// sign has an authenticator sign HASH_I or HASH_R.
func (x *phase1) sign(hash []byte, then func([]wire1.Payload)) {
	s := x.s
	x.busy = true
	peer := s.remoteID
	if peer.IsAny() { // as initiator of main mode
		peer = s.conn.Remote.Identity
	}
	op := machine.Sign{Version: 1, Auth: s.conn.Local.Auth, Local: opIdentity(s.localID), Remote: opIdentity(peer), PRF: uint16(s.suite.PRF), Octets: hash}
	ask(s, op, 0, func(r machine.Signed, err *machine.CallError) {
		switch {
		case err != nil:
			f := pluginFailure("our signature could not be made", err)
			if err.Kind == machine.NoCredential {
				f.cause = event.CauseNoCredential
			}
			s.authFailed(f)
			s.fail(f)
		case wire1.AuthMethod(r.Method) != s.base():
			s.fail(failure{cause: event.CauseUnsupported, by: byUs, reason: "our key signs by " + wire1.AuthMethod(r.Method).String() + ", and what was agreed on is " + s.method.String()})
		default:
			then(append(s.ownCerts(r), wire1.Sig{Data: r.Data}))
		}
	})
}

// ownCerts returns our CERT payloads, the certificate of the signing key first.
func (s *SA) ownCerts(r machine.Signed) (ps []wire1.Payload) {
	if s.conn.Local.SendCert == policy.CertificateNever {
		return nil
	}
	for _, c := range r.Certs {
		ps = append(ps, wire1.Cert{Encoding: wire1.CertX509Signature, Data: c})
	}
	return ps
}

// verifySignature has an authenticator check the peer's signature of HASH_I or HASH_R.
func (x *phase1) verifySignature(p packet, then func()) {
	s := x.s
	sig, _ := wire1.Get[wire1.Sig](p.Payloads)
	x.busy = true
	op := machine.Verify{Version: 1, Auth: s.conn.Remote.Auth, Local: opIdentity(s.localID), Remote: opIdentity(s.remoteID), PRF: uint16(s.suite.PRF),
		Octets: x.proof(!s.initiator, *x.peerID), Method: uint8(s.base()), Data: sig.Data, Certs: certificates(p.Payloads)}
	ask(s, op, 0, func(_ machine.Verified, err *machine.CallError) {
		switch {
		case err == nil:
			s.emit(event.AuthSucceeded{Method: s.method.String(), RemoteID: s.remoteID.String()})
			then()
		case err.Kind == machine.Refused:
			x.unproved("the proof of " + s.remoteID.String() + " does not convince us: " + err.Text)
		default:
			f := pluginFailure("the proof of "+s.remoteID.String()+" could not be checked", err)
			s.authFailed(f)
			x.refuse(f)
		}
	})
}

// expectPeer reads the responder's identity, which must be the one of our connection.
func (x *phase1) expectPeer(p packet) *failure {
	s := x.s
	if f := x.takeID(p); f != nil || s.conn.Remote.Identity.Matches(s.remoteID) {
		return f
	}
	f := failure{cause: event.CauseUnknownIdentity, notify: wire1.InvalidIDInformation, by: byUs, reason: fmt.Sprintf(
		"the peer is %v, and connection %q expects %v: set the remote identity to what the peer claims, or mend the peer's", s.remoteID, s.conn.Name, s.conn.Remote.Identity)}
	s.authFailed(f)
	return &f
}

// maxPeerCerts bounds the chain of a peer; chains with cross-signed authorities have some more than four.
const maxPeerCerts = 10

// certificates returns the peer's X.509 certificates in order, also those of a wrapped chain.
func certificates(ps []wire1.Payload) (certs [][]byte) {
	for _, c := range wire1.All[wire1.Cert](ps) {
		room := maxPeerCerts - len(certs)
		switch {
		case room == 0:
		case c.Encoding == wire1.CertX509Signature:
			certs = append(certs, c.Data)
		case c.Encoding == wire1.CertPKCS7:
			certs = append(certs, unwrap(c.Data, room)...)
		}
	}
	return certs
}

// certRequests asks for a certificate of any authority, when the peer signs (RFC 2408 section 3.10), or may: whoever begins
// aggressive mode asks before the method is chosen.
func (s *SA) certRequests() []wire1.Payload {
	if open := s.method == 0 && s.conn.Remote.Signs(); !open && !s.peerSigns() {
		return nil
	}
	return []wire1.Payload{wire1.CertReq{Encoding: wire1.CertX509Signature}}
}
