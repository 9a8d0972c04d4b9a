package interop

import (
	"testing"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// behindNAT are the settings of a responder whose peer has an address that it cannot know.
var behindNAT = settings{"PEERWAN", "%any"}

// TestATunnelThroughANATGoesOverUDP4500AndIsKeptAlive (RFC 7296 section 2.23, RFC 3948 section 4).
func TestATunnelThroughANATGoesOverUDP4500AndIsKeptAlive(t *testing.T) {
	s := newRoutedSite(t, true)
	s.gateway(t, s.west, behindNAT...)
	east := s.gateway(t, s.east, "CONNECTION", `nat_keepalive = "200ms"`)
	parley(t, east, "up", "west")
	overUDP(t, s.pings(t, 5))
	contains(t, parley(t, east, "sa", "show", "west"), "203.0.113.2:4500", "in UDP")
	s.capture.Reset()
	eventually(t, "keepalives cross", func() bool { return s.capture.Counts().Keepalive >= 3 })
	parley(t, east, "down", "west")
	s.silent(t)
}

// TestStrongSwanThroughANAT: the peer takes us behind a NAT.
func TestStrongSwanThroughANAT(t *testing.T) {
	s := newRoutedSite(t, true)
	s.strongSwan(t, behindNAT...)
	east := s.gateway(t, s.east)
	parley(t, east, "up", "west")
	overUDP(t, s.pings(t, 5))
}

// TestForcedEncapsulationNeedsNoNAT: force_encap at one side makes both sides see a NAT (RFC 7296 section 2.23).
func TestForcedEncapsulationNeedsNoNAT(t *testing.T) {
	s := newSite(t, v4in4)
	s.gateway(t, s.west)
	east := s.gateway(t, s.east, "CONNECTION", "force_encap = true")
	parley(t, east, "up", "west")
	overUDP(t, s.pings(t, 5))
}

func overUDP(t *testing.T, seen lab.Counts) {
	t.Helper()
	if seen.ESP != 0 || seen.ESPinUDP == 0 {
		t.Errorf("got %+v, want ESP in UDP and none without", seen)
	}
}
