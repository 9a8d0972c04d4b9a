package ikev2

import (
	"net/netip"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
)

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

// childSeen follows a peer behind a NAT to where its ESP comes from now; its IKE messages come from there, too (RFC 7296 section
// 2.23). With MOBIKE the IKE SA stays where it was, until the peer says otherwise (RFC 4555 section 3.8).
func (s *SA) childSeen(in machine.ChildMoved) {
	c := s.childOf(in.SPIIn)
	if c == nil || c.removing || !c.sa.Encap || !s.nat.remote || s.nat.local || !in.Remote.IsValid() {
		return
	}
	if s.mobike.on {
		s.sendTo(c, in.Remote)
		return
	}
	if old := s.remote; old != in.Remote {
		s.remote = in.Remote
		s.emit(event.NATMappingChanged{Old: old, New: s.remote})
	}
	s.moveChildren()
}

// sendTo has one child send to another address.
func (s *SA) sendTo(c *child, remote netip.AddrPort) {
	sa := c.sa
	sa.Remote, sa.RemotePort = remote.Addr(), remote.Port()
	s.updateChild(c, sa)
}

// childOf returns the child with an inbound SPI, nil for none.
func (s *SA) childOf(spi uint32) *child {
	for _, c := range s.children {
		if c.sa.SPIIn == spi {
			return c
		}
	}
	return nil
}
