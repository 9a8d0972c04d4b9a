package ikev2

import (
	"fmt"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// This file is about the age of SAs (RFC 7296 section 2.8): when it is time, they are replaced, and at the end of their lifetime
// they are deleted, however busy they are.

// span is when an SA is to be replaced, and when it ends; zero for never.
type span struct{ soft, hard time.Time }

// spanOf begins a lifetime, with jitter.
func (s *SA) spanOf(l policy.Lifetime) (p span) {
	if l.Time == 0 {
		return p
	}
	return span{soft: s.now.Add(l.Soft(s.rand.Uint64())), hard: s.now.Add(l.Time)}
}

// again puts the replacement off that has failed, if there is time for another attempt.
func (s *SA) again(p *span) {
	at := s.now.Add(s.jittered(replacePause))
	if p.hard.IsZero() || at.Before(p.hard) {
		p.soft = at
	}
}

// replacePause is the time between attempts to replace an SA that the peer refuses, or a plugin cannot do: there is time for some
// of them in the usual margins.
const replacePause = time.Minute

// limits sets how much a child may carry. The soft ones are spread by chance, like those of time.
func (s *SA) volumes(sa *machine.ChildSA, l policy.Lifetime) {
	sa.Hard = machine.Volume{Bytes: l.Bytes, Packets: l.Packets}
	if sa.Hard != (machine.Volume{}) {
		sa.Soft = machine.Volume{Bytes: policy.SoftVolume(l.Bytes, s.rand.Uint64()), Packets: policy.SoftVolume(l.Packets, s.rand.Uint64())}
	}
}

// ageDue is when the IKE SA is too old.
func (s *SA) ageDue() time.Time {
	if s.state != Established {
		return never
	}
	return earliest(s.life.soft, s.life.hard)
}

// checkAge replaces or ends an IKE SA that is too old.
func (s *SA) checkAge() {
	switch {
	case s.state != Established || !s.due(s.ageDue()):
	case s.due(s.life.hard):
		lifetime := s.conn.Lifetime.Time.String()
		s.life = span{}
		s.emit(event.IKEExpired{IKE: s.describe(), Lifetime: lifetime})
		s.deleteIKE(byExpired, fmt.Sprintf("its lifetime of %s is over, and it could not be replaced", lifetime))
	default:
		s.life.soft = never
		s.rekeyIKE()
	}
}

// ageDue is when a child is too old. One that is being replaced by the peer, or ends, only has to end.
func (c *child) ageDue() time.Time {
	switch {
	case c.deleting || c.removing || !c.leaveAt.IsZero() || !c.up:
		return never
	case c.heir != nil:
		return c.life.hard
	}
	return earliest(c.life.soft, c.life.hard)
}

// checkAgeOf replaces or ends a child that is too old.
func (s *SA) checkAgeOf(c *child) {
	switch {
	case !s.due(c.ageDue()):
	case s.due(c.life.hard):
		s.expireChild(c, "time", fmt.Sprintf("its lifetime of %v is over, and it could not be replaced", c.conf.Lifetime.Time))
	default:
		c.life.soft = never
		s.rekeyChild(c)
	}
}

func (s *SA) expireChild(c *child, cause, reason string) {
	c.life = span{}
	s.emit(event.ChildExpired{Child: c.describe(), Cause: cause})
	s.deleteChild(c, byExpired, reason)
}

// childExpired takes the word of an SA backend that a child has carried enough, or more than that.
func (s *SA) childExpired(in machine.ChildExpired) {
	for _, c := range s.children {
		switch {
		case c.sa.SPIIn != in.SPIIn || !c.up || c.deleting || c.removing || !c.leaveAt.IsZero():
		case in.Hard:
			s.expireChild(c, in.Cause, fmt.Sprintf("it has carried as many %s as it may, and could not be replaced", in.Cause))
		default:
			s.rekeyChild(c)
		}
	}
}
