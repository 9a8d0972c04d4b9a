package interop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// families are what can be inside and outside, but for IPv4 in IPv4, which everything else here uses.
var families = []struct {
	name string
	network
}{{"v6 in v4", v6in4}, {"v4 in v6", v4in6}, {"v6 in v6", v6in6}}

// pair starts two parleyd with the same settings on a site.
func (s *site) pair(t *testing.T, own ...string) (east, west *lab.Gateway) {
	t.Helper()
	return s.gateway(t, s.east, own...), s.gateway(t, s.west, own...)
}

// TestBothFamiliesInsideAndOutside: RFC 4301 section 5.1.2 allows any mixture.
func TestBothFamiliesInsideAndOutside(t *testing.T) {
	t.Parallel()
	for _, c := range families {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.network)
			east, _ := s.pair(t)
			parley(t, east, "up", "west")
			if seen := s.pings(t, 3); seen.ESP == 0 {
				t.Errorf("got %+v, want plain ESP: nothing is between", seen)
			}
			parley(t, east, "down", "west")
			s.silent(t)
		})
	}
}

// TestBothMayBegin: two gateways that call each other at the same time end with a tunnel, and either can take it down.
func TestBothMayBegin(t *testing.T) {
	s := newSite(t, v4in4)
	east, west := s.pair(t)
	done := make(chan error, 2)
	for g, conn := range map[*lab.Gateway]string{east: "west", west: "east"} {
		go func() {
			out, err := g.Parley(t.Context(), "up", conn)
			if err != nil {
				err = fmt.Errorf("%s: %w\n%s", g.Name, err, out)
			}
			done <- err
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	s.pings(t, 5)
	parley(t, east, "down", "west")
	eventually(t, "west has no SA", func() bool { return ended(sas(t, west)) })
	s.silent(t)
}

// impatient makes a gateway notice within a second or two that its peer is gone.
const impatient = `liveness = "1s"
  retransmit {
    initial = "100ms"
    tries   = 4
  }`

// TestAKilledDaemonLeavesNoHoleAndItsPeerNotices: after SIGKILL no plugin runs on, nothing leaves in clear, the peer's liveness
// check ends the SA; the daemon starts again as if nothing had been, and in the end no device and no route is left.
func TestAKilledDaemonLeavesNoHoleAndItsPeerNotices(t *testing.T) {
	s := newSite(t, v4in4)
	before := furniture(t, s.east)
	east, west := s.pair(t, "CONNECTION", impatient)
	parley(t, east, "up", "west")
	s.pings(t, 2)
	if furniture(t, s.east) == before {
		t.Fatal("a tunnel without a link or a route: this test cannot see what it is to see")
	}
	must(t, east.Kill())
	eventually(t, "no process is left", func() bool { return len(processes(t, s.east)) == 0 })
	s.capture.Reset()
	if _, err := s.pinger(t).Ping(56, 200*time.Millisecond); err == nil || s.capture.Counts().ClearICMP != 0 {
		t.Errorf("without its daemon, a protected network sends in clear: %+v", s.capture.Counts())
	}
	eventually(t, "the peer has no SA", func() bool { return ended(sas(t, west)) })
	contains(t, parley(t, west, "explain", "east"), "it was up, and then 192.0.2.1:4500 stopped answering")
	start(t, east)
	parley(t, east, "up", "west")
	s.pings(t, 2)
	must(t, east.Stop())
	if after := furniture(t, s.east); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func processes(t *testing.T, ns *lab.Namespace) []int {
	t.Helper()
	all, err := ns.Processes()
	must(t, err)
	return all
}

// furniture is what a namespace holds of links and routes, without what the kernel makes by itself over time.
func furniture(t *testing.T, ns *lab.Namespace) string {
	t.Helper()
	links, err := ns.Links.LinkList()
	must(t, err)
	routes, err := ns.Links.RouteList(nil, netlink.FAMILY_V4)
	must(t, err)
	rules, err := ns.Links.RuleList(netlink.FAMILY_ALL)
	must(t, err)
	var all []string
	for _, l := range links {
		all = append(all, "link "+l.Attrs().Name)
	}
	for _, r := range routes {
		all = append(all, "route "+r.String())
	}
	for _, r := range rules {
		all = append(all, r.String())
	}
	return strings.Join(all, "\n")
}
