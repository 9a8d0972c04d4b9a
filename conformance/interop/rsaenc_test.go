package interop

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// encryptedConfig is gatewayConfig with RSA encryption, which IKEv1 alone has.
const encryptedConfig = `connection "%PEER%" {
  version = 1
  mode = "%MODE%"
  rsa_deviation = "%DEVIATION%"
  local  { identity = "%ID%"  auth = "%AUTH%" }
  remote { address = "%PEERWAN%"  identity = "%PEERID%"  auth = "%AUTH%" }
  child "lan" {
    local_ts = ["%NET%"]
    remote_ts = ["%PEERNET%"]
  }
}
credentials {
  private_key "%ID%" {
    file = "own.key"
    purpose = "decryption"
  }
  public_key "%PEERID%" {
    file = "%PEERKEY%"
    purpose = "decryption"
  }
}
`

// encrypted writes the files of a gateway that authenticates by RSA encryption, and starts nothing.
func (s *site) encrypted(t *testing.T, p pki, ns *lab.Namespace, auth, mode, deviation string, own ...string) *lab.Gateway {
	t.Helper()
	g := s.signed(t, p, ns)
	base := settings{"AUTH", auth, "MODE", mode, "DEVIATION", deviation, "PEERKEY", "peer.pub"}
	for i := 0; i < len(own); i += 2 {
		base = base.with(own[i], own[i+1])
	}
	must(t, g.Write("parley.hcl", lab.Fill(encryptedConfig, s.values(ns, base)...)))
	return g
}

// TestTwoGatewaysWithRSAEncryption: the tunnel carries packets (RFC 2409 sections 5.2 and 5.3), with keys in files and every plugin a
// process. No other implementation is at hand that knows this: the computations are held against a recorded handshake in core/suite.
func TestTwoGatewaysWithRSAEncryption(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ auth, mode, deviation, tells string }{
		{"rsaenc", "main", "none", "Encryption with RSA"},
		{"rsaenc", "aggressive", "none", "Encryption with RSA"},
		{"rsaenc", "main", "cisco", "Encryption with RSA"},
		{"rsaenc-revised", "main", "none", "Revised encryption with RSA"},
		{"rsaenc-revised", "aggressive", "none", "Revised encryption with RSA"},
		{"rsaenc-revised", "main", "huawei", "Revised encryption with RSA"},
	} {
		t.Run(strings.Join([]string{c.auth, c.mode, c.deviation}, " "), func(t *testing.T) {
			s, p := newSite(t, v4in4), newPKI(t, lab.RSA2048)
			east := s.encrypted(t, p, s.east, c.auth, c.mode, c.deviation)
			west := s.encrypted(t, p, s.west, c.auth, c.mode, c.deviation)
			start(t, west)
			start(t, east)
			if out, err := east.Parley(short(t), "up", "west"); err != nil {
				t.Fatalf("%s\n%s\n%s", out, parley(t, east, "explain", "west"), parley(t, west, "explain", "east"))
			}
			s.pings(t, 3)
			contains(t, parley(t, east, "explain", "west"), c.tells)
			parley(t, east, "down", "west")
			s.silent(t)
		})
	}
}

// TestExplanationsOfRSAEncryption: east has another key for west than west has, and to the outside west says nothing at all.
func TestExplanationsOfRSAEncryption(t *testing.T) {
	s, p := newSite(t, v4in4), newPKI(t, lab.RSA2048)
	east := s.encrypted(t, p, s.east, "rsaenc", "aggressive", "none", "PEERKEY", "other.pub")
	west := s.encrypted(t, p, s.west, "rsaenc", "aggressive", "none")
	must(t, east.Write("other.pub", p.east.Public))
	start(t, west)
	start(t, east)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // east goes on trying for longer
	defer cancel()
	if out, err := east.Parley(ctx, "up", "west"); err == nil {
		t.Fatalf("the tunnel is up:\n%s", out)
	}
	eventually(t, "west tells why, between two attempts", func() bool {
		return strings.Contains(parley(t, west, "explain", "east"), "what the peer encrypted makes no sense: it has not our public key")
	})
}
