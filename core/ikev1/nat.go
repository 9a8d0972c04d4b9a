package ikev1

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// This file is NAT traversal (RFC 3947, and drafts 02 and 03 before it, which number things otherwise).

// nat says what is agreed about NATs, and who is behind one.
type nat struct {
	local, remote bool
	can           bool // both sides know NAT traversal
	draft         bool // by the numbers of the drafts
}

func (n nat) found() bool { return n.local || n.remote }

// natDetection returns the hash payloads of a message: the destination's first, then ours (RFC 3947 section 3.2). To force
// encapsulation ours is a random value: the peer then believes us behind a NAT.
func (s *SA) natDetection() []wire1.Payload {
	if !s.nat.can {
		return nil
	}
	to := s.natHash(s.remote)
	from := s.natHash(s.local)
	if s.conn.ForceEncap {
		copy(from, s.random(len(from)))
	}
	return []wire1.Payload{wire1.NATD{Draft: s.nat.draft, Hash: to}, wire1.NATD{Draft: s.nat.draft, Hash: from}}
}

// natHash is HASH(CKY-I | CKY-R | IP | Port) with the negotiated hash.
func (s *SA) natHash(a netip.AddrPort) []byte {
	return suite.NATDHash(s.suite.PRF, s.cookieI, s.cookieR, a)
}

// detectNAT compares the peer's hash payloads with the addresses that we see. The first is about us; of the others, one for each of
// its addresses, one must match.
func (s *SA) detectNAT(p packet) {
	hashes := wire1.All[wire1.NATD](p.Payloads)
	if !s.nat.can || len(hashes) < 2 {
		return
	}
	s.nat.local = !s.isHashOf(hashes[0], p.Local)
	s.nat.remote = !slices.ContainsFunc(hashes[1:], func(n wire1.NATD) bool { return s.isHashOf(n, p.Remote) })
	if s.nat.found() {
		s.emit(event.NATDetected{Local: s.nat.local, Remote: s.nat.remote})
	}
}

// isHashOf compares a hash with an address. In the third message of aggressive mode, which may come over port 4500 already, some peers
// hash the ports of the messages before.
func (s *SA) isHashOf(n wire1.NATD, a netip.AddrPort) bool {
	return bytes.Equal(n.Hash, s.natHash(a)) || a.Port() != portIKE && bytes.Equal(n.Hash, s.natHash(netip.AddrPortFrom(a.Addr(), portIKE)))
}

// float moves an initiator to port 4500 if there is a NAT, where NATs leave ESP alone (RFC3947-4-1, RFC3947-4-2). Ports other than
// 500 were chosen on purpose and stay.
func (s *SA) float() {
	if s.wantsNAT() {
		s.local, s.remote = floated(s.local), floated(s.remote)
	}
}

func floated(a netip.AddrPort) netip.AddrPort {
	if a.Port() != portIKE {
		return a
	}
	return netip.AddrPortFrom(a.Addr(), portNAT)
}

// wantsNAT reports whether IKE is to go over port 4500, and ESP in UDP.
func (s *SA) wantsNAT() bool { return s.nat.can && (s.nat.found() || s.conn.ForceEncap) }

// encapsulates reports whether ESP goes in UDP: never on port 500.
func (s *SA) encapsulates() bool { return s.wantsNAT() && s.local.Port() != portIKE }

// follow takes over the addresses of a fresh authentic message: those of the initiator's fifth message, which comes from port 4500
// where there is a NAT (RFC3947-4-5, RFC3947-4-6), and later those of a peer behind a NAT if we are not behind one (RFC3947-7-1,
// RFC3947-7-2).
func (s *SA) follow(d machine.Datagram) {
	old := s.remote
	switch {
	case d.Remote == s.remote && d.Local == s.local:
	case s.state == HalfOpen:
		s.local, s.remote = d.Local, d.Remote
	case s.state >= Verifying && s.nat.remote && !s.nat.local && d.Remote != old:
		s.local, s.remote = d.Local, d.Remote
		s.emit(event.NATMappingChanged{Old: old, New: s.remote})
		s.moveChildren()
	}
}

// moveChildren brings children to the addresses of the SA.
func (s *SA) moveChildren() {
	for _, c := range s.children {
		if c.removing || !c.sa.Encap || c.sa.Remote == s.remote.Addr() && c.sa.RemotePort == s.remote.Port() {
			continue
		}
		c.sa.Remote, c.sa.RemotePort = s.remote.Addr(), s.remote.Port()
		if !c.installing {
			s.askUpdate(c)
		}
	}
}

// keepAliveDue is when a NAT in front of us needs to see a packet (RFC 3948 section 4).
func (s *SA) keepAliveDue() time.Time {
	if !s.nat.local || s.conn.NATKeepalive == 0 || s.state != Established {
		return never
	}
	return s.lastSent.Add(s.conn.NATKeepalive)
}

// keepAlive sends the one octet of RFC 3948 section 2.3 when nothing else was sent for a while.
func (s *SA) keepAlive() {
	if s.due(s.keepAliveDue()) {
		s.send(s.local, s.remote, []byte{0xff})
	}
}

// encapsulation is the mode to offer for a child: either a plain or a UDP-encapsulated one (RFC3947-5.1-1 to -3).
func (s *SA) encapsulation(conf *policy.Child) uint16 { return s.encapsulations(conf)[0] }

// encapsulations lists the modes that a child may have. Some peers that know the RFC offer the drafts' numbers, and the reverse.
func (s *SA) encapsulations(conf *policy.Child) []uint16 {
	modes := [...][]uint16{
		{wire1.EncapsulationTunnel}, {wire1.EncapsulationTransport},
		{wire1.EncapsulationUDPTunnel, wire1.EncapsulationUDPTunnelDraft}, {wire1.EncapsulationUDPTransport, wire1.EncapsulationUDPTransportDraft},
	}
	i := int(conf.Mode)
	if s.encapsulates() {
		i += 2
	}
	list := modes[i]
	if s.nat.draft && len(list) > 1 {
		return []uint16{list[1], list[0]}
	}
	return list
}

// originals returns the NAT-OA payloads of a child in transport mode over UDP: the addresses that we know of initiator and responder
// (RFC3947-5.2-1 to -4).
func (s *SA) originals(transport bool, initiator bool) []wire1.Payload {
	if !transport || !s.encapsulates() {
		return nil
	}
	first, second := s.local.Addr(), s.remote.Addr()
	if !initiator {
		first, second = second, first
	}
	return []wire1.Payload{s.original(first), s.original(second)}
}

func (s *SA) original(a netip.Addr) wire1.NATOA {
	a = a.Unmap()
	n := wire1.NATOA{Draft: s.nat.draft, IDType: wire1.IDIPv6Addr, Data: a.AsSlice()}
	if a.Is4() {
		n.IDType = wire1.IDIPv4Addr
	}
	return n
}
