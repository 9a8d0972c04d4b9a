package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parley-ike/parley/core/policy"
)

const encrypted = `connection "west" {
  version = 1
  local  { identity = "east"  auth = "rsaenc-revised"  send_certificate = "never" }
  remote { address = "192.0.2.2"  identity = "west"  auth = "rsaenc-revised" }
  child "lan" { local_ts = ["10.1.0.0/16"]  remote_ts = ["10.2.0.0/16"] }
}
credentials {
  private_key "east" {
    file    = "east.key"
    purpose = "decryption"
  }
  public_key "west" {
    file    = "west.pub"
    purpose = "decryption"
  }
}
`

func TestRSAEncryptionIsConfiguredWithItsKeysAndDeviations(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"east.key", "west.pub"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte{1}, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func(settings string) *Snapshot {
		s, err := Parse("parley.hcl", []byte(strings.Replace(encrypted, "version = 1", "version = 1\n"+settings, 1)), dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for settings, want := range map[string]policy.RSADeviation{"": policy.NoRSADeviation, `rsa_deviation = "cisco"`: policy.CiscoRSA, `rsa_deviation = "huawei"`: policy.HuaweiRSA} {
		c := load(settings).Policy.Connections[0]
		if c.RSADeviation != want || !c.Local.Decrypts() || !c.Remote.Decrypts() || c.Local.SendCert != policy.CertificateNever {
			t.Errorf("%q: %+v", settings, c)
		}
	}
	d := Diff(load(""), load(`rsa_deviation = "cisco"`))
	if len(d.Changed) != 1 || !slices.Equal(d.Changed[0].What, []string{"rsa_deviation"}) {
		t.Errorf("changes: %+v", d.Changed)
	}
}
