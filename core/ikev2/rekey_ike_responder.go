package ikev2

import (
	"encoding/binary"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// rekeyR is a CREATE_CHILD_SA exchange of the peer that replaces the IKE SA, while a key exchange plugin is at work (RFC 7296
// sections 1.3.2 and 2.18).
type rekeyR struct {
	s      *SA
	packet packet
	choice policy.Choice
	then   func() // what waits for the end, nil for nothing
}

// answerRekeyIKE replaces the IKE SA for the peer.
func (s *SA) answerRekeyIKE(p packet) {
	offer, _ := wire2.Get[wire2.SA](p.Payloads)
	ke, _ := wire2.Get[wire2.KE](p.Payloads)
	switch {
	case len(offer.Proposals) > 0 && offer.Proposals[0].Protocol != wire2.ProtoIKE:
		s.refuse("a request for a child has no traffic selectors", wire2.InvalidSyntax)
		return
	case s.state != Established || s.cannotBeRekeyed():
		s.respond(wire2.Notify{Kind: wire2.TemporaryFailure}) // RFC 7296 sections 2.25.1 and 2.25.2
		return
	}
	choice, why := policy.Choose(policy.ScopeIKE, s.conn.IKE, offer, ke.Method)
	switch {
	case why != nil:
		s.emit(mismatchEvent(scopeIKE, why, offer, s.conn.IKE))
		s.respond(wire2.Notify{Kind: wire2.NoProposalChosen})
	case zeroSPI(choice.PeerSPI):
		s.respond(wire2.Notify{Kind: wire2.NoProposalChosen})
	case uint16(choice.Suite.KE) != ke.Method:
		s.emit(event.InvalidKE{Sent: suite.KEID(ke.Method).String(), Wanted: choice.Suite.KE.String(), By: byUs})
		s.respond(wire2.Notify{Kind: wire2.InvalidKEPayload, Data: binary.BigEndian.AppendUint16(nil, uint16(choice.Suite.KE))})
	default:
		x := &rekeyR{s: s, packet: p, choice: choice}
		s.servingIKE = x
		ask(s, machine.KERespond{Method: ke.Method, Peer: ke.Data}, 0, x.exchanged)
	}
}

// cannotBeRekeyed reports whether the SA cannot be replaced for the moment: a child is being made, replaced or closed, another
// request of ours is out, whose answer belongs to the old SA, or it has been replaced already. An exchange of ours for the same
// end that the peer does not know of yet is given up, since the peer's will do.
func (s *SA) cannotBeRekeyed() bool {
	if s.hasOpenWork() || s.servingIKE != nil || s.rival != nil {
		return true
	}
	if s.rekeying == nil {
		return !s.own.idle()
	}
	if !s.rekeying.sent {
		s.rekeying.end()
		return !s.own.idle()
	}
	return s.rekeying.answered
}

// exchanged makes the new SA and answers: SA, Nr, KEr.
func (x *rekeyR) exchanged(r machine.KEResponded, err *machine.CallError) {
	s := x.s
	s.servingIKE = nil
	if err != nil || s.state != Established {
		r.Secret.Wipe()
		x.refuse(err)
		return
	}
	nonce, _ := wire2.Get[wire2.Nonce](x.packet.Payloads)
	b := birth{own: s.newSPI(), peer: binary.BigEndian.Uint64(x.choice.PeerSPI), suite: x.choice.Suite, ni: nonce.Data, nr: s.nonce()}
	n, failed := s.successor(b, r.Secret)
	if failed != nil {
		x.refuse(&machine.CallError{Kind: machine.Internal, Text: failed.Error()})
		return
	}
	answer := x.choice.Answer
	answer.SPI = ikeSPI(b.own)
	s.respond(wire2.SA{Proposals: []wire2.Proposal{answer}}, wire2.Nonce{Data: b.nr}, wire2.KE{Method: uint16(b.suite.KE), Data: r.Public})
	switch {
	case s.state != Established: // the response could not be sent
		n.wipe()
	case s.rekeying != nil: // both sides at once (RFC 7296 section 2.8.2)
		s.suspend(n, lower(b.ni, b.nr))
	default:
		s.handOver(n, byPeer)
		s.awaitDelete(replacedReason)
	}
	x.end()
}

func (x *rekeyR) refuse(err *machine.CallError) {
	kind := wire2.TemporaryFailure
	if err != nil && !err.Kind.Retryable() {
		kind = wire2.NoProposalChosen // time does not mend it
	}
	x.s.respond(wire2.Notify{Kind: kind})
	x.end()
}

// end lets go on what has waited.
func (x *rekeyR) end() {
	if x.then != nil {
		x.then()
	}
	x.s.pump()
}
