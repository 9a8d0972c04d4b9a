package ikev1

import (
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// This file is about the methods of phase 1 that promise extended authentication (draft-beaulieu-ike-xauth-02 section 7.2), and about
// hybrid authentication, in which a user proves nothing but who they are (draft-ietf-ipsec-isakmp-hybrid-auth-05).

// extendedMethods lists the methods of a connection with a user, by whether we begin: each names who the user is.
func extendedMethods(c *policy.Connection, initiator bool) []wire1.AuthMethod {
	pick := func(ofInitiator, ofResponder wire1.AuthMethod) []wire1.AuthMethod {
		if c.Local.Extended() == initiator {
			return []wire1.AuthMethod{ofInitiator}
		}
		return []wire1.AuthMethod{ofResponder}
	}
	switch {
	case c.Hybrid():
		return pick(wire1.AuthHybridInitRSA, wire1.AuthHybridRespRSA)
	case c.Local.Auth == policy.AuthRSAEncryption:
		return pick(wire1.AuthXAuthInitEnc, wire1.AuthXAuthRespEnc)
	case c.Local.Auth == policy.AuthRevisedRSAEncryption:
		return pick(wire1.AuthXAuthInitRev, wire1.AuthXAuthRespRev)
	case c.Local.Signs():
		return pick(wire1.AuthXAuthInitRSA, wire1.AuthXAuthRespRSA)
	}
	return pick(wire1.AuthXAuthInitPSK, wire1.AuthXAuthRespPSK)
}

// base is the method by which phase 1 itself goes.
func (s *SA) base() wire1.AuthMethod { return s.method.Base() }

// hybrid reports whether the user's side proves nothing in phase 1: it sends the HASH that it would have signed (section 4.2).
func (s *SA) hybrid() bool {
	return s.method >= wire1.AuthHybridInitRSA && s.method <= wire1.AuthHybridRespDSS
}

// weSign and peerSigns report whether a side proves itself by a signature.
func (s *SA) weSign() bool    { return s.signs() && !(s.hybrid() && s.conn.Local.Extended()) }
func (s *SA) peerSigns() bool { return s.signs() && !(s.hybrid() && s.conn.Remote.Extended()) }

// unnamed reports whether our identity stays untold: that of a user need not be known before the password is (section 4.2), unless it
// is a name by which the peer knows a group.
func (s *SA) unnamed() bool {
	return s.hybrid() && s.conn.Local.Extended() && s.conn.Local.Identity.IsAddress()
}

// consents reports whether a peer that agreed on a method of extended authentication knows it: its numbers are for private use, and
// the vendor ID says what they mean (draft-beaulieu-ike-xauth-02 section 4).
func (s *SA) consents(method wire1.AuthMethod) *failure {
	if !method.IsXAuth() || s.xauthAble {
		return nil
	}
	return &failure{cause: event.CauseUnsupported, notify: wire1.NoProposalChosen, by: byUs,
		reason: "what was chosen is " + method.String() + ", and the peer did not send the vendor ID of XAUTH, without which that number means nothing"}
}

// emptyCert is what a user who has no certificate sends when one is asked for (draft-ietf-ipsec-isakmp-hybrid-auth-05 section 4.2).
func (x *phase1) emptyCert() []wire1.Payload {
	if !x.s.hybrid() || !x.certAsked {
		return nil
	}
	return []wire1.Payload{wire1.Cert{Encoding: wire1.CertX509Signature}}
}
