package ikev1

import (
	"fmt"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// This file is about the age of SAs: both sides know the lifetimes that were agreed on (RFC 2407 section 4.5.4), and each replaces what
// gets old.

// span is when an SA is to be replaced, and when it ends; zero for never.
type span struct{ soft, hard time.Time }

// spanOf begins a lifetime, with jitter.
func (s *SA) spanOf(l policy.Lifetime) (p span) {
	if l.Time == 0 {
		return p
	}
	return span{soft: s.now.Add(l.Soft(s.rand.Uint64())), hard: s.now.Add(l.Time)}
}

// replacePause is the time between attempts to replace an SA that the peer refuses, or a plugin cannot do: there is time for some
// of them in the usual margins.
const replacePause = time.Minute

// jittered returns a time between d and twice d, so that two sides do not run into each other again and again.
func (s *SA) jittered(d time.Duration) time.Duration {
	return d + time.Duration(s.rand.Uint64()%uint64(max(d, 1)))
}

// volumes sets how much a child may carry. The soft limits are spread by chance, like those of time.
func (s *SA) volumes(sa *machine.ChildSA, l policy.Lifetime) {
	sa.Hard = machine.Volume{Bytes: l.Bytes, Packets: l.Packets}
	if sa.Hard != (machine.Volume{}) {
		sa.Soft = machine.Volume{Bytes: policy.SoftVolume(l.Bytes, s.rand.Uint64()), Packets: policy.SoftVolume(l.Packets, s.rand.Uint64())}
	}
}

// shortenLife takes a RESPONDER-LIFETIME about the ISAKMP SA (RFC 2407 section 4.6.3.1).
func (s *SA) shortenLife(n wire1.Notify) {
	if terms, ok := policy.NotifiedLifetime(n); ok && terms.Seconds > 0 {
		s.shorten(terms)
	}
}

// shorten has the ISAKMP SA replaced and end earlier, if it would last longer.
func (s *SA) shorten(terms policy.Terms) {
	if at := s.spanOf(terms.Bound(s.conn.Lifetime)); s.life.hard.IsZero() || at.hard.Before(s.life.hard) {
		s.life = at
	}
}

// noteResponderLifetime takes one that comes with the second message of a quick mode.
func (q *quick) noteResponderLifetime(p packet) {
	n, ok := wire1.GetNotify(p.Payloads, wire1.ResponderLifetime)
	if !ok {
		return
	}
	if terms, ok := policy.NotifiedLifetime(n); ok {
		q.terms.Seconds, q.terms.Kilobytes = shorter(q.terms.Seconds, terms.Seconds), shorter(q.terms.Kilobytes, terms.Kilobytes)
	}
}

// shorter returns the lower of two limits, of which 0 is none.
func shorter(a, b uint64) uint64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// ageDue is when the ISAKMP SA is too old.
func (s *SA) ageDue() time.Time {
	switch s.state {
	case Established:
		return earliest(s.life.soft, s.life.hard)
	case Rekeyed:
		return s.life.hard
	}
	return never
}

// checkAge replaces or ends an ISAKMP SA that is too old.
func (s *SA) checkAge() {
	switch {
	case !s.due(s.ageDue()):
	case s.due(s.life.hard):
		s.life = span{}
		s.emit(event.IKEExpired{IKE: s.describe(), Lifetime: s.now.Sub(s.opened).Round(time.Second).String()})
		s.end(byExpired, "its lifetime is over, and it could not be replaced")
	default:
		s.life.soft = never
		s.rekeyISAKMP()
	}
}

// rekey is the command to replace the SA or a child.
func (s *SA) rekey(r machine.Rekey) {
	if r.Child == "" {
		s.rekeyISAKMP()
		return
	}
	for _, c := range s.children {
		if c.sa.Name == r.Child {
			s.rekeyChild(c)
		}
	}
}

// rekeyISAKMP asks the driver for a new ISAKMP SA with the peer. IKEv1 has no exchange by which one grows out of another. To a peer
// behind a NAT we cannot begin one unless we did so before: that is for the peer to do. So it is for the side of a user, who alone
// knows when a password is at hand.
func (s *SA) rekeyISAKMP() {
	if s.state != Established || !s.initiator && (s.nat.remote || s.conn.Remote.Extended()) {
		return
	}
	if s.life.soft = s.now.Add(s.jittered(replacePause)); !s.life.hard.IsZero() && s.life.soft.After(s.life.hard) {
		s.life.soft = never
	}
	s.fx.Add(machine.Renew{})
}

// due is when a child needs attention.
func (c *child) due() time.Time {
	if c.removing || !c.up {
		return never
	}
	return earliest(c.leaveAt, earliest(c.life.soft, c.life.hard))
}

// childrenDue is when any child does.
func (s *SA) childrenDue() (at time.Time) {
	if s.state != Established && s.state != Rekeyed {
		return never
	}
	for _, c := range s.children {
		at = earliest(at, c.due())
	}
	return at
}

// tendChildren does what is due for children.
func (s *SA) tendChildren() {
	if s.state != Established && s.state != Rekeyed {
		return
	}
	for _, c := range slices.Clone(s.children) { // the list changes
		switch {
		case !s.due(c.due()):
		case s.due(c.leaveAt):
			s.deleteChild(c, byRekey, "another has taken its place")
		case s.due(c.life.hard) && c.replaced():
			s.deleteChild(c, byRekey, "another has taken its place, and nobody deleted it")
		case s.due(c.life.hard):
			s.expireChild(c, "time", fmt.Sprintf("its lifetime of %v is over, and it could not be replaced", s.now.Sub(c.since)))
		default:
			c.life.soft = never
			s.rekeyChild(c)
		}
	}
}

func (s *SA) expireChild(c *child, cause, reason string) {
	c.life = span{}
	s.emit(event.ChildExpired{Child: c.describe(), Cause: cause})
	s.deleteChild(c, byExpired, reason)
}

// childExpired takes the word of an SA backend that a child has carried enough, or more than that.
func (s *SA) childExpired(in machine.ChildExpired) {
	c := s.childOf(in.SPIIn)
	switch {
	case c == nil || !c.up || c.removing:
	case in.Hard:
		s.expireChild(c, in.Cause, fmt.Sprintf("it has carried as many %s as it may, and could not be replaced", in.Cause))
	default:
		s.rekeyChild(c)
	}
}
