package interop

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// Addresses of every site: east is ours, west the peer's.
const (
	eastWAN, westWAN = "192.0.2.1", "192.0.2.2"
	eastLAN, westLAN = "10.1.0.1", "10.2.0.1"
	secretKey        = "a key for tests only"
)

// site is two namespaces on one wire, with a capture on it.
type site struct {
	east, west *lab.Namespace
	capture    *lab.Capture
	dir        string
	bin        string
}

func newSite(t *testing.T) *site {
	t.Helper()
	if err := lab.Possible(); err != nil {
		t.Skipf("SKIPPED, not proven here: %v", err)
	}
	s := &site{dir: t.TempDir()}
	var err error
	if s.bin, err = lab.BinDir(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(s.bin, "parleyd")); err != nil {
		t.Fatalf("%v: run make build", err)
	}
	s.east, s.west = s.namespace(t, "east"), s.namespace(t, "west")
	must(t, lab.Join(s.east, s.west, "wan"))
	must(t, s.east.Addr("wan", eastWAN+"/24"))
	must(t, s.west.Addr("wan", westWAN+"/24"))
	must(t, s.east.Addr("lan", eastLAN+"/16"))
	must(t, s.west.Addr("lan", westLAN+"/16"))
	s.capture, err = s.east.NewCapture("wan")
	must(t, err)
	t.Cleanup(s.capture.Close)
	return s
}

func (s *site) namespace(t *testing.T, name string) *lab.Namespace {
	t.Helper()
	ns, err := lab.NewNamespace(name)
	must(t, err)
	t.Cleanup(ns.Close)
	return ns
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// short returns a context for one step of a test.
func short(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// gateway starts a parleyd in a namespace, with a key for its peer. The configuration's %NAME% are filled in.
func (s *site) gateway(t *testing.T, ns *lab.Namespace, config string, values ...string) *lab.Gateway {
	t.Helper()
	g := &lab.Gateway{Name: ns.Name, NS: ns, Dir: filepath.Join(s.dir, ns.Name), Bin: s.bin}
	must(t, g.Write("parley.hcl", lab.Fill(config, values...)))
	must(t, g.Write("peer.psk", secretKey+"\n"))
	must(t, g.Start(t.Context()))
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Errorf("%s: %v\n%s", g.Name, err, g.Log())
		}
		if t.Failed() {
			t.Log(g.Log())
		}
	})
	must(t, g.WaitReady(short(t)))
	return g
}

// pings demands that n pings cross between the protected networks, as ESP and nothing in clear.
func (s *site) pings(t *testing.T, n int) {
	t.Helper()
	p, err := s.east.NewPinger(netip.MustParseAddr(eastLAN), netip.MustParseAddr(westLAN))
	must(t, err)
	defer p.Close()
	if _, err := p.Ping(56, 5*time.Second); err != nil {
		t.Fatalf("the first ping: %v", err)
	}
	s.capture.Reset()
	for range n {
		if _, err := p.Ping(500, 3*time.Second); err != nil {
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
}

// silent demands that no ping crosses any more.
func (s *site) silent(t *testing.T) {
	t.Helper()
	p, err := s.east.NewPinger(netip.MustParseAddr(eastLAN), netip.MustParseAddr(westLAN))
	must(t, err)
	defer p.Close()
	if _, err := p.Ping(56, 300*time.Millisecond); err == nil {
		t.Error("a ping crossed without a tunnel")
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("never: %s", what)
		}
	}
}

// sas returns what `parley sa list` prints, without its heading.
func sas(t *testing.T, g *lab.Gateway) string {
	t.Helper()
	out, err := g.Parley(short(t), "sa", "list", "--no-headers")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(out)
}
