package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

const ourConfig = `connection "west" {
  local  { identity = "east.example.net"  auth = "psk" }
  remote { address = "192.0.2.2"  identity = "west.example.net"  auth = "psk" }
  child "lan" { local_ts = ["10.1.0.0/16"]  remote_ts = ["10.2.0.0/16"] }
}
credentials {
  psk "west.example.net" { file = "peer.psk" }
}
`

const theirConfig = `connections {
  east {
    version = 2
    local_addrs = 192.0.2.2
    remote_addrs = 192.0.2.1
    proposals = %IKE%
    mobike = no
    dpd_delay = 0
    local {
      auth = psk
      id = west.example.net
    }
    remote {
      auth = psk
      id = east.example.net
    }
    children {
      lan {
        local_ts = 10.2.0.0/16
        remote_ts = 10.1.0.0/16
        esp_proposals = %ESP%
      }
    }
  }
}
secrets {
  ike-east {
    secret = "` + secretKey + `"
  }
}
`

// strongSwan starts a charon as the peer of ourConfig.
func (s *site) strongSwan(t *testing.T, ike, esp string) *lab.StrongSwan {
	t.Helper()
	root, err := lab.Unpack("strongswan", lab.StrongSwanPackages, os.Stderr)
	if err != nil {
		t.Skipf("SKIPPED, not proven here: no strongSwan: %v", err)
	}
	peer, err := lab.StartStrongSwan(short(t), s.west, root, filepath.Join(s.dir, "charon"), lab.Fill(theirConfig, "IKE", ike, "ESP", esp))
	must(t, err)
	t.Cleanup(func() {
		peer.Stop()
		if t.Failed() {
			t.Logf("charon.log:\n%s", peer.Log())
		}
	})
	return peer
}

// suites are proposals of the peer that our default must meet, and the IKE suite that must come out.
var suites = []struct{ name, ike, esp, want string }{
	{"defaults of both sides", "default", "default", "AES_"},
	{"GCM and X25519", "aes128gcm16-prfsha256-x25519", "aes128gcm16", "AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE25519"},
	{"ChaCha20 and P-256", "chacha20poly1305-prfsha256-ecp256", "chacha20poly1305", "CHACHA20_POLY1305"},
	{"GCM-256 and P-384", "aes256gcm16-prfsha384-ecp384", "aes256gcm16", "ECP_384"},
	{"CBC and MODP-2048", "aes256-sha256-modp2048", "aes256-sha256", "AES_CBC_256"},
}

// TestWeInitiateToStrongSwan: the tunnel carries packets, and the peer honours our delete.
func TestWeInitiateToStrongSwan(t *testing.T) {
	for _, c := range suites {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			peer := s.strongSwan(t, c.ike, c.esp)
			g := s.gateway(t, s.east, ourConfig)
			if out, err := g.Parley(short(t), "up", "west"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			checkSuite(t, g, c.want)
			s.pings(t, 5)
			if out, err := g.Parley(short(t), "down", "west"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			must(t, peer.WaitLog(short(t), "received DELETE for IKE_SA"))
			eventually(t, "the peer has no SA", func() bool { return !strings.Contains(listSAs(t, peer), "ESTABLISHED") })
			s.silent(t)
		})
	}
}

// TestStrongSwanInitiatesToUs: the tunnel carries packets, and we honour the peer's deletes, of the child and of the IKE SA.
func TestStrongSwanInitiatesToUs(t *testing.T) {
	for _, c := range suites {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			g := s.gateway(t, s.east, ourConfig)
			peer := s.strongSwan(t, c.ike, c.esp)
			if out, err := peer.Swanctl(short(t), "--initiate", "--child", "lan"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			checkSuite(t, g, c.want)
			s.pings(t, 5)
			if out, err := peer.Swanctl(short(t), "--terminate", "--child", "lan"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			eventually(t, "we have no child", func() bool { return !strings.Contains(sas(t, g), "10.2.0.0/16") })
			s.silent(t)
			if out, err := peer.Swanctl(short(t), "--terminate", "--ike", "east"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			eventually(t, "we have no SA", func() bool { return sas(t, g) == "" })
		})
	}
}

// TestWeDeleteAChildAtStrongSwan: the peer honours it, and the IKE SA stays.
func TestWeDeleteAChildAtStrongSwan(t *testing.T) {
	s := newSite(t)
	peer := s.strongSwan(t, "default", "default")
	g := s.gateway(t, s.east, ourConfig)
	if out, err := g.Parley(short(t), "up", "west"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.pings(t, 1)
	if out, err := g.Parley(short(t), "down", "west", "--child", "lan"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	must(t, peer.WaitLog(short(t), "received DELETE for ESP CHILD_SA"))
	if list := listSAs(t, peer); !strings.Contains(list, "ESTABLISHED") || strings.Contains(list, "INSTALLED") {
		t.Errorf("the peer should keep the IKE SA and have no child:\n%s", list)
	}
	s.silent(t)
}

func checkSuite(t *testing.T, g *lab.Gateway, want string) {
	t.Helper()
	out, err := g.Parley(short(t), "sa", "list", "-o", "wide")
	if err != nil || !strings.Contains(out, want) {
		t.Fatalf("%v: the suite should be %s:\n%s", err, want, out)
	}
}

func listSAs(t *testing.T, peer *lab.StrongSwan) string {
	t.Helper()
	out, err := peer.Swanctl(short(t), "--list-sas")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}
