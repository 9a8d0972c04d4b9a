package lab_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

func pair(t *testing.T) (a, b *lab.Namespace) {
	t.Helper()
	if err := lab.Possible(); err != nil {
		t.Skipf("SKIPPED, not proven here: %v", err)
	}
	var err error
	if a, err = lab.NewNamespace("east"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	if b, err = lab.NewNamespace("west"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := lab.Join(a, b, "wan"); err != nil {
		t.Fatal(err)
	}
	for ns, addr := range map[*lab.Namespace][2]string{a: {"10.9.0.1/24", "fd09::1/64"}, b: {"10.9.0.2/24", "fd09::2/64"}} {
		for _, cidr := range addr {
			if err := ns.Addr("wan", cidr); err != nil {
				t.Fatal(err)
			}
		}
	}
	return a, b
}

func TestPingsCrossAndAreCountedAsClear(t *testing.T) {
	a, _ := pair(t)
	capture, err := a.NewCapture("wan")
	if err != nil {
		t.Fatal(err)
	}
	defer capture.Close()
	for _, ends := range [][2]string{{"10.9.0.1", "10.9.0.2"}, {"fd09::1", "fd09::2"}} {
		p, err := a.NewPinger(netip.MustParseAddr(ends[0]), netip.MustParseAddr(ends[1]))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if _, err := p.Ping(56, 3*time.Second); err != nil {
			t.Errorf("%s to %s: %v", ends[0], ends[1], err)
		}
	}
	if got := settled(capture, func(c lab.Counts) bool { return c.ClearICMP >= 2 }); got.ClearICMP < 2 || got.Protected() != 0 {
		t.Errorf("got %+v, want at least 2 clear ICMP packets that left and no ESP", got)
	}
}

// settled waits a while for the capture, which runs on its own, to see enough.
func settled(c *lab.Capture, enough func(lab.Counts) bool) lab.Counts {
	for range 100 {
		if enough(c.Counts()) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return c.Counts()
}

const selfConf = `connections {
  t {
    version = 2
    local_addrs = %LOCAL%
    remote_addrs = %REMOTE%
    proposals = aes128gcm16-prfsha256-x25519
    local { auth = psk
      id = %ME% }
    remote { auth = psk
      id = %PEER% }
    children { c {
      local_ts = %LTS%
      remote_ts = %RTS%
      esp_proposals = aes128gcm16 } }
  }
}
secrets { ike-t { secret = "interop" } }
`

func TestStrongSwanCarriesPacketsToItself(t *testing.T) {
	root, err := lab.Unpack(lab.StrongSwanPackages, os.Stderr)
	if err != nil {
		t.Skipf("SKIPPED, not proven here: %v", err)
	}
	a, b := pair(t)
	if err := a.Addr("lan", "10.1.0.1/24"); err != nil {
		t.Fatal(err)
	}
	if err := b.Addr("lan", "10.2.0.1/24"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	start := func(ns *lab.Namespace, values ...string) *lab.StrongSwan {
		dir := filepath.Join(t.TempDir(), ns.Name)
		s, err := lab.StartStrongSwan(ctx, ns, root, dir, lab.Fill(selfConf, values...), lab.Charon{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Stop)
		return s
	}
	left := start(a, "LOCAL", "10.9.0.1", "REMOTE", "10.9.0.2", "ME", "east", "PEER", "west", "LTS", "10.1.0.0/24", "RTS", "10.2.0.0/24")
	start(b, "LOCAL", "10.9.0.2", "REMOTE", "10.9.0.1", "ME", "west", "PEER", "east", "LTS", "10.2.0.0/24", "RTS", "10.1.0.0/24")
	if out, err := left.Swanctl(ctx, "--initiate", "--child", "c"); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, left.Log())
	}
	capture, err := a.NewCapture("wan")
	if err != nil {
		t.Fatal(err)
	}
	defer capture.Close()
	p, err := a.NewPinger(netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.2.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Ping(56, 3*time.Second); err != nil {
		t.Fatal(err)
	}
	if got := settled(capture, func(c lab.Counts) bool { return c.Protected() >= 2 }); got.Protected() < 2 || got.ClearICMP != 0 {
		t.Errorf("got %+v, want ESP both ways and no clear ICMP", got)
	}
}
