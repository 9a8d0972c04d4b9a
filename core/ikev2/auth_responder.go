package ikev2

import (
	"fmt"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// authR is the IKE_AUTH exchange of a responder. Fields are set by replies; step says what is due.
type authR struct {
	s        *SA
	packet   packet
	method   wire2.AuthMethod
	spi      uint32   // our inbound ESP SPI, 0 until allocated
	childErr *failure // why there will be no child (RFC 7296 section 2.21.2)
	proof    *machine.Signed
	alone    sole // whether there is a place beside other SAs of the peer
}

// answerAuth finds the connection by the identities and has the peer's proof checked. An identity that nobody expects
// gets the same answer as a wrong key.
func (s *SA) answerAuth(p packet) {
	x := &authR{s: s, packet: p}
	idi, _ := wire2.Get[wire2.IDi](p.Payloads)
	auth, proves := wire2.Get[wire2.Auth](p.Payloads)
	x.method = auth.Method
	s.enter(Verifying)
	if f := s.selectConnection(p); f != nil {
		x.reject(*f)
		return
	}
	if !proves {
		x.reject(failure{cause: event.CauseUnsupported, notify: wire2.AuthenticationFailed, by: byUs,
			reason: "the peer wants to authenticate by EAP, which is not supported"})
		return
	}
	idr := wire2.IDr(s.localID.Wire())
	ask(s, machine.Authenticate{
		Verify: s.verify(s.signedByInitiator(idi), auth, p.Payloads),
		Sign:   s.sign(s.signedByResponder(idr), peerHashes(s.peerInit)),
	}, 0, x.authenticated)
	ask(s, machine.AllocateSPI{Backend: x.backend(), Local: s.local.Addr(), Remote: s.remote.Addr()}, 0, x.allocated)
}

// selectConnection settles which candidate the peer means, and who both sides are.
func (s *SA) selectConnection(p packet) *failure {
	idi, _ := wire2.Get[wire2.IDi](p.Payloads)
	claimed, err := policy.IdentityFromWire(wire2.ID(idi))
	s.remoteID = claimed
	if err == nil {
		var conn *policy.Connection
		if conn, err = policy.Select(s.candidates, claimed, wish(p.Payloads)); err == nil {
			s.conn, s.named = conn, true
			s.localID = s.identity()
			return nil
		}
	}
	return &failure{cause: event.CauseUnknownIdentity, notify: wire2.AuthenticationFailed, by: byUs,
		reason: fmt.Sprintf("no connection from %s expects a peer that calls itself %v: %v", s.remote.Addr(), claimed, err)}
}

// wish returns whom the initiator wants to talk to, nil when it does not say (IDr of RFC 7296 section 1.2).
func wish(ps []wire2.Payload) *policy.Identity {
	idr, ok := wire2.Get[wire2.IDr](ps)
	if !ok {
		return nil
	}
	id, err := policy.IdentityFromWire(wire2.ID(idr))
	if err != nil {
		return nil
	}
	return &id
}

// backend is where the first child goes. The SPI is taken before the child is chosen, so all children of a connection that
// we answer for share one backend.
func (x *authR) backend() string {
	if len(x.s.conn.Children) == 0 {
		return ""
	}
	return x.s.conn.Children[0].Backend
}

func (x *authR) authenticated(r machine.Authenticated, err *machine.CallError) {
	s := x.s
	if err == nil {
		err = s.proved(r.Verified.Remote)
	}
	if err != nil {
		x.reject(s.verdict(err))
		return
	}
	s.emit(event.AuthSucceeded{Method: x.method.String(), RemoteID: s.remoteID.String()})
	s.noticeAll(x.packet)
	s.noteContact(x.packet)
	x.proof = &r.Signed
	s.admit(x.admitted)
}

func (x *authR) allocated(r machine.AllocatedSPI, err *machine.CallError) {
	if err == nil && r.SPI < minSPI {
		err = &machine.CallError{Kind: machine.Internal, Text: fmt.Sprintf("it gave the reserved SPI %d", r.SPI)}
	}
	if err != nil {
		x.childErr = &failure{cause: event.CauseInstall, notify: wire2.TemporaryFailure, by: byUs,
			reason: "the SA backend gave no SPI: " + err.Error()}
	}
	x.spi = r.SPI
	x.step()
}

// step installs the child when the peer is authenticated and the SPI is there, or answers without a child.
func (x *authR) step() {
	s := x.s
	if s.state != Verifying || x.proof == nil || !x.alone.settled || x.spi == 0 && x.childErr == nil {
		return
	}
	s.enter(Installing)
	if x.childErr != nil {
		x.finish(nil, nil)
		return
	}
	c, answer, f := x.chooseChild()
	if f != nil {
		x.childErr = f
		x.finish(nil, nil)
		return
	}
	s.install(c, func(err *machine.CallError) {
		x.childErr = s.childInstalled(c, err)
		x.finish(c, answer)
	})
}

// finish answers IKE_AUTH: IDr, [CERT], AUTH, and the child or the reason why there is none (RFC 7296 section 2.21.2).
func (x *authR) finish(c *child, answer []wire2.Payload) {
	s := x.s
	ps := append([]wire2.Payload{wire2.IDr(s.localID.Wire())}, proof(*x.proof)...)
	if x.childErr != nil {
		answer = []wire2.Payload{wire2.Notify{Kind: x.childErr.notify}}
	}
	s.respond(append(ps, answer...)...)
	if s.state != Installing { // the response could not be sent
		return
	}
	s.establish()
	if x.childErr != nil {
		s.childFailed(x.childName(), *x.childErr)
		return
	}
	s.announce(c)
}

// childName names the child that the peer must have meant, for the report that it failed.
func (x *authR) childName() string {
	if len(x.s.conn.Children) == 0 {
		return ""
	}
	return x.s.conn.Children[0].Name
}

// reject ends the SA with AUTHENTICATION_FAILED, whatever the reason (RFC 7296 section 2.21.2). The response is kept for a
// while, so that the peer learns of it even when it is lost once.
func (x *authR) reject(f failure) {
	s := x.s
	s.refusePeer(x.method, f)
	s.respond(wire2.Notify{Kind: wire2.AuthenticationFailed})
	s.failAndLinger(f)
}
