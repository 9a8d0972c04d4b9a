package ikev1

import (
	"fmt"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// This file is main mode as responder; main_initiator.go shows the messages.

// answerProposal takes the first message.
func (x *phase1) answerProposal(p packet) {
	s := x.s
	if !x.choose(p) {
		return
	}
	s.deadline = s.now.Add(s.conn.HalfOpen)
	s.enter(Answered)
	s.transmit(&x.exchange, x.message(append([]wire1.Payload{x.terms.Answer}, s.vendorIDs()...)...), false)
}

// choose finds the connections between the two addresses that speak IKEv1 in this mode, and picks the suite by the first of them
// that permits one (RFC2409-7.1-1). Which connection it is shows when the peer tells its identity.
func (x *phase1) choose(p packet) bool {
	s := x.s
	s.detectVendors(p)
	s.candidates = s.fitting(x.kind)
	if len(s.candidates) == 1 {
		s.conn, s.named = s.candidates[0], true
	}
	s.emit(event.IKEInitiated{IKE: s.describe()})
	offer, _ := wire1.Get[wire1.SA](p.Payloads)
	x.saBody = wire1.Body(offer)
	if len(s.candidates) == 0 {
		s.fail(failure{cause: event.CauseNoConnection, by: byUs, reason: s.noConnection(x.kind)})
		return false
	}
	for _, c := range s.candidates {
		if choice, ok := policy.PickPhase1(c.IKE, s.methodsOf(c), offer); ok {
			s.conn, s.suite, s.method, x.terms = c, choice.Suite, choice.Method, choice
			s.candidates = s.permitting(s.candidates, choice)
			s.tellSuite()
			return x.agreeable()
		}
	}
	x.refuseProposal(offer)
	return false
}

// agreeable ends phase 1 when the peer cannot mean what was chosen.
func (x *phase1) agreeable() bool {
	f := x.s.consents(x.s.method)
	if f != nil {
		x.s.fail(*f)
	}
	return f == nil
}

// refuseProposal tells in clear, which is believed by nobody who is careful and helps the others (RFC 2408 section 5.4), that
// nothing fits. It is shorter than what it answers.
func (x *phase1) refuseProposal(offer wire1.SA) {
	s := x.s
	first := s.candidates[0]
	why := policy.ExplainPhase1(first.IKE, s.methodsOf(first), offer)
	s.emit(mismatchEvent(scopeIKE, why, policy.Phase1Strings(offer), first.IKE))
	s.conn = first
	h := s.header(wire1.Informational, 0)
	b := wire1.Message{Header: h, Payloads: []wire1.Payload{wire1.Notify{DOI: wire1.DOIIPsec, Protocol: wire1.ProtoISAKMP, Kind: wire1.NoProposalChosen}}}.Append(nil)
	s.send(s.local, s.remote, b)
	s.fail(failure{cause: event.CauseNoProposal, notify: wire1.NoProposalChosen, by: byUs,
		reason: "the peer's IKE proposals and ours have nothing in common" + closest(why)})
}

// answerExchange takes the third message.
func (x *phase1) answerExchange(p packet) {
	s := x.s
	x.takeExchange(p)
	x.ni, x.nr = x.peerNonce(p), s.nonce()
	s.detectNAT(p)
	x.respond(x.answerKeys)
}

// answerKeys sends the fourth message.
func (x *phase1) answerKeys() {
	s := x.s
	ps := []wire1.Payload{wire1.KE{Data: x.public}, wire1.Nonce{Data: x.nr}}
	ps = append(append(ps, s.certRequests()...), s.natDetection()...)
	s.enter(HalfOpen)
	s.transmit(&x.exchange, x.message(ps...), false)
}

// answerIdentity takes the fifth message: now the peer tells who it is.
func (x *phase1) answerIdentity(p packet) {
	f := x.takeID(p)
	if f == nil {
		f = x.selectConnection()
	}
	if f != nil {
		x.refuse(*f)
		return
	}
	x.noteNotifies(p)
	x.busy = true
	x.verify(p, x.admitThen(x.answerProof))
}

// selectConnection finds the connection for the identity that the peer claims, among those that permit the suite.
func (x *phase1) selectConnection() *failure {
	s := x.s
	conn, err := policy.Select(s.candidates, s.remoteID, nil)
	if err != nil {
		return &failure{cause: event.CauseUnknownIdentity, notify: wire1.InvalidIDInformation, by: byUs, reason: err.Error()}
	}
	s.conn, s.named, s.localID = conn, true, conn.Local.Identity
	return nil
}

// admitThen asks whether there is a place for the SA before the peer is told that it is authenticated.
func (x *phase1) admitThen(then func()) func() {
	s := x.s
	return func() {
		if s.conn.Remote.Extended() { // it is asked when it is known who the user is
			then()
			return
		}
		s.admit(func(r machine.Admitted, err *machine.CallError) {
			if f := s.notAdmitted(r, err); f != nil {
				f.notify = wire1.AuthenticationFailed
				x.refuse(*f)
				return
			}
			x.alone = r.Others == 0
			then()
		})
	}
}

// answerProof makes our own proof.
func (x *phase1) answerProof() { x.prove(x.s.ourID(), x.answerIdentified) }

// answerIdentified sends the sixth message, which ends phase 1.
func (x *phase1) answerIdentified(proof []wire1.Payload) {
	s := x.s
	ps := append(s.identifying(), proof...)
	s.transmit(&x.exchange, s.seal(&x.exchange, ps), false)
	x.establish()
}

// fitting returns the connections between the two addresses for which the peer may begin in this mode. With a pre-shared key
// aggressive mode shows a hash of the key to anyone who asks, so that a connection must permit it.
func (s *SA) fitting(kind wire.ExchangeType) (list []*policy.Connection) {
	for _, c := range s.env.Policy.Candidates(s.local.Addr(), s.remote.Addr()) {
		switch {
		case !c.Speaks(wire1.Version):
		case kind == wire1.Aggressive && !c.Aggressive && !c.AllowAggressivePSK:
		case kind == wire1.Aggressive && c.Remote.Auth == authPSK && !c.AllowAggressivePSK:
		default:
			list = append(list, c)
		}
	}
	return list
}

func (s *SA) noConnection(kind wire.ExchangeType) string {
	text := fmt.Sprintf("no connection with version = 1 is configured between %s and %s", s.local.Addr(), s.remote.Addr())
	if kind == wire1.Aggressive {
		text += " that permits aggressive mode (with pre-shared keys that takes allow_aggressive_psk = true, and shows a hash of the key to anyone, for guessing offline)"
	}
	return text
}

// permitting returns the connections that permit what was chosen.
func (s *SA) permitting(list []*policy.Connection, choice policy.Terms) (out []*policy.Connection) {
	for _, c := range list {
		if _, ok := policy.PickPhase1(c.IKE, s.methodsOf(c), choice.Answer); ok {
			out = append(out, c)
		}
	}
	return out
}

// certain reports whether there is one connection only that this may be about.
func (s *SA) certain() bool { return s.initiator || len(s.candidates) == 1 }

// tellSuite tells what phase 1 agreed on.
func (s *SA) tellSuite() { s.emit(event.SuiteChosen{Scope: scopeIKE, Suite: s.suite.String()}) }
