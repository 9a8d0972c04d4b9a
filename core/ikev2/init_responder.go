package ikev2

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// initR is the IKE_SA_INIT exchange of a responder while a key exchange plugin is at work.
type initR struct {
	s      *SA
	choice policy.Choice
	packet packet
}

// answerInit takes the first request.
func (s *SA) answerInit(p packet) {
	s.candidates = s.env.Policy.Candidates(s.local.Addr(), s.remote.Addr())
	if len(s.candidates) == 1 {
		s.conn, s.named = s.candidates[0], true
	}
	s.emit(event.IKEInitiated{IKE: s.describe()})
	if len(s.candidates) == 0 {
		s.rejectInit(wire2.Notify{Kind: wire2.NoProposalChosen})
		s.fail(failure{cause: event.CauseNoConnection, notify: wire2.NoProposalChosen, by: byUs,
			reason: fmt.Sprintf("no connection is configured between %s and %s", s.local.Addr(), s.remote.Addr())})
		return
	}
	choice, ok := s.chooseIKE(p)
	if !ok {
		return
	}
	if s.noteRedirectable(p); s.redirects(policy.RedirectInit) {
		s.redirectInit(p)
		return
	}
	ke, _ := wire2.Get[wire2.KE](p.Payloads)
	if uint16(choice.Suite.KE) != ke.Method {
		s.rejectMethod(ke.Method, choice.Suite.KE)
		return
	}
	s.deadline = s.now.Add(s.conn.HalfOpen)
	s.enter(Agreeing)
	x := &initR{s, choice, p}
	ask(s, machine.KERespond{Method: ke.Method, Peer: ke.Data}, 0, x.agreed)
}

// chooseIKE picks the suite by the first candidate that permits one. Which candidate it is shows in IKE_AUTH, among all
// that permit this very suite. Of the others only the first is explained: anyone may send offers that fit nowhere.
func (s *SA) chooseIKE(p packet) (policy.Choice, bool) {
	offer, _ := wire2.Get[wire2.SA](p.Payloads)
	ke, _ := wire2.Get[wire2.KE](p.Payloads)
	for _, c := range s.candidates {
		if choice, ok := policy.Pick(policy.ScopeIKE, c.IKE, offer, ke.Method); ok {
			s.conn = c
			s.candidates = permitting(s.candidates, choice)
			return choice, true
		}
	}
	_, first := policy.Choose(policy.ScopeIKE, s.candidates[0].IKE, offer, ke.Method)
	s.emit(mismatchEvent(scopeIKE, first, offer, s.candidates[0].IKE))
	s.rejectInit(wire2.Notify{Kind: wire2.NoProposalChosen})
	s.fail(failure{cause: event.CauseNoProposal, notify: wire2.NoProposalChosen, by: byUs,
		reason: "the peer's IKE proposals and ours have nothing in common" + closest(first)})
	return policy.Choice{}, false
}

// permitting returns the connections that permit the chosen suite.
func permitting(list []*policy.Connection, choice policy.Choice) []*policy.Connection {
	chosen := wire2.SA{Proposals: []wire2.Proposal{choice.Answer}}
	return slices.DeleteFunc(slices.Clone(list), func(c *policy.Connection) bool {
		_, ok := policy.Pick(policy.ScopeIKE, c.IKE, chosen, uint16(choice.Suite.KE))
		return !ok
	})
}

// rejectMethod asks for the group that we chose; the peer starts again, with us as if nothing had been (RFC 7296 sections
// 1.2 and 2.6).
func (s *SA) rejectMethod(sent uint16, wanted suite.KEID) {
	s.emit(event.InvalidKE{Sent: suite.KEID(sent).String(), Wanted: wanted.String(), By: byUs})
	s.rejectInit(wire2.Notify{Kind: wire2.InvalidKEPayload, Data: binary.BigEndian.AppendUint16(nil, uint16(wanted))})
	s.shutdown("the peer starts again with "+wanted.String(), 0)
}

// rejectInit answers IKE_SA_INIT without making an SA: the responder's SPI is zero (RFC 7296 section 2.6).
func (s *SA) rejectInit(n wire2.Notify) {
	h := s.header(wire2.IKESAInit, 0, wire.FlagResponse)
	h.ResponderSPI = 0
	s.answer(wire2.Message{Header: h, Payloads: []wire2.Payload{n}}.Append(nil))
}

// agreed answers IKE_SA_INIT.
func (x *initR) agreed(r machine.KEResponded, err *machine.CallError) {
	s := x.s
	if err != nil {
		x.failed(err)
		return
	}
	nonce, _ := wire2.Get[wire2.Nonce](x.packet.Payloads)
	s.suite, s.ni, s.nr, s.peerInit = x.choice.Suite, nonce.Data, s.nonce(), x.packet.Bytes
	if err := s.deriveKeys(r.Secret); err != nil {
		s.fail(failure{cause: event.CausePlugin, by: byUs, reason: "the keys could not be derived: " + err.Error()})
		return
	}
	s.emit(event.SuiteChosen{Scope: scopeIKE, Suite: s.suite.String()})
	s.detectNAT(x.packet)
	s.agreeFragmentation(x.packet)
	x.respond(r.Public)
	s.enter(HalfOpen)
}

// failed ends the SA without an answer: nothing has been promised, and the peer gives up or starts again. Only when no plugin
// knows the method, which time does not mend, is the peer told.
func (x *initR) failed(err *machine.CallError) {
	f := keFailure(x.choice.Suite.KE, err)
	if err.Kind == machine.Unsupported {
		f.notify = wire2.NoProposalChosen
		x.s.rejectInit(wire2.Notify{Kind: f.notify})
	}
	x.s.fail(f)
}

func (x *initR) respond(public []byte) {
	s := x.s
	x.choice.Answer.SPI = nil // RFC 7296 section 3.3.1
	ps := []wire2.Payload{
		wire2.SA{Proposals: []wire2.Proposal{x.choice.Answer}},
		wire2.KE{Method: uint16(s.suite.KE), Data: public},
		wire2.Nonce{Data: s.nr},
	}
	ps = append(append(ps, s.certRequest(s.candidates...)...), s.natDetection(s.spir, s.local, s.remote)...)
	if s.fragments.on {
		ps = append(ps, s.fragmentationNotify()...)
	}
	ps = append(append(ps, hashNotify(s.candidates...)...), s.childlessSupport()...)
	s.ownInit = wire2.Message{Header: s.header(wire2.IKESAInit, 0, wire.FlagResponse), Payloads: ps}.Append(nil)
	s.answer(s.ownInit)
}
