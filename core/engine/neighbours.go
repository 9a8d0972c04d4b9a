package engine

import (
	"net/netip"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
)

// This file is what SAs have to do with each other. What one step causes at another SA happens after it, in Flush, because
// steps do not nest.

// later is something to do when the step at hand is over.
type later func(now time.Time)

// settleLater does what steps have left to do, and what comes of that.
func (s *Shard) settleLater(now time.Time) {
	for len(s.later) > 0 {
		do := s.later[0]
		s.later = s.later[1:]
		do(now)
	}
	s.later = nil
}

// answerAdmit answers a question about other SAs, which no plugin knows.
func (s *Shard) answerAdmit(e *sa, t machine.Ticket, op machine.Admit) {
	answer, calls := s.c.Roster.admit(e.owner, op)
	s.later = append(s.later, func(now time.Time) {
		s.Return(now, machine.Return{Owner: e.owner, Reply: machine.Reply{Ticket: t, Result: answer}})
	})
	s.summon(calls)
}

// meet lets an SA that is just established and its neighbours settle who stays.
func (s *Shard) meet(now time.Time, e *sa, up event.IKEEstablished) {
	s.summon(s.c.Roster.established(now, e.owner, e.uid, e.conn, up))
}

// summon hands commands to other SAs, in this shard or another.
func (s *Shard) summon(list []summons) {
	for _, c := range list {
		if uint64(c.to)%uint64(s.c.Count) == uint64(s.c.Index) {
			s.later = append(s.later, func(now time.Time) { s.give(now, c) })
			continue
		}
		s.c.Elsewhere(c.to, func(other *Shard, now time.Time) { other.give(now, c) })
	}
}

// give steps an SA that may have ended meanwhile.
func (s *Shard) give(now time.Time, c summons) {
	if e := s.sas[c.to]; e != nil && e.phase < ended {
		s.step(now, e, c.in)
	}
}

// renew makes the SA that is to take the place of e, unless one is on its way. When it cannot be made e asks again.
func (s *Shard) renew(e *sa, fx machine.Renew) {
	if fx.To != (machine.Gateway{}) {
		s.redirect(e, fx)
		return
	}
	s.later = append(s.later, func(now time.Time) {
		if s.closed || e.phase != established || s.has(e.successor) {
			return
		}
		info := e.machine.Info()
		local, remote := info.IKE.Local, info.IKE.Remote
		if e.dial[0].IsValid() { // the ports that we began with: what there is of NATs shows anew. Else those of today (RFC 3947 section 4)
			local = netip.AddrPortFrom(local.Addr(), e.dial[0].Port())
			remote = netip.AddrPortFrom(remote.Addr(), e.dial[1].Port())
		}
		next, err := s.again(now, e, local, remote)
		if err != nil { // its connection is gone, and it goes as well
			return
		}
		e.successor = next.owner
		s.step(now, next, machine.Initiate{Children: fx.Children, Replaces: e.uid, Wants: info.Inner.Assigned})
	})
}

// again makes an SA of the connection and version of e that has not begun.
func (s *Shard) again(now time.Time, e *sa, local, remote netip.AddrPort) (*sa, error) {
	if e.major == majorVersion1 && s.c.IKEv1 != nil {
		return s.initiator(now, e.major, s.c.IKEv1, e.conn, local, remote)
	}
	return s.initiator(now, majorVersion, s.c.Protocol, e.conn, local, remote)
}

// has reports whether there is an SA that has not ended.
func (s *Shard) has(o machine.Owner) bool {
	e := s.sas[o]
	return e != nil && e.phase < ended
}

// redirect makes an SA with the gateway that the peer of e sent us to (RFC 5685).
func (s *Shard) redirect(e *sa, fx machine.Renew) {
	s.later = append(s.later, func(now time.Time) {
		in := machine.Initiate{Children: fx.Children, Redirected: fx.Redirected}
		if e.phase == established {
			in.Replaces = e.uid
		}
		if s.c.Reach != nil {
			s.c.Reach(e.owner, e.conn, fx.To, func(s *Shard, now time.Time, local, remote netip.AddrPort) { s.goTo(now, e, local, remote, in) })
			return
		}
		if fx.To.Addr.IsValid() {
			s.goTo(now, e, e.dial[0], netip.AddrPortFrom(fx.To.Addr, e.dial[1].Port()), in)
		}
	})
}

// goTo begins an SA in the place of e.
func (s *Shard) goTo(now time.Time, e *sa, local, remote netip.AddrPort, in machine.Initiate) {
	if s.closed {
		return
	}
	if next, err := s.again(now, e, local, remote); err == nil { // else its connection is gone
		e.successor = next.owner
		s.step(now, next, in)
	}
}
