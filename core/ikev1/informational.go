package ikev1

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// This file is the informational exchange (RFC 2408 section 4.8, RFC 2409 section 5.7): one message, without an answer, under a message
// ID of its own.

// inform sends payloads to the peer, protected (RFC2408-4.8-1).
func (s *SA) inform(ps ...wire1.Payload) {
	if s.keys.A == nil {
		return
	}
	id := s.newMessageID()
	x := &exchange{kind: wire1.Informational, id: id, iv: s.exchangeIV(id)}
	s.send(s.local, s.remote, s.seal(x, s.hashed(id, ps)))
}

// notify returns a notify about this ISAKMP SA.
func (s *SA) notify(kind wire1.NotifyType) wire1.Notify {
	return wire1.Notify{DOI: wire1.DOIIPsec, Protocol: wire1.ProtoISAKMP, SPI: s.cookies(), Kind: kind}
}

// receiveInformational takes an informational message. One in clear is never believed: in phase 1 it may explain a failure, and later it
// is counted only (RFC2408-4.8-1, RFC3706-5.2-2).
func (s *SA) receiveInformational(h wire.Header, d machine.Datagram, protected bool) {
	switch {
	case s.state >= Closing || s.state == Idle:
	case !protected && !s.state.secured():
		s.hint(d)
	case !protected || s.keys.A == nil:
		s.countForgery(d)
	case s.state == Verifying: // it overtakes the end of phase 1
		s.overtaken(h, d)
	default:
		x := &exchange{kind: wire1.Informational, id: h.MessageID, iv: s.exchangeIV(h.MessageID)}
		switch p, ok := s.openPhase2(x, h, d); {
		case ok:
			s.informed(p)
		case s.initiator && !s.state.secured() && s.phase1 != nil: // so do peers tell whose keys did not open our proof
			s.phase1.undeciphered()
		}
	}
}

// hint notes an error in clear, which anyone may have sent.
func (s *SA) hint(d machine.Datagram) {
	m, err := wire1.Parse(d.Bytes)
	if err != nil || m.Cipher != nil {
		return
	}
	for _, n := range wire1.All[wire1.Notify](m.Payloads) {
		if n.Kind.IsError() {
			s.explainRefusal(n.Kind)
			s.suspect(refusalOf(n.Kind, s.stage()))
			return
		}
	}
}

// explainRefusal tells once what we had offered to a peer that takes none of it.
func (s *SA) explainRefusal(kind wire1.NotifyType) {
	if kind == wire1.NoProposalChosen && s.initiator && s.phase1.suspicion == nil {
		offered := proposalStrings(s.conn.IKE)
		s.emit(event.ProposalMismatch{Scope: scopeIKE, By: byPeer, Offered: offered, Configured: offered})
	}
}

// informed takes an authentic informational message. Before phase 1 is over its keys prove nothing yet about the peer: errors are a
// sign of failure, and nothing else counts.
//
// Its message ID is remembered by nobody, so that it may be an old message again: of what it says only the numbers of dead peer
// detection show that it is not.
func (s *SA) informed(p packet) {
	s.heard = true
	s.noticeAll(p)
	if !s.state.secured() {
		for _, n := range wire1.All[wire1.Notify](p.Payloads) {
			if n.Kind.IsError() {
				s.suspect(refusalOf(n.Kind, s.stage()))
			}
		}
		return
	}
	for _, payload := range p.Payloads {
		switch payload := payload.(type) {
		case wire1.Notify:
			s.notified(p, payload)
		case wire1.Delete:
			s.deletedByPeer(payload)
		}
		if s.state >= Closing {
			return
		}
	}
}

// notified takes a notify of an authenticated peer.
func (s *SA) notified(p packet, n wire1.Notify) {
	switch {
	case n.Kind == wire1.Connected:
		s.peerConnected(p.Header.MessageID)
	case n.Kind == wire1.RUThere:
		s.answerProbe(p, n)
	case n.Kind == wire1.RUThereAck:
		s.probeAnswered(p, n)
	case n.Kind == wire1.InitialContact:
		s.disown()
	case n.Kind == wire1.ResponderLifetime && n.Protocol == wire1.ProtoISAKMP:
		s.shortenLife(n)
	case n.Kind.IsError():
		s.quickRefused(n)
	}
}

// quickRefused ends the quick mode that the peer refuses: the one whose SPI it names, else the only one that waits for an answer.
func (s *SA) quickRefused(n wire1.Notify) {
	var waiting []*quick
	for _, x := range s.phase2 {
		if q := x.quick; q != nil && q.initiator && !x.again.IsZero() {
			waiting = append(waiting, q)
		}
	}
	i := slices.IndexFunc(waiting, func(q *quick) bool { return slices.Equal(n.SPI, spiBytes(q.spi)) })
	if i < 0 && len(waiting) == 1 {
		i = 0
	}
	if i < 0 {
		return
	}
	q := waiting[i]
	if n.Kind == wire1.NoProposalChosen {
		offered := proposalStrings(q.conf.ESP)
		s.emit(event.ProposalMismatch{Scope: scopeChild, By: byPeer, Offered: offered, Configured: offered})
	}
	f := refusalOf(n.Kind, fmt.Sprintf("child %q", q.conf.Name))
	if n.Kind == wire1.InvalidIDInformation {
		f.cause = event.CauseNoSelectors
	}
	q.fail(f)
}

// deletedByPeer ends what the peer deletes: this ISAKMP SA, or children by the SPIs by which they send (RFC 2408 section 3.15).
func (s *SA) deletedByPeer(d wire1.Delete) {
	switch d.Protocol {
	case wire1.ProtoISAKMP:
		if slices.ContainsFunc(d.SPIs, func(spi []byte) bool { return slices.Equal(spi, s.cookies()) }) {
			s.endedByPeer()
		}
	case wire1.ProtoESP:
		for _, spi := range d.SPIs {
			s.childDeletedByPeer(binary.BigEndian.Uint32(spi))
		}
	}
}

// endedByPeer ends the SA. Children go with it, unless there is another ISAKMP SA of the peer: then it was replaced, and they move.
func (s *SA) endedByPeer() {
	const reason = "the peer deleted the ISAKMP SA"
	if s.state < Established {
		f := failure{cause: event.CausePeerError, by: byPeer, reason: reason + s.unfinished()}
		if user := s.userTrouble(); user != nil {
			f = *user
		}
		s.tellFailed(f)
		s.shutdown(f.reason, 0)
		return
	}
	s.goodbyeFor(byPeer, reason)
	if s.state == Rekeyed || !slices.ContainsFunc(s.children, func(c *child) bool { return c.up && !c.removing }) {
		s.shutdown(reason, 0)
		return
	}
	s.enter(Rekeyed)
	s.reason, s.deadline = reason, s.now.Add(s.limits.RemovalWait)
	ask(s, machine.FindHeir{}, 0, func(r machine.Heir, err *machine.CallError) {
		if err != nil || r.UID == (event.UID{}) {
			s.shutdown(reason, 0)
			return
		}
		s.giveWayTo(machine.Replaced{By: r.UID})
	})
}

// unfinished guesses why a peer deletes an SA that is not established.
func (s *SA) unfinished() string {
	if s.state == Configuring {
		return " before anybody had an inner address: it may have none for us, or want none"
	}
	return " before it was of use"
}

func (s *SA) childDeletedByPeer(spi uint32) {
	for _, c := range slices.Clone(s.children) {
		if c.sa.SPIOut != spi || c.removing {
			continue
		}
		if !c.up { // before its quick mode was over
			s.abandonQuick(c)
			return
		}
		if c.by == "" {
			c.by, c.reason = byPeer, "the peer deleted the child SA"
			if c.replaced() {
				c.by, c.reason = byRekey, "the peer has another in its place"
			}
		}
		s.remove(c)
	}
}

// abandonQuick ends a quick mode whose child the peer has deleted already.
func (s *SA) abandonQuick(c *child) {
	for _, x := range s.phase2 {
		if q := x.quick; q != nil && q.child == c {
			q.fail(failure{cause: event.CausePeerError, by: byPeer, reason: "the peer deleted the child SA before it was complete"})
			return
		}
	}
}

// receiveNewGroup answers new group mode: we take part in no private groups (RFC2409-5.6-3).
func (s *SA) receiveNewGroup(h wire.Header, d machine.Datagram) {
	if _, used := slices.BinarySearch(s.used, h.MessageID); used || len(s.used) >= maxUsed {
		return
	}
	x := &exchange{kind: wire1.NewGroupMode, id: h.MessageID, iv: s.exchangeIV(h.MessageID)}
	p, ok := s.openPhase2(x, h, d)
	if !ok {
		return
	}
	s.use(h.MessageID)
	s.fresh(p)
	s.inform(s.notify(wire1.AttributesNotSupported))
}
