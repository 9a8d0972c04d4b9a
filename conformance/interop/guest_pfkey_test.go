package interop

import (
	"testing"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

const onPFKEY = `backend = "pfkey"`

// carries demands that a child of a gateway is on a backend, with a suite that PF_KEY can carry.
func carries(t *testing.T, g *lab.Gateway, backend string) {
	t.Helper()
	text := parley(t, g, "sa", "show", peerOf(g))
	contains(t, text, backend, "AES_CBC_256/HMAC_SHA2_384_192")
}

// ownBackends has a backend at each side: nothing but what the kernel can carry by it is proposed, so that both sides agree at once. Each
// side begins, replaces the child and ends.
func ownBackends(ofEast, ofWest string) func(*testing.T) {
	return func(t *testing.T) {
		s := newSite(t, v4in4)
		east, west := s.gateway(t, s.east, "CHILD", "backend = \""+ofEast+"\""), s.gateway(t, s.west, "CHILD", "backend = \""+ofWest+"\"")
		parley(t, east, "up", "west")
		carries(t, east, ofEast)
		carries(t, west, ofWest)
		s.pings(t, 3)
		for _, begins := range []*lab.Gateway{east, west} {
			parley(t, begins, "rekey", peerOf(begins)+"/lan")
			s.pings(t, 3)
		}
		parley(t, west, "down", "east")
		eventually(t, "east has no SA", func() bool { return ended(sas(t, east)) })
		s.silent(t)
		parley(t, west, "up", "east")
		s.pings(t, 3)
	}
}

// ownPFKEYTrap: the first packet is told of and brings the tunnel up; none leaves in clear.
func ownPFKEYTrap(t *testing.T) {
	s := newSite(t, v4in4)
	s.gateway(t, s.west, "CHILD", onPFKEY)
	east := s.gateway(t, s.east, "CHILD", onPFKEY+"\n start = \"trap\"")
	s.pings(t, 3)
	if seen := s.capture.Counts(); seen.ClearICMP != 0 {
		t.Errorf("got %+v, want nothing in clear", seen)
	}
	contains(t, parley(t, east, "events", "tail", "--no-follow"), "backend.traffic_trapped", "pfkey")
}
