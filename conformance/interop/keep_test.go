package interop

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// onDead is what becomes of a child whose peer does not answer any more, seen at both ends: the peer is stopped, not killed, so that
// no packet tells of it.
var onDead = []struct {
	action    string
	start     string
	comesBack bool // by itself, when the peer goes on
	byTraffic bool // only when there is some
}{
	{"clear", "up", false, false},
	{"restart", "none", true, false},
	{"trap", "trap", true, true},
}

// TestWhatIsDoneWhenThePeerIsDead: on_dead = "clear", "restart" and "trap". The dead SA is gone at once, with all that it had.
func TestWhatIsDoneWhenThePeerIsDead(t *testing.T) {
	t.Parallel()
	for _, c := range onDead {
		t.Run(c.action, func(t *testing.T) {
			s := newSite(t, v4in4)
			east := s.gateway(t, s.east, "CONNECTION", soon, "CHILD", `start = "`+c.start+`"
    on_dead = "`+c.action+`"`)
			west := s.gateway(t, s.west, "CONNECTION", soon)
			if c.start == "none" {
				parley(t, east, "up", "west")
			}
			s.wakes(t, east)
			must(t, syscall.Kill(west.PID(), syscall.SIGSTOP))
			eventually(t, "east has no SA", func() bool { return len(established(t, east)) == 0 })
			contains(t, parley(t, east, "events", "tail", "--no-follow", "--filter", "liveness.*", "--filter", "child_sa.*"),
				"liveness.dpd_timeout", `child "lan" deleted by the liveness check`)
			must(t, syscall.Kill(west.PID(), syscall.SIGCONT))
			eventually(t, "west has no SA of before", func() bool { return len(established(t, west)) <= 1 })
			switch {
			case c.byTraffic:
				time.Sleep(2 * time.Second) // longer than any pause before it would be tried again
				if len(established(t, east)) != 0 {
					t.Error("it came back without traffic")
				}
				s.wakes(t, east)
			case c.comesBack:
				eventually(t, "it is up again", func() bool { return len(established(t, east)) == 1 })
				s.pings(t, 2)
			default:
				time.Sleep(2 * time.Second)
				if len(established(t, east)) != 0 {
					t.Error("it came back")
				}
				eventually(t, "west has no SA either", func() bool { return len(established(t, west)) == 0 })
			}
		})
	}
}

// soon notices within some seconds that the peer is gone, and tries again soon.
const soon = impatient + `
  retry {
    initial = "200ms"
    max     = "1s"
  }`

// wakes sends until packets cross as ESP: traffic brings up what waits for some.
func (s *site) wakes(t *testing.T, g *lab.Gateway) {
	t.Helper()
	p := s.pinger(t)
	eventually(t, "a tunnel is up", func() bool {
		_, _ = p.Ping(56, 200*time.Millisecond)
		return len(established(t, g)) == 1
	})
	s.pings(t, 2)
}

// TestRetriesComeWithGrowingPauses: a peer that is away is called again and again, more and more seldom; explain shows the attempts.
func TestRetriesComeWithGrowingPauses(t *testing.T) {
	s := newSite(t, v4in4)
	east := s.gateway(t, s.east, "CONNECTION", `retransmit {
    initial = "50ms"
    tries   = 1
  }
  retry {
    initial = "400ms"
    factor  = 2
    max     = "1600ms"
    jitter  = 0
  }`, "CHILD", `start = "up"`)
	var begun []time.Time
	eventually(t, "five attempts", func() bool {
		begun = times(t, east, "ike_sa.initiated")
		return len(begun) >= 5
	})
	for i, want := range []time.Duration{400, 800, 1600, 1600} { // milliseconds, and 140 until an attempt is given up
		want = want*time.Millisecond + 140*time.Millisecond
		if got := begun[i+1].Sub(begun[i]); got < want-100*time.Millisecond || got > want+10*time.Second {
			t.Errorf("between attempts %d and %d lie %v, want %v", i+1, i+2, got, want)
		}
	}
	contains(t, parley(t, east, "explain", "west"), "192.0.2.2:500 never answered", "Other attempts")
	s.gateway(t, s.west)
	eventually(t, "the next attempt succeeds", func() bool { return len(established(t, east)) == 1 })
	s.pings(t, 2)
}

// times returns when events of a type happened.
func times(t *testing.T, g *lab.Gateway, name string) (all []time.Time) {
	t.Helper()
	out := parley(t, g, "events", "tail", "--no-follow", "--since", "10m", "--lines", "1000", "--filter", name, "-o", "json")
	for line := range strings.Lines(out) {
		var e struct{ Time time.Time }
		must(t, json.Unmarshal([]byte(line), &e))
		all = append(all, e.Time)
	}
	return all
}
