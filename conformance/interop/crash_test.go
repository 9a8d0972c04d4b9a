package interop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// exchanges are what plugins are killed in: how east begins each, and which kinds of plugin have a part in it.
var exchanges = []struct {
	name  string
	up    bool // the tunnel is up before
	begin func(s *site, t *testing.T, east *lab.Gateway)
	kinds []string
}{
	{"IKE_SA_INIT and IKE_AUTH", false, command("up", "west", "--no-wait"), kinds},
	{"CREATE_CHILD_SA for a further child", true, command("up", "west", "--child", "dmz", "--no-wait"), []string{"ke", "sa"}},
	{"CREATE_CHILD_SA for the rekeying of a child", true, command("rekey", "west/lan"), []string{"ke", "sa"}},
	{"CREATE_CHILD_SA for the rekeying of the IKE SA", true, command("rekey", "west"), []string{"ke", "sa"}},
	{"INFORMATIONAL that deletes a child", true, command("down", "west", "--child", "lan"), []string{"sa"}},
	{"INFORMATIONAL that deletes the IKE SA", true, command("down", "west"), []string{"sa"}},
	{"INFORMATIONAL that moves the SA", true, func(s *site, t *testing.T, _ *lab.Gateway) {
		s.move(t, s.east, s.eastHop, s.eastWAN, "192.0.2.11")
	}, []string{"sa"}},
}

// command begins an exchange by the command line. What it says does not matter, and it may be cut short.
func command(line ...string) func(*site, *testing.T, *lab.Gateway) {
	return func(_ *site, t *testing.T, g *lab.Gateway) {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		_, _ = g.Parley(ctx, line...)
	}
}

// persistent makes a connection that should be up come up by itself whatever happens, soon.
var persistent = settings{"CONNECTION", `liveness = "2s"
  retransmit {
    initial = "200ms"
    max     = "1s"
    tries   = 8
  }
  retry {
    initial = "200ms"
    max     = "1s"
  }
` + child("dmz", "10.1.0.0/16", "10.77.0.0/16", ""), "CHILD", `start = "up"`}

// TestAPluginKilledDuringAnExchange: at either side a plugin is stopped, so that the exchange meets it at work, and killed there,
// sooner or later. What should be up comes up by itself, once; both sides know the same SAs; in the end nothing is
// left.
func TestAPluginKilledDuringAnExchange(t *testing.T) {
	t.Parallel()
	for _, x := range exchanges {
		for _, victim := range []string{"east", "west"} {
			t.Run(x.name+", at "+victim, func(t *testing.T) {
				s := newSite(t, v4in4)
				before := [2]string{furniture(t, s.east), furniture(t, s.west)}
				west := s.gateway(t, s.west, "CONNECTION", persistent[1][:strings.Index(persistent[1], "  child")]+child("dmz", "10.77.0.0/16", "10.1.0.0/16", ""))
				east := s.gateway(t, s.east, persistent...)
				at := map[string]*lab.Gateway{"east": east, "west": west}[victim]
				for _, kind := range x.kinds {
					s.agree(t, east, west)
					if !x.up {
						parley(t, east, "down", "west")
					}
					s.killDuring(t, at, kind, func() { x.begin(s, t, east) })
					parley(t, east, "up", "west") // again, where an operator took it down
					s.agree(t, east, west)
				}
				contains(t, parley(t, at, "events", "tail", "--no-follow", "--since", "10m", "--lines", "1000", "--filter", "plugin.*"), "plugin.crashed", "killed")
				parley(t, east, "down", "west")
				for i, g := range []*lab.Gateway{east, west} {
					eventually(t, g.Name+" has no SA", func() bool { return ended(sas(t, g)) })
					must(t, g.Stop())
					if after := furniture(t, g.NS); after != before[i] && x.name != "INFORMATIONAL that moves the SA" {
						t.Errorf("%s had\n%s\nand has\n%s", g.Name, before[i], after)
					}
				}
			})
		}
	}
}

// killDuring kills the plugin of a kind during an exchange: mostly it has been stopped before, so that its call is certainly at work; else
// it is killed at whatever it does just then.
func (s *site) killDuring(t *testing.T, g *lab.Gateway, kind string, begin func()) {
	t.Helper()
	p, err := g.Plugin(short(t), kind)
	must(t, err)
	after := rand.N(60 * time.Millisecond)
	if rand.N(3) > 0 {
		must(t, syscall.Kill(p.PID, syscall.SIGSTOP))
		after = 150*time.Millisecond + rand.N(200*time.Millisecond)
	}
	t.Logf("%s is killed after %v", kind, after)
	done := make(chan struct{})
	go func() { defer close(done); begin() }()
	time.Sleep(after)
	must(t, p.Kill())
	<-done
	_, err = g.WaitPlugin(short(t), kind, p.PID)
	must(t, err)
}

// agree demands that both sides have one IKE SA and the child lan, with the same SPIs, and that packets cross.
func (s *site) agree(t *testing.T, east, west *lab.Gateway) {
	t.Helper()
	var last string
	eventually(t, "both sides have the same SAs", func() bool {
		ours, theirs := established(t, east), established(t, west)
		last = fmt.Sprintf("%+v\n%+v", ours, theirs)
		return len(ours) == 1 && len(theirs) == 1 && mirrored(ours[0], theirs[0])
	})
	if t.Failed() {
		t.Log(last)
	}
	s.pings(t, 2)
}

// mirrored reports whether two IKE SAs are the two ends of one, with the child lan, and each child is at both.
func mirrored(a, b ikeSA) bool {
	if a.SPIi != b.SPIi || len(a.Children) != len(b.Children) {
		return false
	}
	lan := false
	for _, c := range a.Children {
		lan = lan || c.Name == "lan"
		found := false
		for _, d := range b.Children {
			found = found || c.SPIIn == d.SPIOut && c.SPIOut == d.SPIIn
		}
		if !found {
			return false
		}
	}
	return lan
}
