package ikev2

import (
	"encoding/binary"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// answerInformational serves an INFORMATIONAL request: a delete of the IKE SA, deletes of children, or nothing but the
// question whether we live. All get an answer (RFC 7296 section 1.4).
func (s *SA) answerInformational(p packet) {
	s.noticeAll(p)
	s.noteLifetime(p)
	s.redirectedLater(p)
	s.learnWindow(p)
	denial := s.deniedByPeer(p)
	switch {
	case denial != 0:
		s.respond()
		s.failAndLinger(s.refusalOfAuth(denial))
	case deletesIKE(p.Payloads):
		s.respond()
		s.endedByPeer()
	default:
		answer, then := s.answerMOBIKE(p)
		answer = append(answer, s.answerCP(p.Payloads)...)
		s.respond(append(s.deleteForPeer(p.Payloads), answer...)...)
		then()
	}
}

// deniedByPeer returns the notify by which an initiator tells right after IKE_AUTH that our response did not convince it, 0
// for none. Only there do these three end an SA without a Delete payload (RFC 7296 section 2.21.2).
func (s *SA) deniedByPeer(p packet) wire2.NotifyType {
	if s.initiator || s.rekeyed || p.Header.MessageID != firstAfterAuth {
		return 0
	}
	for _, kind := range []wire2.NotifyType{wire2.AuthenticationFailed, wire2.InvalidSyntax, wire2.UnsupportedCriticalPayload} {
		if _, ok := wire2.GetNotify(p.Payloads, kind); ok {
			return kind
		}
	}
	return 0
}

// firstAfterAuth is the message ID of the initiator's exchange after IKE_SA_INIT (0) and IKE_AUTH (1).
const firstAfterAuth = 2

func deletesIKE(ps []wire2.Payload) bool {
	for _, p := range ps {
		if d, ok := p.(wire2.Delete); ok && d.Protocol == wire2.ProtoIKE {
			return true
		}
	}
	return false
}

// endedByPeer closes the SA on the peer's request; a close of our own that crosses it is forgotten (RFC 7296 section
// 2.25.2). The empty response is kept for a while.
func (s *SA) endedByPeer() {
	if s.rekeying != nil && s.rekeying.part() {
		return
	}
	if s.rival != nil { // and did not notice that we rekeyed it, too (RFC 7296 section 2.8.2)
		s.yield()
	}
	s.goodbyeFor(byPeer, "the peer deleted the IKE SA")
	s.shutdown("the peer deleted the IKE SA", s.limits.Linger)
}

// deleteForPeer ends the children whose outbound SPIs the peer names and returns the Delete payload for their inbound
// halves: none for unknown children and for those that we are deleting ourselves (RFC 7296 sections 1.4.1 and 2.25.1).
// RemoveChild ends both halves at once, so on crossing deletes our inbound half ends with the peer's request already; but a
// child that was replaced stays for a while.
func (s *SA) deleteForPeer(ps []wire2.Payload) []wire2.Payload {
	answer := wire2.Delete{Protocol: wire2.ProtoESP, SPISize: 4}
	s.noteEarly(ps)
	for _, c := range s.namedBy(ps) {
		if !c.deleting {
			answer.SPIs = append(answer.SPIs, spiBytes(c.sa.SPIIn))
		}
		switch {
		case c.heir != nil:
			s.inherited(c)
		case c.sa.Held || c.by == byRekey:
			s.retire(c, byRekey, "the peer has another in its place")
		default:
			if !c.deleting {
				c.by, c.reason = byPeer, "the peer deleted the child SA"
			}
			s.remove(c)
		}
	}
	if len(answer.SPIs) == 0 {
		return nil
	}
	return []wire2.Payload{answer}
}

// namedBy returns the installed children, each once, that ESP Delete payloads name.
func (s *SA) namedBy(ps []wire2.Payload) (list []*child) {
	named := map[uint32]bool{} // only looked up, never walked
	for _, p := range ps {
		if d, ok := p.(wire2.Delete); ok && d.Protocol == wire2.ProtoESP {
			for _, spi := range d.SPIs {
				named[binary.BigEndian.Uint32(spi)] = true
			}
		}
	}
	for _, c := range s.children {
		if named[c.sa.SPIOut] && !c.installing && !c.removing && c.leaveAt.IsZero() {
			list = append(list, c)
		}
	}
	return list
}

// informed takes the response to a request of ours on an established SA.
func (s *SA) informed(p packet) {
	s.noticeAll(p)
	s.learnWindow(p)
	if _, fatal := wire2.GetNotify(p.Payloads, wire2.InvalidSyntax); fatal { // for both peers (RFC 7296 section 2.21.3)
		s.answered()
		s.breakOff(refusalOf(wire2.InvalidSyntax, wire2.ExchangeName(p.Header.Exchange)))
		return
	}
	if o := s.answered(); o.answered != nil {
		o.answered(p)
	}
	s.pump()
}

// terminate deletes a child or the IKE SA on command. An initiator that has sent IKE_AUTH waits a little for the response,
// because the peer may have the SA established and could not be told otherwise.
func (s *SA) terminate(c machine.Terminate) {
	f := operatorFailure(c.Reason)
	switch {
	case c.Child != "" && !s.attempts(c.Child):
		s.deleteChildren(c.Child, f)
	case s.state == Established && s.waitsToStop(f.reason):
	case s.state == Established:
		s.deleteIKE(byOperator, f.reason)
	case s.state > Established:
	case s.initiator && s.state >= AuthSent:
		s.stopping, s.deadline = f.reason, s.now.Add(s.limits.DeleteWait)
	case s.state == Verifying || s.state == Installing:
		s.respond(wire2.Notify{Kind: wire2.AuthenticationFailed}) // the one notify that ends it (RFC 7296 section 2.21.2)
		s.failAndLinger(f)
	default:
		s.fail(f)
	}
}

// attempts reports whether the SA is being made for this very child: to stop the one is to stop the other.
func (s *SA) attempts(child string) bool {
	return s.auth != nil && s.auth.child.conf != nil && s.auth.child.conf.Name == child
}

// deleteChildren asks the peer to delete all children of a name, and makes no more of them.
func (s *SA) deleteChildren(name string, f failure) {
	s.unwant(name, f)
	for _, c := range s.children {
		if c.sa.Name == name && c.up {
			s.deleteChild(c, byOperator, f.reason)
		}
	}
}

// deleteChild asks the peer to delete a child. Ours is removed with its response, so that what is still on its way arrives (RFC
// 7296 section 1.4.1). What takes its place sends from now on.
func (s *SA) deleteChild(c *child, by, reason string) {
	if c.deleting || c.removing || !c.leaveAt.IsZero() {
		return
	}
	if c.heir != nil {
		s.use(c.heir.child)
	}
	c.deleting, c.by, c.reason = true, by, reason
	s.requestDelete(c.sa.SPIIn, func() { s.deleted(c) })
}

// requestDelete tells the peer that an inbound SPI of ours is no more, and goes on with then when it has answered.
func (s *SA) requestDelete(spi uint32, then func()) {
	s.request(request{
		exch:     wire2.Informational,
		payloads: []wire2.Payload{wire2.Delete{Protocol: wire2.ProtoESP, SPISize: 4, SPIs: [][]byte{spiBytes(spi)}}},
		answered: func(packet) { then() },
	})
}

// deleteIKE asks the peer to end the IKE SA and its children, and waits a while for the answer (RFC 7296 section 1.4.1).
// What else was to be requested is dropped; a request that is out must be answered first.
func (s *SA) deleteIKE(by, reason string) {
	s.goodbyeFor(by, reason)
	s.enter(Deleting)
	s.reason, s.deadline = reason, s.now.Add(s.limits.DeleteWait)
	s.own.queue = nil
	s.request(request{
		exch:     wire2.Informational,
		payloads: []wire2.Payload{wire2.Delete{Protocol: wire2.ProtoIKE}},
		answered: func(packet) { s.farewell() },
		alone:    true,
	})
}
