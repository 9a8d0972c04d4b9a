package interop

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// exitUsage is parleyd's exit status for a wrong configuration.
const exitUsage = 2

// TestASecondDaemonWithAMistakeSaysWhatToMendAndDisturbsNothing: beside a daemon with a tunnel, another is started in the same
// namespace with one mistake each. It ends with what, where and how to mend it, and the tunnel carries packets.
func TestASecondDaemonWithAMistakeSaysWhatToMendAndDisturbsNothing(t *testing.T) {
	s := newSite(t, v4in4)
	east, _ := s.pair(t)
	parley(t, east, "up", "west")
	s.pings(t, 2)
	for _, c := range []struct {
		name   string
		own    settings
		break_ func(g *lab.Gateway) error
		status int
		says   []string
	}{
		{"unknown key", settings{"CONNECTION", `colour = "blue"`}, nil, exitUsage,
			[]string{"second/parley.hcl:4:3", `unknown setting "colour"`, "use one of"}},
		{"key file that others can read", nil, func(g *lab.Gateway) error { return os.Chmod(g.Path("peer.psk"), 0o644) }, exitUsage,
			[]string{"second/parley.hcl:12", "second/peer.psk", "0644", "chmod 600"}},
		{"port in use", nil, nil, 1, []string{"cannot bind udp port 500 on 0.0.0.0: address already in use", "probably it belongs to parleyd (pid",
			"stop it, or choose other ports or addresses to listen on"}},
	} {
		g := s.newGateway(t, s.east, c.own...)
		g.Name, g.Dir = "second", filepath.Join(s.dir, "second")
		must(t, g.Write("parley.hcl", lab.Fill(gatewayConfig, s.values(s.east, c.own)...)))
		must(t, g.Write("peer.psk", secretKey))
		if c.break_ != nil {
			must(t, c.break_(g))
		}
		must(t, g.Start(short(t)))
		var exit *exec.ExitError
		if err := g.WaitEnd(short(t)); !errors.As(err, &exit) || exit.ExitCode() != c.status {
			t.Errorf("%s: %v, want exit status %d", c.name, err, c.status)
		}
		contains(t, g.Log(), c.says...)
		must(t, os.RemoveAll(g.Dir))
		s.pings(t, 2)
	}
}

// TestAPeerThatNeverAnswersDisturbsNobody: a connection that should be up, to where nobody is, is tried again and again.
func TestAPeerThatNeverAnswersDisturbsNobody(t *testing.T) {
	s := newSite(t, v4in4)
	s.gateway(t, s.west)
	east := s.gateway(t, s.east, "MORE", `connection "nobody" {
  local  { identity = "east.example.net"  auth = "psk" }
  remote { address = "192.0.2.77"  identity = "nobody.example.net"  auth = "psk" }
  `+quick+`
  child "lan" { local_ts = ["10.1.0.0/16"]  remote_ts = ["10.3.0.0/16"]  start = "up" }
}
credentials {
  psk "nobody.example.net" { file = "peer.psk" }
}`)
	parley(t, east, "up", "west")
	attempts := func() int {
		return strings.Count(parley(t, east, "events", "tail", "--since", "10m", "--no-follow", "--conn", "nobody", "--lines", "1000"), "ike_sa.failed")
	}
	eventually(t, "two attempts have failed", func() bool { return attempts() >= 2 })
	s.pings(t, 5)
	contains(t, parley(t, east, "explain", "nobody"), "192.0.2.77:500 never answered", "Other attempts")
}

// TestWithoutATUNDeviceTheDaemonSaysSo: in a mount namespace that has none, no tunnel comes up, and everything says why.
func TestWithoutATUNDeviceTheDaemonSaysSo(t *testing.T) {
	s := newSite(t, v4in4)
	s.gateway(t, s.west)
	east := s.newGateway(t, s.east, "MORE", `daemon { half_open_timeout = "2s" }`)
	east.Wrap = []string{"unshare", "-m", "sh", "-c", `mount --make-rprivate / && mount -t tmpfs tmpfs /dev/net && exec "$@"`, "sh"}
	start(t, east)
	says := []string{"userspace: not usable (sa/userspace: /dev/net/tun is missing: no such file or directory; load the tun module (modprobe tun), or give the container the device)"}
	contains(t, east.Log(), append(says, "no SA backend can be used here: no tunnel will come up")...)
	contains(t, parley(t, east, "status"), says...)
	fails(t, east, append(says, "west: the SA backend failed", "no SA backend can be used here"))
}

// TestWithoutNET_ADMINTheDaemonSaysSo: as root, but without the capability that an SA backend needs.
func TestWithoutNET_ADMINTheDaemonSaysSo(t *testing.T) {
	s := newSite(t, v4in4)
	s.gateway(t, s.west)
	east := s.newGateway(t, s.east, "MORE", `daemon { half_open_timeout = "2s" }`)
	east.Wrap = []string{"setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"}
	start(t, east)
	says := []string{"userspace: not usable (sa/userspace: CAP_NET_ADMIN is missing, so that neither TUN device nor routes can be made; run as root, or grant the plugin the capability)"}
	contains(t, east.Log(), append(says, "no SA backend can be used here: no tunnel will come up")...)
	contains(t, parley(t, east, "status"), says...)
	fails(t, east, append(says, "west: the SA backend failed", "no SA backend can be used here"))
}

// TestAFullDiskUnderTheEventStoreIsToldAndCostsNoTunnel: the state folder is a small file system, which fills while the
// tunnel is up.
func TestAFullDiskUnderTheEventStoreIsToldAndCostsNoTunnel(t *testing.T) {
	s := newSite(t, v4in4)
	east := s.newGateway(t, s.east)
	must(t, os.Mkdir(east.Path("state"), 0o700))
	must(t, unix.Mount("tmpfs", east.Path("state"), "tmpfs", 0, "size=4m"))
	t.Cleanup(func() { _ = unix.Unmount(east.Path("state"), unix.MNT_DETACH) })
	start(t, east)
	s.gateway(t, s.west)
	parley(t, east, "up", "west")
	s.pings(t, 2)
	filler := east.Path("state/filler")
	_ = os.WriteFile(filler, bytes.Repeat([]byte{1}, 8<<20), 0o600) // until it is full
	for range 3 {
		parley(t, east, "down", "west")
		parley(t, east, "up", "west")
		s.pings(t, 2)
	}
	eventually(t, "the log tells of the full disk", func() bool { return strings.Contains(east.Log(), "no space left on device") })
	contains(t, east.Log(), "mirror down; events wait", "state/outbox", "free space there, or put state_dir on a larger file system")
	contains(t, parley(t, east, "status"), "but events wait: mirror: outbox: write", "no space left on device")
	must(t, os.Remove(filler))
	parley(t, east, "down", "west")
	parley(t, east, "up", "west")
	eventually(t, "events flow again", func() bool { return strings.Contains(parley(t, east, "status"), "connected, 0 waiting") })
	s.pings(t, 2)
}
