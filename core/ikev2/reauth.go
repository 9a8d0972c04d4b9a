package ikev2

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// This file is about the lifetime of an authentication (RFC 4478, RFC 7296 section 2.8.3). The original initiator of an SA
// repeats it: it has its driver make a new SA from the beginning, with the same children, and gives way to it when they are
// there. The original responder says how long it trusts the authentication, and ends an SA that outlives it.

const (
	// reauthPause is how long an attempt to reauthenticate may take before the next one.
	reauthPause = 30 * time.Second
	// reauthShare is the part of a lifetime before whose end the initiator begins, and again the part over which chance
	// spreads that. A quarter of an hour of a usual lifetime is far more than an attempt takes.
	reauthShare = 10
	// lifetimeGrace is how long the responder waits after the end of the lifetime; the times of the two sides differ by that of
	// a message (RFC 4478 section 2).
	lifetimeGrace = 10 * time.Second
	// leastLifetime bounds what a peer's AUTH_LIFETIME can make us do (RFC 4478 section 5).
	leastLifetime = 5 * time.Second
)

// beginLife sets the deadlines of an SA that is just established.
func (s *SA) beginLife(p packet) {
	s.session.began = s.initiator
	switch lifetime := s.conn.Reauth; {
	case s.session.began:
		s.reauthWithin(lifetime)
		s.noteLifetime(p)
	case lifetime > 0:
		s.session.endAt = s.now.Add(lifetime + lifetimeGrace)
	}
}

// lifetime returns the notify by which a responder says how long it trusts the authentication.
func (s *SA) lifetime() []wire2.Payload {
	if s.conn.Reauth == 0 {
		return nil
	}
	return []wire2.Payload{authLifetime(s.conn.Reauth)}
}

func authLifetime(d time.Duration) wire2.Notify {
	return wire2.Notify{Kind: wire2.AuthLifetime, Data: binary.BigEndian.AppendUint32(nil, uint32(d/time.Second))}
}

// noteLifetime takes the peer's AUTH_LIFETIME. It binds the original initiator, unless that means to be earlier anyway.
func (s *SA) noteLifetime(p packet) {
	n, ok := wire2.GetNotify(p.Payloads, wire2.AuthLifetime)
	if !ok || len(n.Data) != 4 || !s.session.began {
		return
	}
	s.reauthWithin(max(time.Duration(binary.BigEndian.Uint32(n.Data))*time.Second, leastLifetime))
}

// reauthWithin plans to be reauthenticated some time before a lifetime is over; zero is for ever.
func (s *SA) reauthWithin(lifetime time.Duration) {
	if lifetime == 0 {
		return
	}
	share := lifetime / reauthShare
	s.session.reauthAt = earliest(s.session.reauthAt, s.now.Add(lifetime-s.jittered(share)))
}

// reauthenticate is a command: the initiator begins, the responder asks for it (RFC 4478 section 2).
func (s *SA) reauthenticate() {
	switch {
	case s.state != Established:
	case s.session.began:
		s.renew()
	default:
		s.request(request{exch: wire2.Informational, payloads: []wire2.Payload{authLifetime(0)}})
	}
}

// renew has the driver make a new SA. When that fails, which it tells by itself, there will be another try.
func (s *SA) renew() {
	s.session.reauthAt = s.now.Add(reauthPause)
	s.fx.Add(machine.Renew{Children: s.childNames()})
}

// childNames lists the children that are up or to be made, each name once.
func (s *SA) childNames() (names []string) {
	for _, conf := range s.conn.Children {
		if s.makes(conf.Name) {
			names = append(names, conf.Name)
		}
	}
	return names
}

// outlive ends an SA whose authentication is too old.
func (s *SA) outlive() {
	s.deleteIKE(byExpired, fmt.Sprintf("the peer did not repeat its authentication within %v (reauth)", s.conn.Reauth))
}

// checkReplaced tells, once, that an SA has taken over all children of the one that it reauthenticates.
func (s *SA) checkReplaced() {
	if s.session.replaces == (event.UID{}) || s.state != Established || s.create != nil || len(s.todo) > 0 {
		return
	}
	s.emit(event.IKEReauthenticated{IKE: s.describe(), Old: s.session.replaces})
	s.session.replaces = event.UID{}
}
