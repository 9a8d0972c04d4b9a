package ikev1

import (
	"reflect"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// This file is what an SA backend, the driver and a new configuration tell an SA about its children.

// childLost replaces a child that its SA backend has no more: its keys must not be used again, because nobody knows which
// initialisation vectors were (RFC 4106 section 2).
func (s *SA) childLost(in machine.ChildLost) {
	if c := s.childOf(in.SPIIn); c != nil && c.usable() {
		s.emit(event.ChildLost{Child: c.describe()})
		s.rekeyChild(c)
	}
}

// childPlaced notes which device carries a child, or that none does.
func (s *SA) childPlaced(in machine.ChildPlaced) {
	if c := s.childOf(in.SPIIn); c != nil && !c.removing && c.placed != in.Where {
		c.placed = in.Where
		s.emit(event.ChildPlaced{Child: c.describe(), Reason: in.Reason})
	}
}

// childSeen follows a peer behind a NAT to where its ESP comes from now; its IKE messages come from there, too (RFC3947-7-1).
func (s *SA) childSeen(in machine.ChildMoved) {
	c := s.childOf(in.SPIIn)
	if c == nil || c.removing || !c.sa.Encap || !s.nat.remote || s.nat.local || !in.Remote.IsValid() {
		return
	}
	if old := s.remote; old != in.Remote {
		s.remote = in.Remote
		s.emit(event.NATMappingChanged{Old: old, New: s.remote})
	}
	s.moveChildren()
}

// path tells of the way to the peer. It ends nothing: the way may be back before the peer is given up.
func (s *SA) path(p machine.Path) {
	switch {
	case s.state != Established:
	case p.Lost != "":
		s.emit(event.PeerUnreachable{Remote: s.remote.Addr(), Reason: p.Lost})
	default:
		s.emit(event.PeerReachable{Remote: s.remote.Addr()})
	}
}

const reconfigured = "the configuration changed"

// reconfigure notes another version of the connection, which differs in its children only.
func (s *SA) reconfigure(c machine.Reconfigure) {
	if conn, ok := c.Connection.(*policy.Connection); ok {
		s.next = conn
	}
}

// adoptNext goes over to the version of the connection that was noted, as soon as the SA is established: what is not allowed any more
// is deleted, and what is allowed otherwise is made anew.
func (s *SA) adoptNext() {
	if s.next == nil || s.state != Established {
		return
	}
	before, now := s.configured(), s.next
	s.next = nil
	s.address(now)
	for _, was := range before.Children {
		switch is, stays := now.Child(was.Name); {
		case !stays:
			s.disallow(was.Name)
		case !reflect.DeepEqual(was, is) && s.disallow(was.Name):
			s.want([]string{is.Name})
		}
	}
}

// disallow ends the children of a name, makes no more of them, and reports whether there were any.
func (s *SA) disallow(name string) (had bool) {
	had = s.makes(name)
	s.unwant(name, operatorFailure(reconfigured))
	for _, c := range append([]*child(nil), s.children...) {
		if c.sa.Name == name && c.up {
			s.deleteChild(c, byConfig, reconfigured)
		}
	}
	return had
}

// handling is what an SA backend is told of a child's.
func handling(h policy.Handling) machine.Handling {
	return machine.Handling{Mark: h.Mark, MarkMask: h.MarkMask, OutputMark: h.OutputMark, OutputMarkMask: h.OutputMarkMask, IfID: h.IfID,
		Interface: h.Interface, Netns: h.Netns, ClearDF: h.ClearDF, IgnoreECN: h.IgnoreECN, DSCP: uint8(h.DSCP),
		Offload: uint8(h.Offload.Mode), OffloadDevice: h.Offload.Device, OffloadRequired: h.Offload.Required}
}
