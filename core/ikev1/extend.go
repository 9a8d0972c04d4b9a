package ikev1

import "github.com/parley-ike/parley/bus/event"

// This file is the order of what lies between phase 1 and phase 2: extended authentication, then mode configuration. Until both are over
// no quick mode of ours begins, and those of the peer wait (receive.go).

// complete ends what lies between phase 1 and phase 2: the SA is of use.
func (s *SA) complete() {
	s.opened = s.now
	s.enter(Established)
	s.emit(event.IKEEstablished{IKE: s.describe(), InitialContact: s.session.contact})
	s.tellWeak()
	if s.session.replaces != (event.UID{}) {
		s.emit(event.IKEReauthenticated{IKE: s.describe(), Old: s.session.replaces})
	}
	s.beginChildren()
}
