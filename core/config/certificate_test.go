package config

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/parley-ike/parley/core/policy"
)

// authority returns the certificate of an authority in DER, and its name for certificate requests.
func authority(t *testing.T) ([]byte, policy.Anchor) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return der, policy.AnchorOf(spki)
}

const signed = `connection "west" {
  local  { identity = "east"  auth = "signature"  send_certificate = "if-asked" }
  remote { address = "192.0.2.2"  identity = "west"  auth = "signature" }
  child "lan" { local_ts = ["10.1.0.0/16"]  remote_ts = ["10.2.0.0/16"] }
}
credentials {
  private_key "east" { file = "east.key" }
  ca "corp" { file = "ca.pem" }
  ca "others" { file = "more" }
}
`

// RFC 7296 section 3.7: SHA-1 of the SubjectPublicKeyInfo. Bundles, folders and DER are read, keys and nonsense are not, and no
// authority is named twice.
func TestAuthoritiesAreNamedForCertificateRequests(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, first := authority(t)
	two, second := authority(t)
	three, third := authority(t)
	text := func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }
	bundle := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: one}), append(text(one), text(two)...)...)
	if err := os.Mkdir(filepath.Join(dir, "more"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"east.key": {1}, "ca.pem": bundle, "more/a.der": three, "more/b.pem": text(one), "more/c.pem": []byte("nonsense"), "more/d.txt": text(two)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Parse("parley.hcl", []byte(signed), dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Policy.Anchors; len(got) != 3 || got[0] != first || got[1] != second || got[2] != third {
		t.Errorf("got %x, want %x, %x, %x", got, first, second, third)
	}
	c := s.Policy.Connections[0]
	if !c.Local.Signs() || !c.Remote.Signs() || c.Local.SendCert != policy.CertificateIfAsked {
		t.Errorf("local %+v", c.Local)
	}
}
