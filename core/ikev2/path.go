package ikev2

import (
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
)

// path tells of the way to the peer. It ends nothing: the way may be back before the peer is given up (RFC 7296 section 2.4 wants
// that decided by what is not answered).
func (s *SA) path(p machine.Path) {
	switch {
	case s.state != Established:
	case p.Lost != "":
		s.emit(event.PeerUnreachable{Remote: s.remote.Addr(), Reason: p.Lost})
	default:
		s.emit(event.PeerReachable{Remote: s.remote.Addr()})
	}
}
