package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// Extended authentication of IKEv1 (draft-beaulieu-ike-xauth-02) and hybrid authentication (draft-ietf-ipsec-isakmp-hybrid-auth-05) with
// strongSwan: either side is the user, who begins.

// xauthConfig is of a gateway with a user, or one that asks for users. Explanations name its lines.
const xauthConfig = `connection "west" {
  version = 1
  %MODE%
  local  { identity = "east.example.net"  auth = "%AUTH%"  %USER% }
  remote { address = "%PEERWAN%"  identity = "west.example.net"  auth = "%PEERAUTH%"  %PEERUSER% }
  proposals = ["aes256-sha256-modp2048"]
  child "lan" {
    local_ts  = ["10.1.0.0/16"]
    remote_ts = ["10.2.0.0/16"]
    proposals = ["aes256-sha256"]
  }
}
credentials {
  %KEYS%
  password "alice" { file = "alice.pass"  %OWN% }
}
`

const xauthCharon = `connections {
  east {
    version = 1
    aggressive = %AGGRESSIVE%
    local_addrs = %WAN%
    remote_addrs = %PEERWAN%
    proposals = aes256-sha256-modp2048
    %LOCAL%
    %REMOTE%
    children {
      lan {
        local_ts = 10.2.0.0/16
        remote_ts = 10.1.0.0/16
        esp_proposals = aes256-sha256
      }
    }
  }
}
secrets {
  ike-east { secret = "%SECRET%" }
  xauth-alice {
    id = alice
    secret = "%PASSWORD%"
  }
}
`

// Passwords of user alice.
const (
	goodPassword  = "open, sesame"
	wrongPassword = "open, barley"
)

// login is one way to authenticate a user.
type login struct {
	name       string
	hybrid     bool // the other side signs; else both have a pre-shared key
	aggressive bool
	weAre      bool // we are the user
	password   string
}

// xauth starts a strongSwan and a gateway that know the password of alice, or believe so.
func (s *site) xauth(t *testing.T, c login) (*lab.Gateway, *lab.StrongSwan) {
	t.Helper()
	root, err := lab.Unpack(lab.XAUTHPackages, os.Stderr)
	if err != nil {
		t.Skipf("SKIPPED, not proven here: no strongSwan with xauth-generic: %v", err)
	}
	var p pki
	if c.hybrid {
		p = newPKI(t, lab.RSA2048)
	}
	conf, how := c.charon(s, p)
	peer, err := lab.StartStrongSwan(short(t), s.west, root, filepath.Join(s.dir, "charon"), conf, how)
	must(t, err)
	t.Cleanup(func() {
		peer.Stop()
		if t.Failed() {
			t.Logf("charon.log:\n%s", peer.Log())
		}
	})
	g := s.newGateway(t, s.east)
	must(t, g.Write("parley.hcl", lab.Fill(xauthConfig, c.ours(s)...)))
	must(t, g.Write("alice.pass", goodPassword+"\n"))
	if c.hybrid {
		for name, content := range map[string]string{"own.pem": p.east.Cert, "own.key": p.east.Key, "ca.pem": p.ca.PEM()} {
			must(t, g.Write(name, content))
		}
	}
	start(t, g)
	return g, peer
}

// ours are the settings of xauthConfig.
func (c login) ours(s *site) settings {
	own := settings{"MODE", choose(c.aggressive, "mode = \"aggressive\"\n  allow_aggressive_psk = true", ""), "AUTH", "psk", "PEERAUTH", "psk", "PEERWAN", s.westWAN,
		"USER", "", "PEERUSER", `user = "%any"`, "OWN", "", "KEYS", `psk "west.example.net" { file = "peer.psk" }`}
	if c.weAre {
		own = own.with("USER", `user = "alice"`).with("PEERUSER", "").with("OWN", "own = true")
	}
	switch {
	case c.hybrid && c.weAre:
		return own.with("AUTH", "xauth").with("PEERAUTH", "signature").with("KEYS", `ca "corp" { file = "ca.pem" }`)
	case c.hybrid:
		return own.with("AUTH", "signature").with("PEERAUTH", "xauth").with("KEYS", `certificate "east.example.net" { file = "own.pem"  key = "own.key" }`)
	}
	return own
}

// charon returns the configuration of the other side.
func (c login) charon(s *site, p pki) (string, lab.Charon) {
	how := lab.Charon{Plugins: "xauth-generic", Settings: "i_dont_care_about_security_and_use_aggressive_mode_psk = yes"}
	local, remote := "local-1 {\n auth = psk\n id = west.example.net\n }", "remote-1 {\n auth = psk\n id = east.example.net\n }"
	const isAlice, asksUser = "auth = xauth\n xauth_id = alice\n", "auth = xauth\n"
	switch {
	case c.hybrid && c.weAre:
		local, remote = "local-1 {\n auth = pubkey\n certs = own.pem\n id = west.example.net\n }", "remote-1 {\n "+asksUser+" }"
		how.Files = []string{"x509/own.pem", p.west.Cert, "private/own.pem", p.west.Key}
	case c.hybrid:
		local, remote = "local-1 {\n "+isAlice+" id = west.example.net\n }", "remote-1 {\n auth = pubkey\n id = east.example.net\n }"
		how.Files = []string{"x509ca/ca.pem", p.ca.PEM()}
	case c.weAre:
		remote += "\nremote-2 {\n " + asksUser + " }"
	default:
		local += "\nlocal-2 {\n " + isAlice + " }"
	}
	return lab.Fill(xauthCharon, "AGGRESSIVE", choose(c.aggressive, "yes", "no"), "WAN", s.westWAN, "PEERWAN", s.eastWAN, "LOCAL", local, "REMOTE", remote,
		"SECRET", secretKey, "PASSWORD", orDefault(c.password, goodPassword)), how
}

var logins = []login{
	{name: "a pre-shared key, main mode"},
	{name: "a pre-shared key, aggressive mode", aggressive: true},
	{name: "hybrid, main mode", hybrid: true},
	{name: "hybrid, aggressive mode", hybrid: true, aggressive: true},
}

// TestAUserOfStrongSwanComesIn: we ask for the password, and the tunnel carries packets.
func TestAUserOfStrongSwanComesIn(t *testing.T) {
	t.Parallel()
	for _, c := range logins {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, v4in4)
			g, peer := s.xauth(t, c)
			swanctl(t, peer, "--initiate", "--child", "lan", "--timeout", "20")
			s.pings(t, 3)
			contains(t, parley(t, g, "sa", "show", "west"), "user alice")
			contains(t, parley(t, g, "events", "tail", "--no-follow"), "the peer's user proved to be alice (XAUTH)")
			swanctl(t, peer, "--terminate", "--ike", "east")
			eventually(t, "we have no SA", func() bool { return ended(sas(t, g)) })
		})
	}
}

// TestWeAreAUserOfStrongSwan: it asks for our password.
func TestWeAreAUserOfStrongSwan(t *testing.T) {
	t.Parallel()
	for _, c := range logins {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, v4in4)
			c.weAre = true
			g, peer := s.xauth(t, c)
			if out, err := g.Parley(short(t), "up", "west"); err != nil {
				t.Fatalf("%s\n%s", out, parley(t, g, "explain", "west"))
			}
			s.pings(t, 3)
			contains(t, listSAs(t, peer), "ESTABLISHED", "alice")
			contains(t, parley(t, g, "sa", "show", "west"), "user alice")
			parley(t, g, "down", "west")
			eventually(t, "the peer has no SA", func() bool { return !strings.Contains(listSAs(t, peer), "ESTABLISHED") })
		})
	}
}

// TestAWrongPasswordIsExplained: at both sides, and the password is shown at none.
func TestAWrongPasswordIsExplained(t *testing.T) {
	t.Parallel()
	for _, weAre := range []bool{true, false} {
		t.Run(choose(weAre, "ours", "the peer's"), func(t *testing.T) {
			s := newSite(t, v4in4)
			g, peer := s.xauth(t, login{weAre: weAre, password: wrongPassword})
			want := "west: the password of user alice is wrong"
			if weAre {
				want = "west: the peer does not accept user alice with our password"
				_, _ = g.Parley(short(t), "up", "west")
			} else {
				_, _ = peer.Swanctl(short(t), "--initiate", "--child", "lan", "--timeout", "20")
			}
			eventually(t, "it is explained", func() bool { return strings.Contains(parley(t, g, "explain", "west"), want) })
			all := parley(t, g, "explain", "west") + parley(t, g, "events", "tail", "--no-follow", "-o", "json") + g.Log()
			if strings.Contains(all, "sesame") || strings.Contains(all, "barley") {
				t.Errorf("a password is shown:\n%s", all)
			}
			s.silent(t)
		})
	}
}
