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
	asked    bool // the peer wants our certificate
	offer    offer
	wanted   bool       // the peer wants a child
	agreed   *agreement // about the child, nil for none
	childErr *failure   // why there will be no child (RFC 7296 section 2.21.2)
	proof    *machine.Signed
	lease    lease
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
	if f := oddCertificates(p.Payloads); f != nil {
		x.reject(*f)
		return
	}
	t := s.termsFor(p.Payloads)
	x.asked = t.asked
	x.authenticate(s.verify(s.signedByInitiator(idi), auth, p.Payloads), s.sign(s.signedByResponder(wire2.IDr(s.localID.Wire())), t))
	_, x.wanted = wire2.Get[wire2.SA](p.Payloads)
	x.wanted = x.wanted && !s.redirects(policy.RedirectAuth) // no child then (RFC 5685 section 6)
	x.offer = s.childOffer(p)
	if len(s.conn.Pools) == 0 { // else the peer's addresses come first
		x.noLease()
	}
}

// authenticate has the peer's proof checked and then ours made, by one call where one authenticator does both.
func (x *authR) authenticate(v machine.Verify, our machine.Sign) {
	if v.Auth == our.Auth {
		ask(x.s, machine.Authenticate{Verify: v, Sign: our}, 0, x.authenticated)
		return
	}
	ask(x.s, v, 0, func(verified machine.Verified, err *machine.CallError) {
		if err != nil {
			x.authenticated(machine.Authenticated{}, err)
			return
		}
		ask(x.s, our, 0, func(signed machine.Signed, err *machine.CallError) {
			x.authenticated(machine.Authenticated{Verified: verified, Signed: signed}, err)
		})
	})
}

// choose settles which child is to be made, and gets an SPI for it.
func (x *authR) choose() {
	if !x.wanted || x.s.conn.Childless == policy.ChildlessForce {
		return
	}
	if x.agreed = x.offer.pick(x.s.conn.Children); x.agreed != nil {
		x.s.reserve(x.agreed.conf.Backend, x.allocated)
	}
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
	if s.conn.MOBIKE && forbidden(x.packet) { // RFC 4555 section 3.9
		s.respond(wire2.Notify{Kind: wire2.UnexpectedNATDetected})
		s.failAndLinger(failure{cause: event.CauseUnsupported, notify: wire2.UnexpectedNATDetected, by: byUs,
			reason: "something between us changes addresses, and the peer knows no NAT traversal"})
		return
	}
	s.learnWindow(x.packet)
	s.noteContact(x.packet)
	s.agreeMOBIKE(x.packet)
	x.proof = &r.Signed
	s.admit(x.admitted)
}

func (x *authR) allocated(spi uint32, err *machine.CallError) {
	if err != nil {
		f := noSPI(err)
		x.childErr = &f
	}
	x.agreed.spi = spi
	x.step()
}

// step installs the child when the peer is authenticated and the SPI is there, or answers without a child.
func (x *authR) step() {
	s := x.s
	if s.state != Verifying || x.proof == nil || !x.alone.settled || !x.addressed() || x.waits() {
		return
	}
	s.enter(Installing)
	if x.agreed == nil && x.wanted && x.childErr == nil {
		x.childErr = x.noChild()
	}
	c := x.makeChild()
	if c == nil {
		x.finish(nil)
		return
	}
	s.install(c, func(err *machine.CallError) {
		x.childErr = s.childInstalled(c, err)
		x.finish(c)
	})
}

// waits reports whether an SPI is due.
func (x *authR) waits() bool { return x.agreed != nil && x.agreed.spi == 0 && x.childErr == nil }

// makeChild returns the child that was agreed on, nil when there is to be none.
func (x *authR) makeChild() *child {
	s := x.s
	if x.childErr != nil || x.agreed == nil {
		return nil
	}
	x.agreed.ni, x.agreed.nr = s.ni, s.nr
	c, err := s.newChild(*x.agreed)
	if err != nil {
		s.calls.Free(x.agreed.spi)
		x.childErr = keysFailure(err)
		return nil
	}
	s.tellNarrowed(c, x.offer.local, x.offer.remote)
	return c
}

// finish answers IKE_AUTH: IDr, [CERT], AUTH, [CP(CFG_REPLY)], and the child or the reason why there is none (RFC 7296
// sections 2.19 and 2.21.2).
func (x *authR) finish(c *child) {
	s := x.s
	ps := append([]wire2.Payload{wire2.IDr(s.localID.Wire())}, s.ownCerts(*x.proof, x.asked)...)
	ps = append(ps, ownAuth(*x.proof))
	ps = append(ps, x.lease.reply...) // before the SA payload (RFC7296-2.19-2)
	switch {
	case x.childErr != nil:
		ps = append(ps, wire2.Notify{Kind: x.childErr.notify})
	case x.agreed != nil:
		ps = append(ps, x.agreed.answer()...)
	}
	if s.mobike.on {
		ps = append(ps, s.announceMOBIKE()...)
	}
	s.respond(append(append(ps, append(s.redirectAuth(), s.lifetime()...)...), s.windowNotify()...)...)
	if s.state != Installing { // the response could not be sent
		return
	}
	s.session.elsewhere = s.redirects(policy.RedirectAuth)
	s.establish()
	s.beginLife(x.packet)
	if s.session.elsewhere {
		s.tellRedirected(s.gateway(), "IKE_AUTH", "asked")
		s.leaveAfterRedirect()
	}
	switch {
	case x.childErr != nil:
		s.childFailed(x.childName(), *x.childErr)
	case c != nil:
		s.announce(c)
	}
}

// childName names the child that the peer must have meant, for the report that it failed.
func (x *authR) childName() string {
	if x.agreed != nil {
		return x.agreed.conf.Name
	}
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
