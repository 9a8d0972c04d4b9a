package interop

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// another is a connection to nobody, which changes nothing for the others.
const another = `connection "nobody" {
  local  { identity = "east.example.net" }
  remote { address = "192.0.2.77"  identity = "west.example.net" }
  child "lan" { local_ts = ["10.1.0.0/16"]  remote_ts = ["10.77.0.0/16"] }
}`

// rewrite puts another configuration in place of a gateway's.
func (s *site) rewrite(t *testing.T, g *lab.Gateway, own ...string) {
	t.Helper()
	must(t, g.Write("parley.hcl", lab.Fill(gatewayConfig, s.values(s.east, own)...)))
}

// TestAReloadTouchesOnlyWhatChanged: a tunnel survives what does not concern it, a dry run and a bad file; it is made anew when
// its connection changes, and it is gone when its connection is.
func TestAReloadTouchesOnlyWhatChanged(t *testing.T) {
	s := newSite(t, v4in4)
	east, west := s.pair(t)
	parley(t, east, "up", "west")
	first := field(sas(t, east), 6)

	s.rewrite(t, east, "MORE", another)
	contains(t, parley(t, east, "reload", "--dry-run"), "nobody: added", "1 connection is the same; nothing was changed, this was a dry run")
	if out, err := east.Parley(short(t), "up", "nobody", "--no-wait"); err == nil {
		t.Errorf("after a dry run there is a connection: %s", out)
	}
	contains(t, parley(t, east, "reload"), "nobody: added")
	parley(t, east, "up", "nobody", "--no-wait")
	parley(t, east, "down", "nobody")

	must(t, east.Write("parley.hcl", "connection \"west\" {\n  remot { }\n}\n"))
	out, err := east.Parley(short(t), "reload")
	if err == nil {
		t.Fatalf("a bad file is applied: %s", out)
	}
	contains(t, out, "parley.hcl:2", "remot", "nothing was changed")
	contains(t, parley(t, east, "events", "tail", "--no-follow", "--filter", "config.*"), "config.rejected", "config.changed")
	if now := field(sas(t, east), 6); now != first {
		t.Errorf("the SA was %s and is %s", first, now)
	}
	s.pings(t, 2)

	s.rewrite(t, east, "CHILD", `start = "up"`)
	contains(t, parley(t, east, "reload"), "west: changed (child lan: start", "1 IKE SA is deleted", "nobody: removed")
	eventually(t, "another SA is there", func() bool {
		now := sas(t, east)
		return strings.Contains(now, "established") && now != first && !ended(sas(t, west))
	})
	s.pings(t, 2)

	must(t, east.Write("parley.hcl", "\n"))
	must(t, syscall.Kill(east.PID(), syscall.SIGHUP))
	eventually(t, "the tunnel is gone", func() bool { return ended(sas(t, east)) && ended(sas(t, west)) })
	s.silent(t)
}

// TestAReloadBringsOtherKeys: the credential store takes another list of keys while it runs.
func TestAReloadBringsOtherKeys(t *testing.T) {
	s := newSite(t, v4in4)
	east, _ := s.pair(t)
	must(t, os.Rename(east.Path("peer.psk"), east.Path("old.psk")))
	must(t, east.Write("peer.psk", "another key\n"))
	if _, err := east.Parley(short(t), "up", "west"); err == nil {
		t.Fatal("a wrong key is no obstacle: this test cannot see what it is to see")
	}
	must(t, east.Write("parley.hcl", strings.ReplaceAll(lab.Fill(gatewayConfig, s.values(s.east, nil)...), "peer.psk", "old.psk")))
	contains(t, parley(t, east, "reload"), "credentials: changed")
	parley(t, east, "up", "west")
	s.pings(t, 2)
}
