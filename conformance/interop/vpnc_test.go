package interop

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// vpncGateway is a gateway for the clients of Cisco's concentrators: a group with a pre-shared key, users with passwords, and what Unity's
// attributes tell them. What they propose is old: vpnc has no better group than the second and the fifth.
const vpncGateway = `pool "staff" {
  addresses = ["10.9.0.0/24"]
  dns       = ["10.1.0.53"]
  subnets   = ["10.1.0.0/16"]
  banner    = "Welcome to the laboratory."
}
connection "road" {
  version = 1
  allow_aggressive_psk = true
  local { identity = "%EAST%" }
  remote {
    identity = "keyid:staff"
    user     = "%any"
    pool     = "staff"
  }
  proposals = ["aes128-sha1-modp1024"]
  child "all" {
    local_ts  = ["0.0.0.0/0"]
    proposals = ["aes128-sha1"]
  }
}
credentials {
  psk "keyid:staff" { file = "peer.psk" }
  password "alice" { file = "alice.pass" }
}
`

const vpncConf = `IPSec gateway %EAST%
IPSec ID staff
IPSec secret %SECRET%
Xauth username alice
Xauth password %PASSWORD%
IKE Authmode psk
IKE DH Group dh2
NAT Traversal Mode force-natt
Local Port 0
Perfect Forward Secrecy nopfs
`

// TestVPNCComesIn: Debian's vpnc gets an address, a banner, a DNS server and the networks behind us, and its packets cross.
func TestVPNCComesIn(t *testing.T) {
	root, err := lab.Unpack(lab.VPNCPackages, os.Stderr)
	if err != nil {
		t.Skipf("SKIPPED, not proven here: no vpnc: %v", err)
	}
	s := newSite(t, v4in4)
	g := s.newGateway(t, s.east)
	must(t, g.Write("parley.hcl", lab.Fill(vpncGateway, "EAST", s.eastWAN)))
	must(t, g.Write("alice.pass", goodPassword+"\n"))
	start(t, g)
	conf := lab.Fill(vpncConf, "EAST", s.eastWAN, "SECRET", secretKey, "PASSWORD", goodPassword)
	client, err := lab.StartVPNC(short(t), s.west, root, filepath.Join(s.dir, "vpnc"), conf)
	if err != nil {
		t.Fatalf("%v\n%s", err, parley(t, g, "explain", "road"))
	}
	t.Cleanup(client.Stop)
	contains(t, client.Environment(), "INTERNAL_IP4_ADDRESS=10.9.0.1", "INTERNAL_IP4_DNS=10.1.0.53", "CISCO_BANNER=Welcome to the laboratory.",
		"CISCO_SPLIT_INC=1", "CISCO_SPLIT_INC_0_ADDR=10.1.0.0", "CISCO_SPLIT_INC_0_MASKLEN=16")
	s.reaches(t, s.west, "10.9.0.1", s.eastLAN)
	contains(t, parley(t, g, "sa", "show", "road"), "user alice", "gave 10.9.0.1 to the peer")
	client.Stop()
	eventually(t, "we have no SA", func() bool { return ended(sas(t, g)) })
}
