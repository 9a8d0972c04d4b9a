package interop

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
	"github.com/parley-ike/parley/conformance/kit/guest"
	"github.com/parley-ike/parley/core/policy"
)

// TestADayOnAKernelsOwnESP runs two parleyd through a day in time travel, or in make test through five hours, in which every SA was replaced.
func TestADayOnAKernelsOwnESP(t *testing.T) { travelInGuest(t, "TestGuestDay") }

// TestGuestDayOfDefaultLifetimesLosesNoPacket: nothing about lifetimes is configured, both sides count theirs (RFC 7296 section 2.8), a
// packet crosses a minute, and the answer to each comes. In the end there is one IKE SA with one child, of which the kernels hold nothing
// else.
func TestGuestDayOfDefaultLifetimesLosesNoPacket(t *testing.T) {
	if !guest.Inside() {
		t.Skip("runs within TestADayOnAKernelsOwnESP")
	}
	const quiet = `daemon { plugin_health = "10m" }
nats { mode = "off" }` // which keep two processes busy, and have nothing to do with lifetimes
	day := 5 * time.Hour
	if os.Getenv(fullVariable) == "full" {
		day = 24 * time.Hour
	}
	s := newSite(t, v4in4)
	s.delay(t)
	east, west := s.pair(t, "MORE", quiet)
	both := []*lab.Gateway{east, west}
	parley(t, east, "up", "west")
	s.pings(t, 1)
	flood, err := s.east.NewFlood(netip.MustParseAddr(s.eastLAN), netip.MustParseAddr(s.westLAN), time.Minute)
	must(t, err)
	time.Sleep(day)
	sent, lost := flood.Stop()
	ike, children := count(t, east, "ike_sa.rekeyed"), count(t, east, "child_sa.rekeyed")
	t.Logf("%d packets, %d lost; the IKE SA was replaced %d times and its child %d times", sent, lost, ike, children)
	if lost != 0 || sent < int(day/time.Minute)-1 {
		t.Errorf("%d of %d packets were lost", lost, sent)
	}
	if ike < int(day/policy.DefaultIKELifetime) || children < int(day/policy.DefaultChildLifetime) {
		t.Errorf("replaced %d and %d times only", ike, children)
	}
	s.settle(t, both, []entries{{}, {}})
	s.pings(t, 1)
}
