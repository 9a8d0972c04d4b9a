package ikev2

import (
	"time"

	"github.com/parley-ike/parley/core/machine"
)

// session is what an SA knows of its place among the SAs of its peer, and of its life.
type session struct {
	contact bool // the peer knows of no other SA (INITIAL_CONTACT)
	looking int  // SA backends that were asked what has come in

	leave   machine.Replaced // why to give way
	leaveAt time.Time        // when, if the peer has not deleted the SA by itself; zero: not at all
}

// sessionDue is when tickSession has something to do.
func (s *SA) sessionDue() time.Time {
	if s.state != Established {
		return time.Time{}
	}
	return s.session.leaveAt
}

func (s *SA) tickSession() {
	if s.due(s.sessionDue()) {
		s.giveWay(s.session.leave)
	}
}
