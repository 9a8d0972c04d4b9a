package container

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/parley-ike/parley/conformance/kit"
)

// seeds are one file of each kind.
func seeds(t testing.TB) map[string][]byte {
	t.Helper()
	root, key := kit.NewAuthority("root"), kit.NewKey("p256")
	c := root.Issue(key, "east", nil)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	p12, err := pkcs12.Modern.WithIterations(1).Encode(key, c, nil, "pass")
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"a certificate": c.Raw, "a private key": der, "a public key": public, "a certificate and a private key": p12,
		"2 certificates and a private key and a public key": []byte(strings.Join([]string{
			string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate.Raw})),
			string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		}, "comment\n")),
	}
}

func TestEveryKindIsReadAndNamed(t *testing.T) {
	t.Parallel()
	for want, content := range seeds(t) {
		if c, err := Parse(content, []byte("pass")); err != nil || c.String() != want {
			t.Errorf("%s: %v, %v", want, c, err)
		}
	}
}

// The file was written by openssl pkcs8 -topk8 -v2 aes256 -iter 1000; its passphrase is "pass".
func locked(t testing.TB) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "locked.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	return block.Bytes
}

// A file may ask for more work than anybody wants to do; the bound is looked at before the work.
func TestTheWorkOfAPassphraseIsBounded(t *testing.T) {
	t.Parallel()
	der := locked(t)
	if c, err := Parse(der, []byte("pass")); err != nil || len(c.Keys) != 1 {
		t.Fatalf("%v, %v", c, err)
	}
	at := strings.Index(string(der), "\x02\x02\x03\xe8") // INTEGER 1000, the iterations
	if at < 0 {
		t.Fatal("no iterations in the file")
	}
	der[at+2], der[at+3] = 0, 0
	if _, err := Parse(der, []byte("pass")); err == nil {
		t.Error("no iteration at all: accepted")
	}
	for _, p := range []scryptParams{{N: 1 << 30, R: 8, P: 1}, {N: 2, R: 1 << 20, P: 1}, {N: 2, R: 1, P: 1 << 20}, {N: -2, R: 1, P: 1}, {N: 1 << 62, R: 1 << 9, P: 1}} {
		if _, err := deriveScrypt(marshal(t, p), []byte("pass"), 32); err == nil {
			t.Errorf("%+v: accepted", p)
		}
	}
	for _, p := range []pbkdf2Params{{Salt: []byte{1}, Iterations: maxIterations + 1}, {Salt: []byte{1}, Iterations: -1}, {Salt: make([]byte, maxSalt+1), Iterations: 1}, {Salt: []byte{1}, Iterations: 1, KeyLen: 1 << 30}} {
		if _, err := derivePBKDF2(marshal(t, p), []byte("pass"), 32); err == nil {
			t.Errorf("%d iterations, salt of %d, key of %d: accepted", p.Iterations, len(p.Salt), p.KeyLen)
		}
	}
}

// FuzzParse: whatever a file holds, it is read or refused, without a panic, and no error is longer than a line.
func FuzzParse(f *testing.F) {
	for _, content := range seeds(f) {
		f.Add(content)
	}
	f.Add(locked(f))
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := Parse(content, []byte("pass"))
		if err != nil && (len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\n\x00\x1b")) {
			t.Errorf("an error that is no line: %q", err)
		}
		if err == nil && c.String() == "nothing" && !strings.Contains(string(content), "EC PARAMETERS") {
			t.Error("neither content nor error")
		}
	})
}
