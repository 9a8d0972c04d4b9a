package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

const theirConfig = `connections {
  east {
    version = 2
    local_addrs = %WAN%
    remote_addrs = %PEERWAN%
    proposals = %IKE%
    mobike = no
    dpd_delay = %DPD%
    local {
      auth = psk
      id = %ID%
    }
    remote {
      auth = psk
      id = %PEERID%
    }
    children {
      lan {
        local_ts = %NET%
        remote_ts = %PEERNET%
        esp_proposals = %ESP%
      }
    }
  }
}
secrets {
  ike-east {
    secret = "%SECRET%"
  }
}
`

// strongSwan starts a charon in west, the peer of east's gateway.
func (s *site) strongSwan(t *testing.T, own ...string) *lab.StrongSwan {
	t.Helper()
	root, err := lab.Unpack(lab.StrongSwanPackages, os.Stderr)
	if err != nil {
		t.Skipf("SKIPPED, not proven here: no strongSwan: %v", err)
	}
	base := settings{"WAN", s.westWAN, "IKE", "default", "ESP", "default", "DPD", "0", "SECRET", secretKey}
	conf := lab.Fill(theirConfig, s.values(s.west, append(base, own...))...)
	peer, err := lab.StartStrongSwan(short(t), s.west, root, filepath.Join(s.dir, "charon"), conf, lab.Charon{})
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
	t.Parallel()
	for _, c := range suites {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, v4in4)
			peer := s.strongSwan(t, "IKE", c.ike, "ESP", c.esp)
			g := s.gateway(t, s.east)
			parley(t, g, "up", "west")
			contains(t, sas(t, g), c.want)
			s.pings(t, 5)
			parley(t, g, "down", "west")
			must(t, peer.WaitLog(short(t), "received DELETE for IKE_SA"))
			eventually(t, "the peer has no SA", func() bool { return !strings.Contains(listSAs(t, peer), "ESTABLISHED") })
			s.silent(t)
		})
	}
}

// TestStrongSwanInitiatesToUs: the tunnel carries packets, and we honour the peer's deletes, of the child and of the IKE SA.
func TestStrongSwanInitiatesToUs(t *testing.T) {
	t.Parallel()
	for _, c := range suites {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, v4in4)
			g := s.gateway(t, s.east)
			peer := s.strongSwan(t, "IKE", c.ike, "ESP", c.esp)
			swanctl(t, peer, "--initiate", "--child", "lan")
			contains(t, sas(t, g), c.want)
			s.pings(t, 5)
			swanctl(t, peer, "--terminate", "--child", "lan")
			eventually(t, "we have no child", func() bool { return !strings.Contains(sas(t, g), "lan") })
			contains(t, sas(t, g), "established")
			s.silent(t)
			swanctl(t, peer, "--terminate", "--ike", "east")
			eventually(t, "we have no SA", func() bool { return ended(sas(t, g)) })
		})
	}
}

// TestWeDeleteAChildAtStrongSwan: the peer honours it, and the IKE SA stays.
func TestWeDeleteAChildAtStrongSwan(t *testing.T) {
	s := newSite(t, v4in4)
	peer := s.strongSwan(t)
	g := s.gateway(t, s.east)
	parley(t, g, "up", "west")
	s.pings(t, 1)
	parley(t, g, "down", "west", "--child", "lan")
	must(t, peer.WaitLog(short(t), "received DELETE for ESP CHILD_SA"))
	if list := listSAs(t, peer); !strings.Contains(list, "ESTABLISHED") || strings.Contains(list, "INSTALLED") {
		t.Errorf("the peer should keep the IKE SA and have no child:\n%s", list)
	}
	s.silent(t)
}

// TestStrongSwanWithOtherFamilies: packets of both families cross in packets of both.
func TestStrongSwanWithOtherFamilies(t *testing.T) {
	t.Parallel()
	for _, c := range families {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.network)
			s.strongSwan(t)
			g := s.gateway(t, s.east)
			parley(t, g, "up", "west")
			s.pings(t, 3)
		})
	}
}

func swanctl(t *testing.T, peer *lab.StrongSwan, args ...string) string {
	t.Helper()
	out, err := peer.Swanctl(short(t), args...)
	if err != nil {
		t.Fatalf("swanctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func listSAs(t *testing.T, peer *lab.StrongSwan) string {
	t.Helper()
	return swanctl(t, peer, "--list-sas")
}

// TestRekeyingsUnderAFloodWithStrongSwan is the short form, with ESP in userspace, of what make interop does 50 times on a kernel's.
func TestRekeyingsUnderAFloodWithStrongSwan(t *testing.T) {
	t.Parallel()
	for _, weBegin := range roles {
		t.Run(role(weBegin), func(t *testing.T) {
			floodedRekeying(10)(t, &match{maker: makers[0], weBegin: weBegin, userspace: true})
		})
	}
}
