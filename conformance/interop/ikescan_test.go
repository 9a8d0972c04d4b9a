package interop

import (
	"os"
	"strings"
	"testing"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// scans are what Debian's ike-scan asks a responder, and what it must see. Attributes are those of RFC 2409 appendix A: 1 cipher,
// 2 hash, 3 authentication, 4 group, 14 key length.
var scans = []struct {
	name string
	args string
	want []string
}{
	{"main mode", "--trans=(1=7,14=256,2=4,3=1,4=14)", []string{"Main Mode Handshake returned", "Enc=AES KeyLength=256 Hash=SHA2-256 Auth=PSK Group=14:modp2048", "Dead Peer Detection v1.0", "1 returned handshake"}},
	{"aggressive mode", "--aggressive --id=west.example.net --idtype=2 --dhgroup=14 --trans=(1=7,14=256,2=4,3=1,4=14)",
		[]string{"Aggressive Mode Handshake returned", "Auth=PSK", "KeyExchange(256 bytes)", "Value=east.example.net", "Hash(32 bytes)", "1 returned handshake"}},
	{"what nobody should use", "", []string{"Notify message 14 (NO-PROPOSAL-CHOSEN)", "1 returned notify"}}, // 3DES, DES, MD5, MODP-1024
}

// TestAScannerGetsItsAnswersAndLeavesNothing: a half-open SA for a while, as for everybody who begins, and then none.
func TestAScannerGetsItsAnswersAndLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range scans {
		t.Run(c.name, func(t *testing.T) {
			root, err := lab.Unpack(lab.IKEScanPackages, os.Stderr)
			if err != nil {
				t.Skipf("SKIPPED, not proven here: no ike-scan: %v", err)
			}
			s := newSite(t, v4in4)
			east := s.gateway(t, s.east, "CONNECTION", "version = 1\n  allow_aggressive_psk = true", "MORE", `daemon { half_open_timeout = "2s" }`)
			contains(t, s.scan(t, root, strings.Fields(c.args)...), c.want...)
			eventually(t, "nothing is left of it", func() bool { return sas(t, east) == "" })
			if c.name != "what nobody should use" {
				contains(t, parley(t, east, "explain", "west"), "192.0.2.2 began and we answered, but it did not go on")
			}
		})
	}
}

// TestAScannerHearsNothingWhileIKEv1IsOff: a daemon whose connections have IKEv2 does not answer.
func TestAScannerHearsNothingWhileIKEv1IsOff(t *testing.T) {
	root, err := lab.Unpack(lab.IKEScanPackages, os.Stderr)
	if err != nil {
		t.Skipf("SKIPPED, not proven here: no ike-scan: %v", err)
	}
	s := newSite(t, v4in4)
	east := s.gateway(t, s.east)
	contains(t, s.scan(t, root), "0 returned handshake; 0 returned notify")
	eventually(t, "it is told", func() bool {
		return strings.Contains(parley(t, east, "events", "tail", "--no-follow"), "IKEv1 is off: no connection has version = 1")
	})
}

// scan runs ike-scan at west and returns what it printed.
func (s *site) scan(t *testing.T, root lab.Root, args ...string) string {
	t.Helper()
	cmd := root.Command(short(t), "/usr/bin/ike-scan", append(append([]string{"--retry=2", "--timeout=1000", "--multiline"}, args...), s.eastWAN)...)
	var out []byte
	must(t, s.west.Do(func() (err error) { out, err = cmd.CombinedOutput(); return err }))
	return string(out)
}
