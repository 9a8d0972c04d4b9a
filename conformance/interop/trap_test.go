package interop

import (
	"testing"
	"time"
)

// TestTheFirstPacketBringsTheTunnelUpAndIsAnswered: start = "trap". Before there is traffic there is no SA; the packet that calls for
// one is kept and crosses; none ever leaves in clear; after the end the trap waits again.
func TestTheFirstPacketBringsTheTunnelUpAndIsAnswered(t *testing.T) {
	s := newSite(t, v4in4)
	before := furniture(t, s.east)
	west := s.gateway(t, s.west)
	east := s.gateway(t, s.east, "CHILD", `start = "trap"`)
	p := s.pinger(t)
	for range 2 {
		if n := len(established(t, east)); n != 0 {
			t.Fatalf("%d IKE SAs without traffic", n)
		}
		s.capture.Reset()
		if took, err := p.Ping(56, 10*time.Second); err != nil {
			t.Fatalf("the first ping: %v", err)
		} else {
			t.Logf("the first ping was answered after %v", took)
		}
		eventually(t, "it is seen on the wire as ESP", func() bool { return s.capture.Counts().Protected() >= 2 })
		if seen := s.capture.Counts(); seen.ClearICMP != 0 {
			t.Errorf("got %+v, want nothing in clear", seen)
		}
		s.pings(t, 2)
		contains(t, parley(t, east, "events", "tail", "--no-follow"), "backend.traffic_trapped", "ICMP from 10.1.0.1 to 10.2.0.1")
		parley(t, west, "down", "east")
		eventually(t, "east has no SA", func() bool { return ended(sas(t, east)) })
	}
	must(t, east.Stop())
	if after := furniture(t, s.east); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}
