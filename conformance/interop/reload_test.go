package interop

import (
	"bytes"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

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

	s.rewrite(t, east, "CONNECTION", `liveness = "20s"`, "CHILD", `start = "up"`)
	contains(t, parley(t, east, "reload"), "west: changed (liveness, child lan: start", "1 IKE SA is deleted", "nobody: removed")
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

// child is one more child of a connection, from the protected network of one gateway to a network behind the other.
func child(name, local, remote, more string) string {
	return lab.Fill("  child \"%NAME%\" {\n    local_ts = [\"%LOCAL%\"]\n    remote_ts = [\"%REMOTE%\"]\n    %MORE%\n  }\n",
		"NAME", name, "LOCAL", local, "REMOTE", remote, "MORE", more)
}

// TestAReloadOfChildrenKeepsTheIKESA: one child is gone, one is new and one is different. Of the child SAs only these end or come,
// also at the peer; a dry run says so before.
func TestAReloadOfChildrenKeepsTheIKESA(t *testing.T) {
	s := newSite(t, v4in4)
	all := func(net, peer string) string {
		return child("gone", net+".1.0.0/16", peer+".31.0.0/16", "") + child("other", net+".1.0.0/16", peer+".32.0.0/16", "") +
			child("fresh", net+".1.0.0/16", peer+".33.0.0/16", "")
	}
	s.gateway(t, s.west, "CONNECTION", strings.NewReplacer("local_ts", "remote_ts", "remote_ts", "local_ts").Replace(all("10", "10")))
	was := child("gone", "10.1.0.0/16", "10.31.0.0/16", "") + child("other", "10.1.0.0/16", "10.32.0.0/16", "")
	is := child("fresh", "10.1.0.0/16", "10.33.0.0/16", `start = "up"`) + child("other", "10.1.0.0/16", "10.32.7.0/24", "")
	east := s.gateway(t, s.east, "CONNECTION", was)
	parley(t, east, "up", "west", "--child", "lan", "--child", "gone", "--child", "other")
	s.pings(t, 2)
	uid, lan := ikeUID(t, east), childUID(t, east, "lan")

	s.rewrite(t, east, "CONNECTION", is)
	contains(t, parley(t, east, "reload", "--dry-run"), "west: changed (child fresh added, child other: remote_ts, child gone removed)",
		"2 child SAs would be deleted or replaced, the IKE SA stays")
	contains(t, parley(t, east, "sa", "show", "west"), "gone", "10.32.0.0/16")
	contains(t, parley(t, east, "reload"), "2 child SAs are deleted or replaced, the IKE SA stays")
	eventually(t, "the children are the new ones", func() bool {
		now := parley(t, east, "sa", "show", "west")
		return !strings.Contains(now, "gone") && strings.Contains(now, "fresh") && strings.Contains(now, "10.32.7.0/24")
	})
	s.pings(t, 2)
	if ikeUID(t, east) != uid || childUID(t, east, "lan") != lan {
		t.Errorf("the IKE SA was %s with lan %s and is\n%s", uid, lan, sas(t, east))
	}
	contains(t, parley(t, east, "events", "tail", "--no-follow", "--filter", "child_sa.*", "--filter", "config.*"),
		"other children: west", "another configuration")
}

// ikeUID returns the name of the IKE SA of the connection west.
func ikeUID(t *testing.T, g *lab.Gateway) string {
	t.Helper()
	_, rest, _ := strings.Cut(parley(t, g, "sa", "show", "west"), "uid")
	return field(rest, 0)
}

// childUID returns the name of a child SA of the connection west.
func childUID(t *testing.T, g *lab.Gateway, child string) string {
	t.Helper()
	out := parley(t, g, "sa", "show", "west")
	_, rest, found := strings.Cut(out, "child SA "+child+"\n")
	if !found {
		t.Fatalf("no child %s:\n%s", child, out)
	}
	return field(rest, 1)
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

// TestAReloadNeedsNeitherNATSNorDisk: the events of it wait, and it is applied, or refused, all the same.
func TestAReloadNeedsNeitherNATSNorDisk(t *testing.T) {
	s := newSite(t, v4in4)
	const nats = `nats {
  mode = "external"
  url  = "nats://127.0.0.1:4222"
}
`
	east := s.newGateway(t, s.east, "MORE", nats)
	must(t, os.Mkdir(east.Path("state"), 0o700))
	must(t, unix.Mount("tmpfs", east.Path("state"), "tmpfs", 0, "size=1m"))
	t.Cleanup(func() { _ = unix.Unmount(east.Path("state"), unix.MNT_DETACH) })
	start(t, east)
	s.gateway(t, s.west)
	parley(t, east, "up", "west")
	_ = os.WriteFile(east.Path("state/filler"), bytes.Repeat([]byte{1}, 2<<20), 0o600) // until it is full
	s.rewrite(t, east, "MORE", nats+another)
	contains(t, parley(t, east, "reload"), "nobody: added")
	must(t, east.Write("parley.hcl", "connection \"west\" { }\n"))
	out, err := east.Parley(short(t), "reload")
	if err == nil {
		t.Fatalf("a bad file is applied:\n%s", out)
	}
	contains(t, out, "parley.hcl:1", "nothing was changed")
	contains(t, parley(t, east, "events", "tail", "--no-follow", "--filter", "config.*"), "config.changed", "config.rejected")
	contains(t, parley(t, east, "status"), "nats://127.0.0.1:4222", "no space left on device")
	s.pings(t, 2)
}
