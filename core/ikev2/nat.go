package ikev2

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// nat says who is behind a NAT (RFC 7296 section 2.23).
type nat struct {
	local, remote bool
	known         bool // the peer can do NAT traversal
}

func (n nat) found() bool { return n.local || n.remote }

// natDetection returns the two notifies of an IKE_SA_INIT message from local to remote, with the SPIs as in its header.
// To force encapsulation, the source is a random value: the peer then believes us behind a NAT.
func (s *SA) natDetection(spir uint64, local, remote netip.AddrPort) []wire2.Payload {
	source := suite.NATDetectionHash(s.spii, spir, local)
	destination := suite.NATDetectionHash(s.spii, spir, remote)
	if s.conn.ForceEncap {
		copy(source[:], s.random(len(source)))
	}
	return []wire2.Payload{
		wire2.Notify{Kind: wire2.NATDetectionSourceIP, Data: source[:]},
		wire2.Notify{Kind: wire2.NATDetectionDestinationIP, Data: destination[:]},
	}
}

// detectNAT notes whether there is a NAT between us. A peer that sends no notifies does without NAT traversal.
func (s *SA) detectNAT(p packet) {
	before := s.nat
	if n, told := natOf(p); told {
		s.nat = n
	}
	s.noteMapping(p)
	if s.nat.found() && s.nat != before {
		s.emit(event.NATDetected{Local: s.nat.local, Remote: s.nat.remote})
	}
}

// natOf compares the notifies of a message with the addresses that we see, and reports whether there are any. There may be
// several sources, of which one must match.
func natOf(p packet) (n nat, told bool) {
	here := suite.NATDetectionHash(p.Header.InitiatorSPI, p.Header.ResponderSPI, p.Local)
	there := suite.NATDetectionHash(p.Header.InitiatorSPI, p.Header.ResponderSPI, p.Remote)
	sources, matches := 0, false
	for _, payload := range p.Payloads {
		switch notify, _ := payload.(wire2.Notify); notify.Kind {
		case wire2.NATDetectionSourceIP:
			sources++
			matches = matches || bytes.Equal(notify.Data, there[:])
		case wire2.NATDetectionDestinationIP:
			n.known, n.local = true, !bytes.Equal(notify.Data, here[:])
		}
	}
	n.known = n.known || sources > 0
	n.remote = sources > 0 && !matches
	return n, n.known
}

// float moves an initiator to port 4500 if need be, where NATs leave ESP alone (RFC 7296 section 2.23). Ports other than 500 were
// chosen on purpose and stay.
//
// With MOBIKE it moves though there is no NAT: there may be one on the next path (RFC 4555 section 3.3).
func (s *SA) float() {
	if !s.wantsNAT() && !(s.conn.MOBIKE && s.nat.known) {
		return
	}
	s.local, s.remote = floated(s.local), floated(s.remote)
}

func floated(a netip.AddrPort) netip.AddrPort {
	if a.Port() != portIKE {
		return a
	}
	return netip.AddrPortFrom(a.Addr(), portNAT)
}

// wantsNAT reports whether IKE and ESP are to go over port 4500.
func (s *SA) wantsNAT() bool { return s.nat.found() || s.conn.ForceEncap }

// encapsulates reports whether ESP goes in UDP: never on port 500, where a peer that did not move has stayed (RFC 7296
// section 2.23).
func (s *SA) encapsulates() bool { return s.wantsNAT() && s.local.Port() != portIKE }

// follow takes over the address of a fresh authentic message: until the SA is established, because an initiator may move
// to port 4500 at IKE_AUTH; later only that of a peer behind a NAT, and only if we are not behind one ourselves (RFC 7296
// section 2.23). With MOBIKE only UPDATE_SA_ADDRESSES moves the SA then (RFC 4555 section 3.8).
func (s *SA) follow(d machine.Datagram) {
	if d.Remote == s.remote && d.Local == s.local {
		return
	}
	old := s.remote
	switch {
	case s.state == HalfOpen:
		s.local, s.remote = d.Local, d.Remote
	case s.mobike.on:
	case s.state >= Installing && s.nat.remote && !s.nat.local && d.Remote != old:
		s.local, s.remote = d.Local, d.Remote
		s.emit(event.NATMappingChanged{Old: old, New: s.remote})
		s.moveChildren()
	}
}

// keepAliveDue is when a NAT in front of us needs to see a packet (RFC 3948 section 4).
func (s *SA) keepAliveDue() time.Time {
	if !s.nat.local || s.conn.NATKeepalive == 0 || s.state != Established {
		return time.Time{}
	}
	return s.lastSent.Add(s.conn.NATKeepalive)
}

// keepAlive sends the one octet of RFC 3948 section 2.3 when nothing else was sent for a while.
func (s *SA) keepAlive() {
	if s.due(s.keepAliveDue()) {
		s.send(s.local, s.remote, []byte{0xff})
	}
}
