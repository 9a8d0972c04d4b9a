package interop

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// inParallel is how many tests run at once, more than there are processors: they mostly wait for processes and clocks.
const inParallel = "4"

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", inParallel)
	}
	os.Exit(m.Run())
}

// network is the addresses of a site: of the wire between the gateways, and of the protected networks behind them.
type network struct{ eastWAN, westWAN, eastLAN, westLAN string }

var (
	v4in4 = network{"192.0.2.1", "192.0.2.2", "10.1.0.1", "10.2.0.1"}
	v6in4 = network{"192.0.2.1", "192.0.2.2", "fd01::1", "fd02::1"}
	v4in6 = network{"2001:db8::1", "2001:db8::2", "10.1.0.1", "10.2.0.1"}
	v6in6 = network{"2001:db8::1", "2001:db8::2", "fd01::1", "fd02::1"}
)

const secretKey = "a key for tests only"

// site is two namespaces on one wire, with a capture on it.
type site struct {
	network
	east, west       *lab.Namespace
	eastHop, westHop string      // next hops of the default routes
	middle           *lab.Middle // nil when the two are on one link
	capture          *lab.Capture
	dir, bin         string
}

// newSite makes a site whose gateways are on one link.
func newSite(t *testing.T, n network) *site {
	t.Helper()
	s := newNamespaces(t, n)
	must(t, lab.Join(s.east, s.west, "wan"))
	s.eastHop, s.westHop = s.westWAN, s.eastWAN
	s.address(t)
	return s
}

// routed is the network of a site with a router between the gateways.
var routed = network{"192.0.2.1", "203.0.113.2", "10.1.0.1", "10.2.0.1"}

// publicAddr is how west sees an east behind a NAT.
const publicAddr = "203.0.113.1"

// westPublicAddr is how east sees a west behind a NAT.
const westPublicAddr = "192.0.2.77"

// newRoutedSite makes a site with a router between the gateways; with nat it hides east behind publicAddr.
func newRoutedSite(t *testing.T, nat bool) *site {
	t.Helper()
	s := newNamespaces(t, routed)
	s.eastHop, s.westHop = "192.0.2.254", "203.0.113.254"
	public := ""
	if nat {
		public, s.westHop = publicAddr, publicAddr
	}
	s.route(t, s.east, s.west, s.eastHop, s.westHop, public)
	return s
}

// newSiteWithWestHidden makes a site with a NAT that hides west behind westPublicAddr.
func newSiteWithWestHidden(t *testing.T) *site {
	t.Helper()
	s := newNamespaces(t, routed)
	s.eastHop, s.westHop = westPublicAddr, "203.0.113.254"
	s.route(t, s.west, s.east, s.westHop, s.eastHop, westPublicAddr)
	return s
}

// route puts a router between two namespaces, which hides the inside behind public unless that is empty.
func (s *site) route(t *testing.T, inside, outside *lab.Namespace, insideHop, outsideHop, public string) {
	t.Helper()
	addr, _ := netip.ParseAddr(public)
	var err error
	s.middle, err = lab.NewMiddle(inside, outside, "wan", netip.MustParseAddr(insideHop), netip.MustParseAddr(outsideHop), addr)
	must(t, err)
	t.Cleanup(s.middle.Close)
	s.address(t)
}

// newNamespaces makes the namespaces of a site without a wire.
func newNamespaces(t *testing.T, n network) *site {
	t.Helper()
	t.Parallel()
	if err := lab.Possible(); err != nil {
		t.Skipf("SKIPPED, not proven here: %v", err)
	}
	s := &site{network: n}
	var err error
	s.bin, err = lab.BinDir()
	must(t, err)
	if _, err := os.Stat(filepath.Join(s.bin, "parleyd")); err != nil {
		t.Fatalf("%v: run make build", err)
	}
	s.dir, err = os.MkdirTemp("", "parley-") // t.TempDir is too long for unix sockets
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(s.dir) })
	s.east, s.west = s.namespace(t, "east"), s.namespace(t, "west")
	return s
}

// address gives the links their addresses and begins to capture.
func (s *site) address(t *testing.T) {
	t.Helper()
	must(t, s.east.Addr("wan", host(s.eastWAN)))
	must(t, s.west.Addr("wan", host(s.westWAN)))
	must(t, s.east.Addr("lan", host(s.eastLAN)))
	must(t, s.west.Addr("lan", host(s.westLAN)))
	must(t, s.east.DefaultVia(s.eastHop))
	must(t, s.west.DefaultVia(s.westHop))
	var err error
	s.capture, err = s.east.NewCapture("wan")
	must(t, err)
	t.Cleanup(s.capture.Close)
}

// host is an address with the prefix length of its link: 24 on the wire, 16 behind a gateway, 64 for IPv6.
func host(addr string) string {
	switch {
	case strings.Contains(addr, ":"):
		return addr + "/64"
	case strings.HasPrefix(addr, "10."):
		return addr + "/16"
	}
	return addr + "/24"
}

// net is the network of an address.
func net(addr string) string { return netip.MustParsePrefix(host(addr)).Masked().String() }

func (s *site) namespace(t *testing.T, name string) *lab.Namespace {
	t.Helper()
	ns, err := lab.NewNamespace(name)
	must(t, err)
	t.Cleanup(func() {
		defer ns.Close()
		left, err := ns.Processes()
		for begin := time.Now(); err == nil && len(left) > 0 && time.Since(begin) < 5*time.Second; time.Sleep(10 * time.Millisecond) {
			left, err = ns.Processes() // the kernel ends the plugins of a daemon that was killed
		}
		if err != nil || len(left) > 0 {
			t.Errorf("processes that are left in %s: %v %v", name, left, err)
			for _, pid := range left {
				cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
				t.Logf("%d: %q\n%s", pid, cmdline, status)
			}
		}
	})
	return ns
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// step bounds one step of a test, far above what it takes on a busy machine.
const step = 40 * time.Second

func short(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), step)
	t.Cleanup(cancel)
	return ctx
}

// gatewayConfig is a whole configuration. What is optional has lines of its own, so that all else stays where it is:
// explanations name lines.
const gatewayConfig = `connection "%PEER%" {
  local  { identity = "%ID%"  auth = "psk" }
  remote { address = "%PEERWAN%"  identity = "%PEERID%"  auth = "psk" }
  %CONNECTION%
  child "lan" {
    local_ts = ["%NET%"]
    remote_ts = ["%PEERNET%"]
    %CHILD%
  }
}
credentials {
  psk "%PSKID%" { file = "peer.psk" }
}
%MORE%
`

// settings are what a test changes in gatewayConfig: names and values in turn.
type settings []string

func (s *site) values(ns *lab.Namespace, own settings) settings {
	values := map[string]string{
		"PEER": "west", "ID": "east.example.net", "PEERID": "west.example.net", "PEERWAN": s.westWAN,
		"NET": net(s.eastLAN), "PEERNET": net(s.westLAN), "CONNECTION": "", "CHILD": "", "MORE": "",
	}
	if ns == s.west {
		values["PEER"], values["PEERWAN"] = "east", s.eastWAN
		values["ID"], values["PEERID"] = values["PEERID"], values["ID"]
		values["NET"], values["PEERNET"] = values["PEERNET"], values["NET"]
	}
	for i := 0; i < len(own); i += 2 {
		values[own[i]] = own[i+1]
	}
	if values["PSKID"] == "" {
		values["PSKID"] = values["PEERID"]
	}
	var all settings
	for name, value := range values {
		all = append(all, name, value)
	}
	return all
}

// newGateway writes the files of a gateway and starts nothing.
func (s *site) newGateway(t *testing.T, ns *lab.Namespace, own ...string) *lab.Gateway {
	t.Helper()
	g := &lab.Gateway{Name: ns.Name, NS: ns, Dir: filepath.Join(s.dir, ns.Name), Bin: s.bin}
	must(t, g.Write("parley.hcl", lab.Fill(gatewayConfig, s.values(ns, own)...)))
	must(t, g.Write("peer.psk", secretKey+"\n"))
	return g
}

// gateway starts a parleyd in a namespace, with a key for its peer.
func (s *site) gateway(t *testing.T, ns *lab.Namespace, own ...string) *lab.Gateway {
	t.Helper()
	g := s.newGateway(t, ns, own...)
	start(t, g)
	return g
}

// start starts a gateway, and takes it down after the test.
func start(t *testing.T, g *lab.Gateway, args ...string) {
	t.Helper()
	must(t, g.Start(context.Background(), args...))
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(g.Log())
		}
		if err := g.Stop(); err != nil {
			t.Errorf("%s: %v\n%s", g.Name, err, g.Log())
			_ = g.Kill()
		}
	})
	must(t, g.WaitReady(short(t)))
}

// parley runs the command line tool and demands success.
func parley(t *testing.T, g *lab.Gateway, args ...string) string {
	t.Helper()
	out, err := g.Parley(short(t), args...)
	if err != nil {
		t.Fatalf("%s: parley %s: %v\n%s", g.Name, strings.Join(args, " "), err, out)
	}
	return out
}

// rekey replaces an SA. It has the time of a step, because on a busy machine a plugin is silent for longer than parley waits by itself.
func rekey(t *testing.T, g *lab.Gateway, what string) {
	t.Helper()
	parley(t, g, "rekey", what, "--timeout", (step * 3 / 4).String())
}

// pinger sends from the protected network of east to that of west.
func (s *site) pinger(t *testing.T) *lab.Pinger {
	t.Helper()
	p, err := s.east.NewPinger(netip.MustParseAddr(s.eastLAN), netip.MustParseAddr(s.westLAN))
	must(t, err)
	t.Cleanup(p.Close)
	return p
}

// pings demands that n pings cross between the protected networks, as ESP and nothing in clear.
func (s *site) pings(t *testing.T, n int) lab.Counts {
	t.Helper()
	p := s.pinger(t)
	eventually(t, "a ping crosses", func() bool { _, err := p.Ping(56, time.Second); return err == nil })
	s.capture.Reset()
	for range n {
		if _, err := p.Ping(500, 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	var seen lab.Counts
	eventually(t, "all packets are seen on the wire as ESP", func() bool {
		seen = s.capture.Counts()
		return seen.Protected() >= 2*n
	})
	if seen.ClearICMP != 0 {
		t.Errorf("%d ICMP packets crossed in clear", seen.ClearICMP)
	}
	return seen
}

// silent demands that no ping crosses any more.
func (s *site) silent(t *testing.T) {
	t.Helper()
	s.capture.Reset()
	if _, err := s.pinger(t).Ping(56, 300*time.Millisecond); err == nil && s.capture.Counts().Protected() > 0 {
		t.Error("a ping crossed as ESP without a tunnel")
	}
}

// eventually waits for ok, and asks less and less often: asking costs a process mostly, and a guest has one slow processor.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	pause := 10 * time.Millisecond
	for begin := time.Now(); !ok(); time.Sleep(pause) {
		if time.Since(begin) > step {
			t.Fatalf("never: %s", what)
		}
		pause = min(pause*3/2, 300*time.Millisecond)
	}
}

// sas returns what `parley sa list` prints, without its heading.
func sas(t *testing.T, g *lab.Gateway) string {
	t.Helper()
	return strings.TrimSpace(parley(t, g, "sa", "list", "--no-headers", "-o", "wide"))
}

// contains demands that text holds every one of parts, line breaks apart.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	joined := strings.Join(strings.Fields(text), " ")
	for _, part := range parts {
		if !strings.Contains(joined, strings.Join(strings.Fields(part), " ")) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

// ended reports whether a list of SAs holds none but such as are over and only repeat their last answer for a while (RFC
// 7296 section 2.1).
func ended(list string) bool {
	for line := range strings.Lines(list) {
		if strings.TrimSpace(line) != "" && !strings.Contains(line, " closing ") {
			return false
		}
	}
	return true
}
