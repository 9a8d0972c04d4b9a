package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// day is how long certificates are valid.
const day = 24 * time.Hour

// signedConfig is gatewayConfig with signatures on both sides. Explanations name its lines.
const signedConfig = `connection "%PEER%" {
  local  { identity = "%ID%"  auth = "signature" }
  remote { address = "%PEERWAN%"  identity = "%PEERID%"  auth = "%PEERAUTH%" }
  %CONNECTION%
  child "lan" {
    local_ts = ["%NET%"]
    remote_ts = ["%PEERNET%"]
    %CHILD%
  }
}
credentials {
  %OWN%
  %TRUST%
}
`

// Settings of signedConfig.
const (
	ownCertificate = `certificate "%ID%" { file = "own.pem"  key = "own.key" }`
	trustCA        = `ca "corp" { file = "ca.pem" }`
	trustKey       = `public_key "%PEERID%" { file = "peer.pub" }`
)

// pki is an authority, and a key with a certificate for each gateway.
type pki struct {
	ca         *lab.Authority
	east, west lab.Holder
}

// newPKI makes keys of a kind.
func newPKI(t *testing.T, kind lab.KeyKind) (p pki) {
	t.Helper()
	var err error
	p.ca, err = lab.NewAuthority("Parley Test CA", kind)
	must(t, err)
	p.east, err = p.ca.Issue("east.example.net", kind, day, day)
	must(t, err)
	p.west, err = p.ca.Issue("west.example.net", kind, day, day)
	must(t, err)
	return p
}

// signed writes the files of a gateway that signs, and starts nothing.
func (s *site) signed(t *testing.T, p pki, ns *lab.Namespace, own ...string) *lab.Gateway {
	t.Helper()
	base := settings{"PEERAUTH", "signature", "OWN", ownCertificate, "TRUST", trustCA}
	for i := 0; i < len(own); i += 2 {
		base = base.with(own[i], own[i+1])
	}
	g := &lab.Gateway{Name: ns.Name, NS: ns, Dir: filepath.Join(s.dir, ns.Name), Bin: s.bin}
	config := lab.Fill(signedConfig, base...) // what is filled in holds names, too
	must(t, g.Write("parley.hcl", lab.Fill(config, s.values(ns, base)...)))
	us, peer := p.east, p.west
	if ns == s.west {
		us, peer = peer, us
	}
	for name, content := range map[string]string{"own.pem": us.Cert, "own.key": us.Key, "ca.pem": p.ca.PEM(), "peer.pub": peer.Public, "peer.psk": secretKey} {
		must(t, g.Write(name, content))
	}
	return g
}

// keyKinds are those that two parleyd, and strongSwan, have in common with us.
var keyKinds = []lab.KeyKind{lab.RSA2048, lab.P256, lab.Ed25519}

// TestTwoGatewaysWithCertificates: the tunnel carries packets (RFC7296-4-9, RFC 7427, RFC 8420).
func TestTwoGatewaysWithCertificates(t *testing.T) {
	t.Parallel()
	for _, kind := range keyKinds {
		t.Run(string(kind), func(t *testing.T) {
			s, p := newSite(t, v4in4), newPKI(t, kind)
			east, west := s.signed(t, p, s.east), s.signed(t, p, s.west)
			start(t, west)
			start(t, east)
			parley(t, east, "up", "west")
			s.pings(t, 3)
			contains(t, parley(t, east, "explain", "west"), "Digital Signature")
			parley(t, east, "down", "west")
			s.silent(t)
		})
	}
}

// TestPublicKeysWithoutCertificates: each side knows the key of the other, and no certificate is there.
func TestPublicKeysWithoutCertificates(t *testing.T) {
	s, p := newSite(t, v4in4), newPKI(t, lab.Ed25519)
	bare := []string{"OWN", `private_key "%ID%" { file = "own.key" }`, "TRUST", trustKey}
	east, west := s.signed(t, p, s.east, bare...), s.signed(t, p, s.west, bare...)
	start(t, west)
	start(t, east)
	if out, err := east.Parley(short(t), "up", "west"); err != nil {
		t.Fatalf("%s\n%s", out, parley(t, west, "explain", "east"))
	}
	s.pings(t, 1)
}

// TestDistinguishedNamesAsIdentities: as the operators write them, whatever type of string the authority chose (RFC 4945 section 3.1.5).
func TestDistinguishedNamesAsIdentities(t *testing.T) {
	s, p := newSite(t, v4in4), newPKI(t, lab.P256)
	eastDN, westDN := "dn:CN=east.example.net, O=EXAMPLE", "dn:CN=west.example.net, O=EXAMPLE"
	east := s.signed(t, p, s.east, "ID", eastDN, "PEERID", westDN)
	west := s.signed(t, p, s.west, "ID", westDN, "PEERID", eastDN)
	start(t, west)
	start(t, east)
	parley(t, east, "up", "west")
	s.pings(t, 1)
}

// TestExplanationsOfCertificates: east begins, west does not accept it, and each says why and what to change.
func TestExplanationsOfCertificates(t *testing.T) {
	t.Parallel()
	refused := []string{"west: the peer refused to authenticate us by our signature", "> have the peer trust the authority that issued our certificate", "east/parley.hcl:12"}
	for _, c := range []struct {
		name       string
		east, west []string
		spoil      func(*testing.T, *pki)
		eastSays   []string
		westSays   []string
	}{
		{
			name: "an expired certificate of ours", spoil: func(t *testing.T, p *pki) { p.east = issue(t, p.ca, "east.example.net", -time.Hour) },
			eastSays: []string{"west: we have no private key to prove that we are fqdn:east.example.net", "own.pem: the certificate expired on", "> mend the certificate and key of fqdn:east.example.net", "east/parley.hcl:12"},
		},
		{
			name: "an issuer that nobody trusts", spoil: func(t *testing.T, p *pki) {
				other, err := lab.NewAuthority("Another CA", lab.P256)
				must(t, err)
				p.east = issue(t, other, "east.example.net", day)
			},
			eastSays: refused, westSays: []string{"no authority here vouches for the certificate of CN=east.example.net,O=Example, issued by CN=Another CA", "> if that authority is to be trusted, add credentials", "west/parley.hcl:11"},
		},
		{
			name: "a certificate for another identity", spoil: func(t *testing.T, p *pki) { p.east = issue(t, p.ca, "north.example.net", day) },
			eastSays: refused, westSays: []string{"the peer says that it is fqdn:east.example.net, but its certificate is for fqdn:north.example.net", "> expect the peer by an identity of its certificate", "west/parley.hcl:3"},
		},
		{
			name: "a peer that sends no certificate", east: []string{"OWN", `private_key "%ID%" { file = "own.key" }`},
			eastSays: []string{"west: the peer refused to authenticate us by our signature"}, westSays: []string{"the peer sent no certificate", "> have the peer send its certificate", "west/parley.hcl:3"},
		},
		{
			name: "another method", west: []string{"PEERAUTH", "psk", "TRUST", `psk "%PEERID%" { file = "peer.psk" }`},
			eastSays: []string{"west: the peer refused to authenticate us by our signature"},
			westSays: []string{"authenticates with AUTH method 9 (ECDSA, P-256) where the connection wants a pre-shared key", `> set auth to what the peer uses, "psk" or "signature"`, "west/parley.hcl:3"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, p := newSite(t, v4in4), newPKI(t, lab.P256)
			if c.spoil != nil {
				c.spoil(t, &p)
			}
			east, west := s.signed(t, p, s.east, c.east...), s.signed(t, p, s.west, c.west...)
			start(t, west)
			start(t, east)
			fails(t, east, c.eastSays)
			if c.westSays != nil { // nil: it knows of nothing
				contains(t, parley(t, west, "explain", "east"), c.westSays...)
			}
		})
	}
}

// TestAPrivateKeyThatWasLostIsExplained: the file is gone since the daemon started.
func TestAPrivateKeyThatWasLostIsExplained(t *testing.T) {
	s, p := newSite(t, v4in4), newPKI(t, lab.P256)
	east, west := s.signed(t, p, s.east), s.signed(t, p, s.west)
	start(t, west)
	start(t, east)
	must(t, os.Remove(east.Path("own.key")))
	eventually(t, "the store misses the key", func() bool { // it looks every second
		_, err := east.Parley(short(t), "up", "west")
		if err == nil {
			parley(t, east, "down", "west")
		}
		return err != nil
	})
	contains(t, parley(t, east, "explain", "west"), "west: we have no private key to prove that we are fqdn:east.example.net", "own.key", "east/parley.hcl:12")
}

// issue makes a P-256 certificate that is valid for a time yet.
func issue(t *testing.T, ca *lab.Authority, name string, left time.Duration) lab.Holder {
	t.Helper()
	return issueKind(t, ca, name, lab.P256, left)
}

// issueKind makes a certificate for a key of a kind that is valid for a time yet.
func issueKind(t *testing.T, ca *lab.Authority, name string, kind lab.KeyKind, left time.Duration) lab.Holder {
	t.Helper()
	h, err := ca.Issue(name, kind, day, left)
	must(t, err)
	return h
}

const theirSignedConfig = `connections {
  east {
    version = 2
    local_addrs = %WAN%
    remote_addrs = %PEERWAN%
    mobike = no
    local {
      auth = pubkey
      certs = own.pem
      id = %ID%
    }
    remote {
      auth = pubkey
      id = %PEERID%
    }
    children {
      lan {
        local_ts = %NET%
        remote_ts = %PEERNET%
      }
    }
  }
}
`

// signedStrongSwan starts a charon in west, with a certificate.
func (s *site) signedStrongSwan(t *testing.T, p pki, how lab.Charon) *lab.StrongSwan {
	t.Helper()
	root, err := lab.Unpack(lab.StrongSwanPackages, os.Stderr)
	if err != nil {
		t.Skipf("SKIPPED, not proven here: no strongSwan: %v", err)
	}
	how.Files = []string{"x509/own.pem", p.west.Cert, "private/own.pem", p.west.Key, "x509ca/ca.pem", p.ca.PEM()}
	conf := lab.Fill(theirSignedConfig, s.values(s.west, settings{"WAN", s.westWAN})...)
	peer, err := lab.StartStrongSwan(short(t), s.west, root, filepath.Join(s.dir, "charon"), conf, how)
	must(t, err)
	t.Cleanup(func() {
		peer.Stop()
		if t.Failed() {
			t.Logf("charon.log:\n%s", peer.Log())
		}
	})
	return peer
}

// TestStrongSwanWithCertificates: both begin once; charon sends its certificate only when it is asked.
func TestStrongSwanWithCertificates(t *testing.T) {
	t.Parallel()
	for _, kind := range keyKinds {
		t.Run(string(kind), func(t *testing.T) {
			s, p := newSite(t, v4in4), newPKI(t, kind)
			peer := s.signedStrongSwan(t, p, lab.Charon{})
			g := s.signed(t, p, s.east)
			start(t, g)
			parley(t, g, "up", "west")
			s.pings(t, 2)
			parley(t, g, "down", "west")
			eventually(t, "the peer has no SA", func() bool { return !strings.Contains(listSAs(t, peer), "ESTABLISHED") })
			swanctl(t, peer, "--initiate", "--child", "lan")
			s.pings(t, 2)
		})
	}
}

// TestStrongSwanWithoutRFC7427: a peer that announces no hashes gets the methods of RFC 7296 (RSA with SHA-1) and of RFC 4754.
func TestStrongSwanWithoutRFC7427(t *testing.T) {
	t.Parallel()
	for kind, method := range map[lab.KeyKind]string{lab.RSA2048: "RSA Digital Signature", lab.P256: "ECDSA with SHA-256 on the P-256 curve"} {
		t.Run(string(kind), func(t *testing.T) {
			s, p := newSite(t, v4in4), newPKI(t, kind)
			s.signedStrongSwan(t, p, lab.Charon{Settings: "signature_authentication = no"})
			g := s.signed(t, p, s.east)
			start(t, g)
			parley(t, g, "up", "west")
			s.pings(t, 1)
			contains(t, parley(t, g, "explain", "west"), method)
		})
	}
}

// TestStrongSwanWithRSAPSS: a peer that signs by RSASSA-PSS gets such a signature, too (RFC 8247 section 3.2).
func TestStrongSwanWithRSAPSS(t *testing.T) {
	s, p := newSite(t, v4in4), newPKI(t, lab.RSA2048)
	peer := s.signedStrongSwan(t, p, lab.Charon{Settings: "rsa_pss = yes"})
	start(t, s.signed(t, p, s.east))
	swanctl(t, peer, "--initiate", "--child", "lan")
	s.pings(t, 1)
	for _, said := range []string{"authentication of 'west.example.net' (myself) with RSA_EMSA_PSS", "authentication of 'east.example.net' with RSA_EMSA_PSS"} {
		if !strings.Contains(peer.Log(), said) {
			t.Errorf("charon did not say %q", said)
		}
	}
}

// TestStrongSwanWithAnExpiredCertificate: charon sends it all the same, and we say what is wrong with it.
func TestStrongSwanWithAnExpiredCertificate(t *testing.T) {
	s, p := newSite(t, v4in4), newPKI(t, lab.P256)
	p.west = issue(t, p.ca, "west.example.net", -time.Hour)
	s.signedStrongSwan(t, p, lab.Charon{})
	g := s.signed(t, p, s.east)
	start(t, g)
	fails(t, g, []string{"west: the peer's proof does not convince us: the certificate of CN=west.example.net,O=Example expired on", "> have the peer renew its certificate"})
}
