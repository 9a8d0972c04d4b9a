package ikev1

import (
	"fmt"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// answerOffer takes the first message of a quick mode of the peer.
func (q *quick) answerOffer(p packet) {
	s := q.s
	nonce, _ := wire1.Get[wire1.Nonce](p.Payloads)
	q.ni, q.nr = nonce.Data, s.nonce()
	f := q.choose(p)
	if f == nil {
		f = q.takeKE(p)
	}
	if f == nil && len(s.children) >= s.conn.MaxChildren {
		f = &failure{cause: event.CauseUnsupported, notify: wire1.NoProposalChosen, by: byUs,
			reason: fmt.Sprintf("connection %q has %d children, which is the most it may have", s.conn.Name, len(s.children))}
	}
	if f != nil {
		q.refuse(*f)
		return
	}
	q.working()
	s.reserve(q.conf.Backend, q.reserved)
}

// choose picks the child and the proposal: the first child that selects all of the traffic that the peer names and whose proposals
// fit. IKEv1 cannot narrow (RFC 2409 section 5.5).
func (q *quick) choose(p packet) *failure {
	s := q.s
	offer, _ := wire1.Get[wire1.SA](p.Payloads)
	local, remote, ok := s.clients(wire1.All[wire1.ID](p.Payloads), false)
	if !ok {
		return &failure{cause: event.CauseNoSelectors, notify: wire1.InvalidIDInformation, by: byUs,
			reason: "the peer's client identities are unreadable, or there is but one"}
	}
	for _, id := range wire1.All[wire1.ID](p.Payloads) {
		q.ids = append(q.ids, id)
	}
	var closestChild *policy.Child
	q.local, q.remote = local, remote
	for _, conf := range s.conn.Children {
		if q.local, q.remote = local, remote; conf.Mode == policy.Transport {
			q.local, q.remote = s.seen(local, remote)
		}
		if !s.selects(conf, q.local, q.remote) {
			continue
		}
		if terms, ok := policy.PickPhase2(conf.ESP, s.encapsulations(conf), offer); ok && validSPI(terms.PeerSPI) {
			q.conf, q.terms = conf, terms
			return nil
		}
		if closestChild == nil {
			closestChild = conf
		}
	}
	if closestChild == nil {
		return s.selectorMismatch(q.local, q.remote)
	}
	q.conf = closestChild
	return s.childMismatch(closestChild, offer)
}

// childMismatch tells that the proposals for a child have nothing in common.
func (s *SA) childMismatch(conf *policy.Child, offer wire1.SA) *failure {
	why := policy.ExplainPhase2(conf.ESP, s.encapsulations(conf), offer)
	s.emit(mismatchEvent(scopeChild, why, policy.Phase2Strings(offer), conf.ESP))
	return &failure{cause: event.CauseNoProposal, notify: wire1.NoProposalChosen, by: byUs,
		reason: fmt.Sprintf("the peer's ESP proposals and those of child %q have nothing in common", conf.Name) + closest(why)}
}

// selectorMismatch tells that no child of ours selects the traffic.
func (s *SA) selectorMismatch(local, remote policy.Selector) *failure {
	e := event.ChildTSMismatch{OfferedLocal: []string{local.String()}, OfferedRemote: []string{remote.String()}}
	if len(s.conn.Children) > 0 {
		conf := s.conn.Children[0]
		e.Name, e.OurLocal, e.OurRemote = conf.Name, selectorStrings(conf.LocalTS), selectorStrings(conf.RemoteTS)
	}
	s.emit(e)
	if f := s.unrequested(); f != nil {
		return f
	}
	return &failure{cause: event.CauseNoSelectors, notify: wire1.InvalidIDInformation, by: byUs, reason: fmt.Sprintf(
		"no child of connection %q selects all of the peer's traffic, %v to %v: IKEv1 cannot narrow, so make the selectors of both sides equal", s.conn.Name, local, remote)}
}

// reserved goes on when there is an SPI.
func (q *quick) reserved(spi uint32, err *machine.CallError) {
	s := q.s
	if err != nil {
		q.fail(failure{cause: event.CauseInstall, by: byUs, reason: "the SA backend gave no SPI: " + err.Error()})
		return
	}
	q.spi = spi
	q.natOA = s.originals(q.terms.Transport(), false)
	if q.group == suite.KENone {
		q.finishing(true, q.answer)
		return
	}
	ask(s, machine.KERespond{Method: uint16(q.group), Peer: q.peer}, 0, func(r machine.KEResponded, err *machine.CallError) {
		if err != nil {
			f := keFailure(q.group, err)
			f.notify = wire1.InvalidKeyInformation
			q.refuse(f)
			return
		}
		q.public, q.shared = r.Public, r.Secret
		q.finishing(true, q.answer)
	})
}

// answer sends the second message, when what the peer may send at once is received already.
func (q *quick) answer(err *machine.CallError) {
	s := q.s
	if f := s.childInstalled(q.child, err); f != nil {
		q.child, q.spi = nil, 0
		q.fail(*f)
		return
	}
	chosen := q.terms.Answer
	chosen.Proposals[0].SPI = spiBytes(q.spi)
	ps := append(q.keyed(chosen, q.nr), q.ids...)
	ps = append(ps, q.natOA...)
	q.send(append(ps, q.notices()...))
}

// proved takes the third message: the peer lives, has the keys and has installed the child.
func (q *quick) proved(packet) {
	q.closeBy()
	q.awaitConnected(q.complete)
}
