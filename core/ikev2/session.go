package ikev2

import (
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
)

// session is what an SA knows of its place among the SAs of its peer, and of its life.
type session struct {
	contact      bool     // the peer knows of no other SA (INITIAL_CONTACT)
	names        []string // children that were asked for
	redirected   machine.Redirected
	redirectable bool      // the peer permits to be redirected
	elsewhere    bool      // IKE_AUTH sends the client to another gateway: the SA carries nothing, and ends
	replaces     event.UID // the SA that this one reauthenticates; zero when that is done
	looking      int       // SA backends that were asked what has come in

	leave   machine.Replaced // why to give way
	leaveAt time.Time        // when, if the peer has not deleted the SA by itself; zero: not at all

	began    bool      // we are the original initiator, whatever rekeying made of the roles
	reauthAt time.Time // original initiator: when to authenticate anew; zero: never
	endAt    time.Time // original responder: when the authentication is too old; zero: never
}

// noteInitiate notes what an SA that has not begun is to be.
func (s *SA) noteInitiate(in machine.Initiate) {
	if s.state == Idle {
		s.session.replaces, s.session.names, s.session.redirected = in.Replaces, in.Children, in.Redirected
	}
}

// sessionDue is when tickSession has something to do.
func (s *SA) sessionDue() time.Time {
	if s.state != Established {
		return time.Time{}
	}
	return earliest(s.session.leaveAt, earliest(s.session.reauthAt, s.session.endAt))
}

func (s *SA) tickSession() {
	switch x := &s.session; {
	case s.state != Established:
	case s.due(x.leaveAt):
		s.giveWay(x.leave)
	case s.due(x.endAt):
		s.outlive()
	case s.due(x.reauthAt):
		s.renew()
	}
}
