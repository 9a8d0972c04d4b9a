package ikev1

import (
	"fmt"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// beginQuick begins a quick mode of ours.
func (s *SA) beginQuick(t task) {
	id := s.newMessageID()
	x := &exchange{kind: wire1.QuickMode, id: id, iv: s.exchangeIV(id)}
	q := &quick{exchange: x, s: s, initiator: true, conf: t.conf, old: t.old, local: t.local, remote: t.remote, group: s.groupFor(t.conf)}
	x.quick = q
	s.phase2 = append(s.phase2, x)
	q.working()
	s.reserve(t.conf.Backend, func(spi uint32, err *machine.CallError) {
		if err != nil {
			q.fail(failure{cause: event.CauseInstall, by: byUs, reason: "the SA backend gave no SPI: " + err.Error()})
			return
		}
		q.spi = spi
		q.exchangeKeys(q.sendOffer)
	})
}

// groupFor is the group for perfect forward secrecy, if a child is to have it: that of phase 1 if the child permits it, because the
// peer has shown that it takes it, or else the first. It cannot be negotiated (RFC 2409 section 5.5): a child that may do without and
// prefers that does without.
func (s *SA) groupFor(conf *policy.Child) suite.KEID {
	if policy.PrefersNoKE(conf.ESP) {
		return suite.KENone
	}
	if policy.PermitsKE(conf.ESP, uint16(s.suite.KE)) {
		return s.suite.KE
	}
	return suite.KEID(policy.FirstGroup(conf.ESP))
}

// exchangeKeys makes our key exchange value, if there is to be one.
func (q *quick) exchangeKeys(then func()) {
	if q.group == suite.KENone {
		then()
		return
	}
	ask(q.s, machine.KEInitiate{Method: uint16(q.group)}, 0, func(r machine.KEInitiated, err *machine.CallError) {
		if err != nil {
			q.fail(pluginFailure("the key exchange plugin could not make a value of "+q.group.String(), err))
			return
		}
		q.private, q.public = r.State, r.Public
		then()
	})
}

// sendOffer sends the first message.
func (q *quick) sendOffer() {
	s := q.s
	q.offer = policy.OfferPhase2(q.conf.ESP, q.group, s.encapsulation(q.conf), q.conf.Lifetime, spiBytes(q.spi))
	if len(q.offer.Proposals) == 0 {
		q.fail(failure{cause: event.CauseUnsupported, by: byUs, reason: fmt.Sprintf("child %q has no ESP proposal that IKEv1 can do", q.conf.Name)})
		return
	}
	q.ni = s.nonce()
	q.nameClients()
	q.natOA = s.originals(q.conf.Mode == policy.Transport, true)
	ps := append(q.keyed(q.offer, q.ni), q.ids...)
	q.send(append(ps, q.natOA...))
}

// keyed returns SA, nonce and key exchange value.
func (q *quick) keyed(sa wire1.SA, nonce []byte) []wire1.Payload {
	ps := []wire1.Payload{sa, wire1.Nonce{Data: nonce}}
	if q.group != suite.KENone {
		ps = append(ps, wire1.KE{Data: q.public})
	}
	return ps
}

// nameClients says which traffic the child is for: IDci is ours, because we initiate (RFC2409-5.5-4).
func (q *quick) nameClients() {
	q.ids = []wire1.Payload{policy.ClientID(q.local), policy.ClientID(q.remote)}
}

// answered takes the second message.
func (q *quick) answered(p packet) {
	f := q.accept(p)
	if f == nil {
		f = q.takeKE(p)
	}
	if f != nil {
		q.refuse(*f)
		return
	}
	nonce, _ := wire1.Get[wire1.Nonce](p.Payloads)
	q.nr = nonce.Data
	q.working()
	q.noteResponderLifetime(p)
	if q.group == suite.KENone {
		q.finishing(q.commit, q.installed)
		return
	}
	ask(q.s, machine.KEFinish{Method: uint16(q.group), State: q.private, Peer: q.peer}, 0, func(r machine.KEFinished, err *machine.CallError) {
		if err != nil {
			q.refuse(keFailure(q.group, err))
			return
		}
		q.shared = r.Secret
		q.finishing(q.commit, q.installed)
	})
}

// accept checks that the answer is what we offered, for the traffic that we named. An answer without identities confirms ours only if
// they are the two hosts.
func (q *quick) accept(p packet) *failure {
	answer, _ := wire1.Get[wire1.SA](p.Payloads)
	terms, err := policy.AcceptPhase2(q.offer, answer)
	if err != nil {
		return &failure{cause: event.CauseNoProposal, notify: wire1.NoProposalChosen, by: byUs,
			reason: fmt.Sprintf("the peer's answer for child %q is not what we offered: %v", q.conf.Name, err)}
	}
	if !validSPI(terms.PeerSPI) {
		return &failure{cause: event.CauseNoProposal, notify: wire1.InvalidSPI, by: byUs, reason: "the peer's SPI is one of 0 to 255, which are reserved (RFC 4303 section 2.1)"}
	}
	q.terms = terms
	ids := wire1.All[wire1.ID](p.Payloads)
	local, remote, ok := q.s.clients(ids, true)
	if !ok || local != q.local || remote != q.remote {
		e := event.ChildTSMismatch{Name: q.conf.Name, OurLocal: []string{q.local.String()}, OurRemote: []string{q.remote.String()}}
		if ok {
			e.OfferedLocal, e.OfferedRemote = []string{local.String()}, []string{remote.String()}
		}
		q.s.emit(e)
		return &failure{cause: event.CauseNoSelectors, notify: wire1.InvalidIDInformation, by: byUs,
			reason: fmt.Sprintf("the peer's answer for child %q names other traffic than we did", q.conf.Name)}
	}
	return nil
}

// installed sends the third message, which ends the quick mode unless the peer wants us to wait.
func (q *quick) installed(err *machine.CallError) {
	s, c := q.s, q.child
	if f := s.childInstalled(c, err); f != nil {
		q.child, q.spi = nil, 0
		s.tellDeletedSPI(c.sa.SPIIn)
		q.fail(*f)
		return
	}
	s.transmit(q.exchange, s.seal(q.exchange, []wire1.Payload{wire1.Hash{Data: q.lastHash()}}), false)
	q.awaitConnected(q.complete)
}

// complete ends a quick mode: its child is in use.
func (q *quick) complete() {
	s, c, life := q.s, q.child, q.life()
	q.child = nil
	s.over(q.exchange)
	s.announce(c, life)
	s.release(c)
}
