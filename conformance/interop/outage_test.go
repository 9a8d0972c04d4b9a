package interop

import (
	"strings"
	"testing"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// enduring makes a connection come up by itself, notice within some seconds that its peer is gone, and try again soon.
var enduring = settings{"CONNECTION", impatient + `
  retry {
    initial = "200ms"
    max     = "1s"
  }`, "CHILD", `start = "up"`}

// TestAnAddressThatVanishesIsToldAndItsReturnBringsTheTunnelBack: nothing is left at either side while the address is away, and
// nobody has to do anything when it is back.
func TestAnAddressThatVanishesIsToldAndItsReturnBringsTheTunnelBack(t *testing.T) {
	s := newSite(t, v4in4)
	outage(t, s, "our address 192.0.2.1 is gone", func() { must(t, s.east.DropAddr("wan", host(s.eastWAN))) }, func() {
		must(t, s.east.Addr("wan", host(s.eastWAN)))
		must(t, s.east.DefaultVia(s.eastHop))
	})
}

// TestAnInterfaceThatGoesDownIsToldAndItsReturnBringsTheTunnelBack: the address stays, the way to the peer is gone.
func TestAnInterfaceThatGoesDownIsToldAndItsReturnBringsTheTunnelBack(t *testing.T) {
	s := newSite(t, v4in4)
	outage(t, s, "there is no route to 192.0.2.2", func() { must(t, s.east.Down("wan")) }, func() {
		must(t, s.east.Up("wan"))
		must(t, s.east.DefaultVia(s.eastHop))
	})
}

// outage takes the way between the gateways away and gives it back.
func outage(t *testing.T, s *site, why string, away, back func()) {
	t.Helper()
	east, west := s.gateway(t, s.east, enduring...), s.gateway(t, s.west, "CONNECTION", impatient)
	s.agree(t, east, west)
	before := furniture(t, s.west)
	away()
	eventually(t, "east tells that it cannot reach its peer", func() bool {
		return strings.Contains(squeezed(parley(t, east, "explain", "west")), "it is up, but 192.0.2.2 cannot be reached from here: "+why)
	})
	for _, g := range []*lab.Gateway{east, west} {
		eventually(t, g.Name+" has no SA", func() bool { return len(established(t, g)) == 0 })
	}
	eventually(t, "east has tried again in vain", func() bool {
		return strings.Contains(squeezed(parley(t, east, "explain", "west")), "it cannot even be tried again")
	})
	contains(t, parley(t, east, "explain", "west"), "it was up, and then 192.0.2.2 could not be reached from here: "+why, "give this machine the address and the route back")
	contains(t, parley(t, east, "events", "tail", "--no-follow", "--filter", "liveness.*"), "liveness.peer_unreachable", "192.0.2.2 cannot be reached from here: "+why)
	contains(t, parley(t, west, "explain", "east"), "it was up, and then 192.0.2.1:4500 stopped answering")
	back()
	s.agree(t, east, west)
	if after := furniture(t, s.west); after != before {
		t.Errorf("west had\n%s\nand has\n%s", before, after)
	}
}
