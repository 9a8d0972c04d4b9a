package ikev2

import (
	"fmt"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
	"github.com/parley-ike/parley/sdk/secret"
)

// signedByInitiator and signedByResponder return what the AUTH payload of a side covers: its IKE_SA_INIT message as sent,
// the other's nonce, and its identity (RFC 7296 section 2.15).
func (s *SA) signedByInitiator(id wire2.IDi) []byte {
	return suite.SignedOctets(s.suite.PRF, s.initOf(true), s.nr, s.keys.PI, wire2.Body(id))
}

func (s *SA) signedByResponder(id wire2.IDr) []byte {
	return suite.SignedOctets(s.suite.PRF, s.initOf(false), s.ni, s.keys.PR, wire2.Body(id))
}

// initOf returns the IKE_SA_INIT message of the initiator or of the responder.
func (s *SA) initOf(initiator bool) []byte {
	if s.initiator == initiator {
		return s.ownInit
	}
	return s.peerInit
}

// sign is the op for our AUTH payload.
func (s *SA) sign(octets []byte, t terms) machine.Sign {
	return machine.Sign{Auth: s.conn.Local.Auth, Local: opIdentity(s.localID), Remote: opIdentity(s.remoteID),
		PRF: uint16(s.suite.PRF), Octets: octets, PeerHashes: t.hashes, Issuers: t.issuers}
}

// verify is the op for the peer's AUTH payload.
func (s *SA) verify(octets []byte, auth wire2.Auth, ps []wire2.Payload) machine.Verify {
	return machine.Verify{Auth: s.conn.Remote.Auth, Local: opIdentity(s.localID), Remote: opIdentity(s.remoteID),
		PRF: uint16(s.suite.PRF), Octets: octets, Method: uint8(auth.Method), Data: auth.Data, Certs: certificates(ps)}
}

// ownAuth returns our AUTH payload.
func ownAuth(r machine.Signed) wire2.Auth {
	return wire2.Auth{Method: wire2.AuthMethod(r.Method), Data: r.Data}
}

// identity returns who we are: as configured, else our address.
func (s *SA) identity() policy.Identity {
	if id := s.conn.Local.Identity; !id.IsAny() {
		return id
	}
	return policy.AddressIdentity(s.local.Addr())
}

// refusePeer tells why the peer's proof does not convince us, or that we have none to answer it with.
func (s *SA) refusePeer(method wire2.AuthMethod, f failure) {
	if f.cause == event.CauseNoCredential && s.conn.Local.Signs() {
		s.noProof(f)
		return
	}
	s.emit(event.AuthFailed{Side: "remote", Method: method.String(), LocalID: idText(s.localID), RemoteID: idText(s.remoteID),
		Cause: f.cause, Reason: f.reason})
}

// refusedByPeer tells that the peer does not accept our proof. It does not say why.
func (s *SA) refusedByPeer() failure {
	what := "compare the pre-shared key and the identities on both sides"
	if s.conn.Local.Signs() {
		what = "see that it trusts our certificate's issuer or our key, and that the identity stands in the certificate"
	}
	f := failure{cause: event.CauseAuthentication, notify: wire2.AuthenticationFailed, by: byPeer, reason: fmt.Sprintf(
		"the peer refused to authenticate us as %v: %s; the peer's log knows which", s.localID, what)}
	s.noProof(f)
	return f
}

// refusalOfAuth explains how a peer refused our part of IKE_AUTH.
func (s *SA) refusalOfAuth(kind wire2.NotifyType) failure {
	if kind == wire2.AuthenticationFailed {
		return s.refusedByPeer()
	}
	return refusalOf(kind, "IKE_AUTH")
}

// verdict turns a failed verification or signature into a failure.
func (s *SA) verdict(err *machine.CallError) failure {
	f := failure{cause: event.CausePlugin, notify: wire2.AuthenticationFailed, by: byUs, reason: "the authenticator failed: " + err.Error()}
	switch err.Kind {
	case machine.Refused:
		f.cause = event.CauseAuthentication
		f.reason = fmt.Sprintf("the proof of %v is wrong: with pre-shared keys, the two sides have different keys (%s)", s.remoteID, err.Text)
		if s.conn.Remote.Signs() {
			f.reason = fmt.Sprintf("the proof of %v does not convince us: %s", s.remoteID, err.Text)
		}
	case machine.NoCredential:
		f.cause = event.CauseNoCredential
		f.reason = fmt.Sprintf("there is no credential for %v and %v: %s", s.localID, s.remoteID, err.Text)
		if s.conn.Local.Signs() { // that the peer lacks one is Refused
			f.reason = fmt.Sprintf("we cannot prove that we are %v: %s", s.localID, err.Text)
		}
	case machine.Unsupported:
		f.cause = event.CauseUnsupported
		f.reason = "the authenticator does not know the peer's authentication method: " + err.Text
	}
	return f
}

// noProof tells that we cannot prove ourselves, or not to this peer.
func (s *SA) noProof(f failure) {
	s.emit(event.AuthFailed{Side: "local", LocalID: idText(s.localID), RemoteID: idText(s.remoteID), Cause: f.cause, Reason: f.reason})
}

// wipeTransport forgets the keys that have served: SK_e and SK_a live on in the protections, SK_d for SAs to come.
func (s *SA) wipeTransport() {
	for _, k := range []secret.Bytes{s.keys.PI, s.keys.PR, s.keys.EI, s.keys.ER, s.keys.AI, s.keys.AR} {
		k.Wipe()
	}
}

// establish ends IKE_AUTH: what only it needed is forgotten (RFC 7296 section 2.12).
func (s *SA) establish() {
	s.enter(Established)
	s.opened, s.lastHeard = s.now, s.now
	s.ownInit, s.peerInit, s.auth, s.candidates, s.ni, s.nr = nil, nil, nil, nil, nil, nil
	s.wipeTransport()
	s.openWindow()
	s.life = s.spanOf(s.conn.Lifetime)
	s.emit(event.IKEEstablished{IKE: s.describe(), InitialContact: s.session.contact, Redirected: s.session.elsewhere})
	s.tellWeak(scopeIKE, s.suite)
	if s.stopping != "" {
		s.deleteIKE(byOperator, s.stopping)
	}
	s.askVersion()
}
