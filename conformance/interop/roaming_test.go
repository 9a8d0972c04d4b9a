package interop

import (
	"strings"
	"testing"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// move gives the WAN link of a namespace another address in place of the one it has.
func (s *site) move(t *testing.T, ns *lab.Namespace, hop, from, to string) {
	t.Helper()
	must(t, ns.DropAddr("wan", host(from)))
	must(t, ns.Addr("wan", host(to)))
	must(t, ns.DefaultVia(hop))
}

// TestATunnelMovesWithTheAddressOfEitherSide: MOBIKE (RFC 4555 sections 3.5 and 3.6) keeps the SAs when the address of the
// initiator changes, and then that of the responder: packets cross, and nothing was negotiated anew.
func TestATunnelMovesWithTheAddressOfEitherSide(t *testing.T) {
	s := newSite(t, v4in4)
	east, west := s.pair(t)
	parley(t, east, "up", "west")
	s.pings(t, 2)
	uid, child := field(sas(t, east), 6), field(sas(t, east), 9)

	s.move(t, s.east, s.eastHop, s.eastWAN, "192.0.2.11")
	eventually(t, "west has followed", func() bool { return strings.Contains(sas(t, west), "192.0.2.11:4500") })
	s.pings(t, 3)

	s.move(t, s.west, "192.0.2.11", s.westWAN, "192.0.2.12")
	eventually(t, "east has followed", func() bool { return strings.Contains(sas(t, east), "192.0.2.12:4500") })
	s.pings(t, 3)

	if now := sas(t, east); field(now, 6) != uid || field(now, 9) != child {
		t.Errorf("the SA was %s with %s and is\n%s", uid, child, now)
	}
	contains(t, parley(t, west, "events", "tail", "--no-follow", "--filter", "mobility.*"), "mobility.address_changed")
	parley(t, west, "down", "east")
	eventually(t, "east has no SA", func() bool { return ended(sas(t, east)) })
}
