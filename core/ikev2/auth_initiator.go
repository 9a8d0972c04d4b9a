package ikev2

import (
	"fmt"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// authI is the IKE_AUTH exchange of an initiator. Fields are set by replies; step says what is due.
type authI struct {
	s      *SA
	child  proposed
	spi    uint32          // our inbound ESP SPI, 0 until allocated
	terms  terms           // what the peer says about it
	proof  *machine.Signed // our AUTH, nil until signed
	alone  sole            // whether there are other SAs of the peer
	packet packet          // the response
}

// allocate gets an SPI; this runs beside IKE_SA_INIT.
func (x *authI) allocate() { x.s.reserve(x.child.conf.Backend, x.allocated) }

func (x *authI) allocated(spi uint32, err *machine.CallError) {
	if err != nil {
		f := noSPI(err)
		f.notify = 0
		x.s.fail(f)
		return
	}
	x.spi = spi
	x.step()
}

// begin asks for our AUTH payload, once the keys are there.
func (x *authI) begin() {
	s := x.s
	s.localID, s.remoteID = s.identity(), s.conn.Remote.Identity
	if f := x.settleChild(); f != nil {
		s.fail(*f)
		return
	}
	s.enter(Signing)
	s.admit(x.admitted)
	x.terms = s.termsFor(nil)
	ask(s, s.sign(s.signedByInitiator(wire2.IDi(s.localID.Wire())), x.terms), 0, x.signed)
}

func (x *authI) signed(r machine.Signed, err *machine.CallError) {
	if err != nil {
		x.s.fail(x.s.ownProofFailure(err))
		return
	}
	x.proof = &r
	x.step()
}

// step sends the request when proof and SPI, where one is needed, are both there.
func (x *authI) step() {
	if x.s.state == Signing && x.proof != nil && (x.spi != 0 || x.child.conf == nil) && x.alone.settled {
		x.send()
	}
}

// send sends IDi, [N(INITIAL_CONTACT)], [CERT], [CERTREQ], [IDr], AUTH, [CP(CFG_REQUEST)], SAi2, TSi, TSr (RFC 7296 section 1.2; IDr
// is our wish).
func (x *authI) send() {
	s := x.s
	s.enter(AuthSent)
	ps := append([]wire2.Payload{wire2.IDi(s.localID.Wire())}, x.alone.notify()...)
	ps = append(append(ps, s.ownCerts(*x.proof, x.terms.asked)...), s.certRequest(s.conn)...)
	if id := s.conn.Remote.Identity; isExact(id) {
		ps = append(ps, wire2.IDr(id.Wire()))
	}
	ps = append(ps, ownAuth(*x.proof))
	ps = append(ps, cfgRequest(s.conn)...) // before the SA payload (RFC7296-2.19-2)
	ps = append(ps, x.offerChild()...)
	ps = append(append(ps, s.announceMOBIKE()...), s.windowNotify()...)
	s.request(request{exch: wire2.IKEAuth, payloads: ps})
}

// offerChild returns SAi2, TSi, TSr, nothing where IKE_AUTH makes no child.
func (x *authI) offerChild() []wire2.Payload {
	s, conf := x.s, x.child.conf
	if conf == nil {
		return nil
	}
	x.child, _ = s.propose(conf) // planChildren knows that it can be
	x.child.sa = espOffer(policy.WithoutKE(conf.ESP), x.spi)
	return x.child.payloads()
}

// authAccepted takes a response in which the peer proves itself. That the child failed does not matter yet (RFC 7296
// section 2.21.2).
func (s *SA) authAccepted(p packet) {
	x := s.auth
	s.answered()
	x.packet = p
	idr, _ := wire2.Get[wire2.IDr](p.Payloads)
	auth, _ := wire2.Get[wire2.Auth](p.Payloads)
	claimed, err := policy.IdentityFromWire(wire2.ID(idr))
	if expected := s.conn.Remote.Identity; err != nil || !expected.Matches(claimed) {
		s.remoteID = claimed
		s.rejectPeer(auth.Method, failure{cause: event.CauseUnknownIdentity, notify: wire2.AuthenticationFailed, by: byUs,
			reason: fmt.Sprintf("the peer calls itself %v, but connection %q expects %v", claimed, s.conn.Name, expected)})
		return
	}
	s.remoteID = claimed
	if f := oddCertificates(p.Payloads); f != nil {
		s.rejectPeer(auth.Method, *f)
		return
	}
	s.enter(Verifying)
	ask(s, s.verify(s.signedByResponder(idr), auth, p.Payloads), 0, x.verified)
}

func (x *authI) verified(r machine.Verified, err *machine.CallError) {
	s := x.s
	auth, _ := wire2.Get[wire2.Auth](x.packet.Payloads)
	if err == nil {
		err = s.proved(r.Remote)
	}
	if err != nil {
		s.rejectPeer(auth.Method, s.verdict(err))
		return
	}
	s.emit(event.AuthSucceeded{Method: auth.Method.String(), RemoteID: s.remoteID.String()})
	s.noticeAll(x.packet)
	if n, fatal := entireError(x.packet.Payloads); fatal {
		s.abandon(s.refusalOfAuth(n.Kind), wire2.Delete{Protocol: wire2.ProtoIKE})
		return
	}
	s.learnWindow(x.packet)
	s.noteContact(x.packet)
	s.agreeMOBIKE(x.packet)
	if x.redirectedInAuth() {
		return
	}
	if x.child.conf == nil {
		_ = x.takeAddresses() // it objects only to a child without any
		s.establish()
		s.beginLife(x.packet)
		s.endWithoutAddress()
		return
	}
	c, f := x.makeChild()
	if f != nil {
		s.establish()
		s.beginLife(x.packet)
		s.loseChild(x.child.conf.Name, x.spi, x.packet, *f)
		s.endWithoutAddress()
		return
	}
	s.enter(Installing)
	s.install(c, func(err *machine.CallError) { x.installed(c, err) })
}

// childErrors refuse the child of an IKE_AUTH response and nothing else (RFC 7296 section 1.2).
var childErrors = []wire2.NotifyType{wire2.NoProposalChosen, wire2.SinglePairRequired, wire2.NoAdditionalSAs, wire2.InternalAddressFailure,
	wire2.FailedCPRequired, wire2.TSUnacceptable, wire2.TemporaryFailure}

// entireError returns an error notify by which an IKE_AUTH response refuses all, though its AUTH is right: one that nobody knows
// does (RFC 7296 section 3.10.1).
func entireError(ps []wire2.Payload) (wire2.Notify, bool) {
	for _, p := range ps {
		if n, ok := p.(wire2.Notify); ok && n.Kind.IsError() && !slices.Contains(childErrors, n.Kind) {
			return n, true
		}
	}
	return wire2.Notify{}, false
}

// makeChild makes the child of the response.
func (x *authI) makeChild() (*child, *failure) {
	s := x.s
	if f := x.takeAddresses(); f != nil {
		return nil, f
	}
	agreed, f := s.acceptChild(x.child, x.packet)
	if f == nil {
		f = s.onlyAssigned(agreed)
	}
	if f != nil {
		return nil, f
	}
	agreed.spi, agreed.ni, agreed.nr = x.spi, s.ni, s.nr
	c, err := s.newChild(*agreed)
	if err != nil {
		return nil, keysFailure(err)
	}
	s.tellNarrowed(c, agreed.conf.LocalTS, x.child.remote)
	return c, nil
}

func (x *authI) installed(c *child, err *machine.CallError) {
	s := x.s
	f := s.childInstalled(c, err) // before establish, which may delete it at once
	s.establish()
	s.beginLife(x.packet)
	if f != nil {
		s.loseChild(x.child.conf.Name, x.spi, x.packet, *f)
		return
	}
	s.announce(c)
}

// proved checks that the authenticator proved the identity that the connection wants (RFC 7296 section 1.2).
func (s *SA) proved(id machine.Identity) *machine.CallError {
	got := policy.Identity{Type: wire2.IDType(id.Type), Data: string(id.Data)}
	if s.conn.Remote.Identity.Matches(got) {
		s.remoteID = got
		return nil
	}
	return &machine.CallError{Kind: machine.Refused, Text: fmt.Sprintf("it proves %v, and connection %q expects %v",
		got, s.conn.Name, s.conn.Remote.Identity)}
}

// rejectPeer ends the SA because the peer did not prove itself, and tells it so in an exchange of its own (RFC 7296
// section 2.21.2): it believes the SA established.
func (s *SA) rejectPeer(method wire2.AuthMethod, f failure) {
	s.refusePeer(method, f)
	s.abandon(f, wire2.Notify{Kind: wire2.AuthenticationFailed})
}

// authRefused takes a response without a proof: whatever it says, there is no SA (RFC 7296 section 2.21.2).
func (s *SA) authRefused(p packet) {
	s.answered()
	n, ok := firstError(p.Payloads)
	switch {
	case !ok:
		s.abandon(failure{cause: event.CauseMalformed, notify: wire2.InvalidSyntax, by: byUs,
			reason: "the peer's IKE_AUTH response has neither a proof nor an error"}, wire2.Notify{Kind: wire2.InvalidSyntax})
	default:
		s.fail(s.refusalOfAuth(n.Kind))
	}
}

// ownProofFailure says why we cannot prove ourselves.
func (s *SA) ownProofFailure(err *machine.CallError) failure {
	f := s.verdict(err)
	f.notify = 0
	s.noProof(f)
	return f
}

// isExact reports whether an identity can stand in an IDr payload: it is no pattern.
func isExact(id policy.Identity) bool {
	return !id.IsAny() && !(id.Type == wire2.IDFQDN && len(id.Data) > 0 && id.Data[0] == '*')
}
