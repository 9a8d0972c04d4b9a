package interop

import (
	"testing"

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
