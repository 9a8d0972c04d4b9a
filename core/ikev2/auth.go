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

// certX509Signature is the encoding of a certificate in DER (RFC 7296 section 3.6).
const certX509Signature = 4

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
func (s *SA) sign(octets []byte, peerHashes []uint16) machine.Sign {
	return machine.Sign{Auth: s.conn.Local.Auth, Local: opIdentity(s.localID), Remote: opIdentity(s.remoteID),
		PRF: uint16(s.suite.PRF), Octets: octets, PeerHashes: peerHashes}
}

// verify is the op for the peer's AUTH payload.
func (s *SA) verify(octets []byte, auth wire2.Auth, ps []wire2.Payload) machine.Verify {
	return machine.Verify{Auth: s.conn.Remote.Auth, Local: opIdentity(s.localID), Remote: opIdentity(s.remoteID),
		PRF: uint16(s.suite.PRF), Octets: octets, Method: uint8(auth.Method), Data: auth.Data, Certs: certificates(ps)}
}

// certificates returns the X.509 certificates of a message in order, the end certificate first (RFC 7296 section 3.6).
func certificates(ps []wire2.Payload) (certs [][]byte) {
	for _, p := range ps {
		if c, ok := p.(wire2.Cert); ok && c.Encoding == certX509Signature {
			certs = append(certs, c.Data)
		}
	}
	return certs
}

// proof returns the CERT and AUTH payloads of our side.
func proof(r machine.Signed) (ps []wire2.Payload) {
	for _, c := range r.Certs {
		ps = append(ps, wire2.Cert{Encoding: certX509Signature, Data: c})
	}
	return append(ps, wire2.Auth{Method: wire2.AuthMethod(r.Method), Data: r.Data})
}

// peerHashes returns the hash algorithms that the peer announced in IKE_SA_INIT (RFC 7427 section 4), nil for none.
func peerHashes(initMessage []byte) (list []uint16) {
	m, err := wire2.Parse(initMessage)
	if err != nil {
		return nil
	}
	n, _ := wire2.GetNotify(m.Payloads, wire2.SignatureHashAlgorithms)
	for d := n.Data; len(d) >= 2; d = d[2:] {
		list = append(list, uint16(d[0])<<8|uint16(d[1]))
	}
	return list
}

// identity returns who we are: as configured, else our address.
func (s *SA) identity() policy.Identity {
	if id := s.conn.Local.Identity; !id.IsAny() {
		return id
	}
	return policy.AddressIdentity(s.local.Addr())
}

// refusePeer tells why the peer's proof does not convince us.
func (s *SA) refusePeer(method wire2.AuthMethod, f failure) {
	s.emit(event.AuthFailed{Side: "remote", Method: method.String(), LocalID: idText(s.localID), RemoteID: idText(s.remoteID),
		Cause: f.cause, Reason: f.reason})
}

// refusedByPeer tells that the peer does not accept our proof. It does not say why.
func (s *SA) refusedByPeer() failure {
	f := failure{cause: event.CauseAuthentication, notify: wire2.AuthenticationFailed, by: byPeer, reason: fmt.Sprintf(
		"the peer refused to authenticate us as %v: compare the pre-shared key and the identities on both sides; the peer's log knows which",
		s.localID)}
	s.emit(event.AuthFailed{Side: "local", LocalID: idText(s.localID), RemoteID: idText(s.remoteID), Cause: f.cause, Reason: f.reason})
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
	case machine.NoCredential:
		f.cause = event.CauseNoCredential
		f.reason = fmt.Sprintf("there is no credential for %v and %v: %s", s.localID, s.remoteID, err.Text)
	case machine.Unsupported:
		f.cause = event.CauseUnsupported
		f.reason = "the authenticator does not know the peer's authentication method: " + err.Text
	}
	return f
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
	s.emit(event.IKEEstablished{IKE: s.describe(), InitialContact: s.session.contact})
	if s.stopping != "" {
		s.deleteIKE(byOperator, s.stopping)
	}
	s.askVersion()
}
