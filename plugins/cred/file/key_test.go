package file

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/sdktest"
	"github.com/parley-ike/parley/sdk/serve"
)

var root = kit.NewAuthority("root")

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pkcs8(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// put writes a file with a mode.
func put(t testing.TB, dir, name string, mode os.FileMode, content ...[]byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, bytes.Join(content, nil), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// certified writes a key with its certificate, by an authority that the root certified, and returns the entry.
func certified(t testing.TB, dir, name string, key crypto.Signer, by *kit.Authority, purpose string) Key {
	t.Helper()
	c := by.Issue(key, name, nil)
	return Key{
		Local: Identity(fqdn(name)), Purpose: purpose, Name: name,
		Certificate: put(t, dir, name+".pem", 0o644, pemOf("CERTIFICATE", by.Certificate.Raw), pemOf("CERTIFICATE", c.Raw)),
		Key:         put(t, dir, name+".key", 0o600, pemOf("PRIVATE KEY", pkcs8(t, key))),
	}
}

func store(t testing.TB, config Config) *Plugin {
	t.Helper()
	p, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	p.now = func() time.Time { return kit.PKITime }
	return p
}

func own(name string, purpose cred.Purpose) cred.Query {
	return cred.Query{Purpose: purpose, Local: fqdn(name)}
}

// carried runs a suite in process and behind the protocol of plugins.
func carried(t *testing.T, p func() cred.Store, suite func(t *testing.T, open func() cred.Store)) {
	t.Run("in process", func(t *testing.T) { t.Parallel(); suite(t, p) })
	t.Run("behind the protocol", func(t *testing.T) {
		t.Parallel()
		suite(t, func() cred.Store { return sdktest.Serve(t, serve.Cred("file", p())).Cred("file") })
	})
}

func TestFileConformsToTheContractOfPrivateKeys(t *testing.T) {
	t.Parallel()
	dir, between := t.TempDir(), root.Below("in between")
	var config Config
	var signs []cred.Query
	for _, kind := range []string{"rsa", "p256", "p384", "p521", "ed25519"} {
		config.Keys = append(config.Keys, certified(t, dir, kind+".example.net", kit.NewKey(kind), between, ""))
		signs = append(signs, own(kind+".example.net", cred.Signature))
	}
	bare := put(t, dir, "bare.key", 0o600, pemOf("PRIVATE KEY", pkcs8(t, kit.NewKey("p256"))))
	config.Keys = append(config.Keys, Key{Local: Identity(fqdn("bare.example.net")), Key: bare})
	signs = append(signs, own("bare.example.net", cred.Signature))
	config.Keys = append(config.Keys, certified(t, dir, "secret.example.net", kit.NewKey("rsa1536"), root, "decryption"))
	carried(t, func() cred.Store { return store(t, config) }, func(t *testing.T, open func() cred.Store) {
		kit.Keys(t, kit.KeyFixture{Open: open, Signature: signs, Decryption: []cred.Query{own("secret.example.net", cred.Decryption)},
			Unknown: own("north.example.net", cred.Signature)})
	})
}

func TestFileConformsToTheContractOfTrust(t *testing.T) {
	t.Parallel()
	path := put(t, t.TempDir(), "ca.pem", 0o644, pemOf("CERTIFICATE", root.Certificate.Raw))
	config := Config{Authorities: []Authority{{Path: path}}}
	carried(t, func() cred.Store { return store(t, config) }, func(t *testing.T, open func() cred.Store) {
		kit.Trust(t, kit.TrustFixture{Open: open, Authority: root})
	})
}

// Every form that a key comes in is the same key. openssl, another implementation, made what the standard library does not.
func TestAKeyIsReadInEveryForm(t *testing.T) {
	t.Parallel()
	dir, key := t.TempDir(), kit.NewKey("p256").(*ecdsa.PrivateKey)
	c := root.Issue(key, "east.example.net", nil)
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p12, err := pkcs12.Modern.Encode(key, c, []*x509.Certificate{root.Certificate}, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	old, err := pkcs12.LegacyDES.Encode(key, c, nil, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	certificate := put(t, dir, "east.pem", 0o644, []byte("Subject: somebody\n"), pemOf("CERTIFICATE", c.Raw))
	plain := put(t, dir, "plain.key", 0o600, pemOf("PRIVATE KEY", pkcs8(t, key)))
	pass := put(t, dir, "east.pass", 0o600, []byte("correct horse\n"))
	forms := map[string]Key{
		"PKCS#8":                {Certificate: certificate, Key: plain},
		"PKCS#8 in DER":         {Certificate: certificate, Key: put(t, dir, "8.der", 0o600, pkcs8(t, key))},
		"SEC 1":                 {Certificate: certificate, Key: put(t, dir, "sec1.key", 0o600, pemOf("EC PARAMETERS", []byte{5, 0}), pemOf("EC PRIVATE KEY", sec1))},
		"SEC 1 in DER":          {Certificate: put(t, dir, "c.der", 0o644, c.Raw), Key: put(t, dir, "sec1.der", 0o400, sec1)},
		"all in one file":       {Certificate: put(t, dir, "all.pem", 0o600, pemOf("PRIVATE KEY", pkcs8(t, key)), pemOf("CERTIFICATE", root.Certificate.Raw), pemOf("CERTIFICATE", c.Raw))},
		"PKCS#12":               {Certificate: put(t, dir, "new.p12", 0o600, p12), Passphrase: pass},
		"PKCS#12 of old":        {Certificate: put(t, dir, "old.p12", 0o600, old), Passphrase: pass},
		"a needless passphrase": {Certificate: certificate, Key: plain, Passphrase: pass},
	}
	for name, args := range map[string][]string{
		"AES-256, SHA-256": {"-v2", "aes256"}, "AES-128, SHA-1": {"-v2", "aes128", "-v2prf", "hmacWithSHA1"}, "AES-192, SHA-512": {"-v2", "aes192", "-v2prf", "hmacWithSHA512"},
		"triple DES": {"-v2", "des3"}, "scrypt": {"-scrypt"}, "DER": {"-v2", "aes256", "-outform", "DER"}, "many iterations": {"-v2", "aes256", "-iter", "100000"},
	} {
		forms["openssl, "+name] = Key{Certificate: certificate, Key: openssl(t, dir, plain, pass, args...), Passphrase: pass}
	}
	for name, k := range forms {
		k.Local = Identity(fqdn("east.example.net"))
		refs, err := store(t, Config{Keys: []Key{k}}).Find(t.Context(), own("east.example.net", cred.Signature))
		if err != nil || len(refs) != 1 || len(refs[0].Chain) != 1 || !bytes.Equal(refs[0].Chain[0], c.Raw) || !bytes.Equal(refs[0].Public, c.RawSubjectPublicKeyInfo) {
			t.Errorf("%s: %d found, %v", name, len(refs), err)
		}
	}
}

// openssl encrypts a key.
func openssl(t *testing.T, dir, key, pass string, args ...string) string {
	t.Helper()
	out := filepath.Join(dir, strings.Join(args, ""))
	args = append([]string{"pkcs8", "-topk8", "-in", key, "-out", out, "-passout", "file:" + pass}, args...)
	if text, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			t.Skip("SKIPPED: openssl is missing: install it to read what it writes")
		}
		t.Fatalf("openssl %v: %v: %s", args, err, text)
	}
	if err := os.Chmod(out, 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}

// Every mistake names the file, what it holds and what to do.
func TestMistakesWithFilesAreExplained(t *testing.T) {
	t.Parallel()
	dir, key := t.TempDir(), kit.NewKey("p256")
	c := root.Issue(key, "east.example.net", nil)
	request, _ := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{}, kit.NewKey("ed25519"))
	certificate := put(t, dir, "east.pem", 0o644, pemOf("CERTIFICATE", c.Raw))
	good := put(t, dir, "east.key", 0o600, pemOf("PRIVATE KEY", pkcs8(t, key)))
	pass, wrong := put(t, dir, "pass", 0o600, []byte("correct horse\n")), put(t, dir, "wrong", 0o600, []byte("battery staple\n"))
	locked := openssl(t, dir, good, pass, "-v2", "aes256")
	p12, _ := pkcs12.Modern.Encode(key, c, nil, "correct horse")
	bundle := put(t, dir, "east.p12", 0o600, p12)
	file := func(name string, content ...[]byte) string { return put(t, dir, name, 0o600, content...) }
	for name, test := range map[string]struct {
		key  Key
		want string
	}{
		"open to others":       {Key{Certificate: certificate, Key: put(t, dir, "open.key", 0o640, []byte("x"))}, "open.key: mode 0640 lets group or others at the key: chmod 0600"},
		"key with certificate": {Key{Certificate: certificate}, "east.pem: mode 0644 lets group"},
		"not there":            {Key{Certificate: certificate, Key: filepath.Join(dir, "none")}, "none: open: no such file"},
		"a folder":             {Key{Certificate: certificate, Key: dir}, "not a regular file but d"},
		"empty":                {Key{Certificate: certificate, Key: file("empty")}, "empty: it is empty"},
		"no key":               {Key{Certificate: certificate, Key: file("c2", pemOf("CERTIFICATE", c.Raw))}, "c2: it holds a certificate and no private key: name the file with the key"},
		"no certificate":       {Key{Certificate: good, Key: good}, "east.key: it holds a private key and no certificate"},
		"another key":          {Key{Certificate: certificate, Key: file("other", pemOf("PRIVATE KEY", pkcs8(t, kit.NewKey("p256"))))}, "east.pem: the certificate is for another key than the one in " + filepath.Join(dir, "other")},
		"two keys":             {Key{Certificate: certificate, Key: file("two", pemOf("PRIVATE KEY", pkcs8(t, key)), pemOf("PRIVATE KEY", pkcs8(t, key)))}, "two: it holds 2 private keys"},
		"locked":               {Key{Certificate: certificate, Key: locked}, "there is no passphrase: write it into a file of its own"},
		"wrong passphrase":     {Key{Certificate: certificate, Key: locked, Passphrase: wrong}, "the passphrase is wrong"},
		"PKCS#12 locked":       {Key{Certificate: bundle}, "east.p12: its PKCS#12 does not open: the passphrase is missing or wrong"},
		"PKCS#12 wrong":        {Key{Certificate: bundle, Passphrase: wrong}, "the passphrase is missing or wrong"},
		"PKCS#12 cut off":      {Key{Certificate: file("cut.p12", p12[:len(p12)/2]), Passphrase: pass}, "neither PEM nor the DER"},
		"an empty passphrase":  {Key{Certificate: certificate, Key: locked, Passphrase: file("nopass", []byte("\n"))}, "nopass: it is empty: write the passphrase into it"},
		"a request":            {Key{Certificate: file("csr", pemOf("CERTIFICATE REQUEST", request)), Key: good}, "csr: it holds a certificate request, which an authority has yet to sign"},
		"OpenSSH":              {Key{Certificate: certificate, Key: file("ssh", pemOf("OPENSSH PRIVATE KEY", []byte{1}))}, "ssh-keygen -p -m PKCS8"},
		"PEM's own encryption": {Key{Certificate: certificate, Key: file("old", []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"))}, "openssl pkcs8 -topk8"},
		"garbage":              {Key{Certificate: certificate, Key: file("garbage", []byte("hunter2"))}, "garbage: it is neither PEM nor the DER"},
		"damaged PEM":          {Key{Certificate: certificate, Key: file("damaged", []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n"))}, "its PEM is damaged"},
		"too large":            {Key{Certificate: certificate, Key: file("large", make([]byte, MaxKeyFile+1))}, "larger than 1048576 octets"},
		"ECDSA for decryption": {Key{Certificate: certificate, Key: good, Purpose: "decryption"}, "only RSA decrypts"},
		"DSA":                  {Key{Certificate: certificate, Key: file("dsa", pemOf("DSA PRIVATE KEY", []byte{1}))}, "only RSA, ECDSA and Ed25519"},
	} {
		test.key.Local = Identity(fqdn("east.example.net"))
		p := store(t, Config{Keys: []Key{test.key}})
		_, err := p.Find(t.Context(), own("east.example.net", cred.Signature))
		if test.key.Purpose != "" {
			_, err = p.Find(t.Context(), own("east.example.net", cred.Decryption))
		}
		if !errors.Is(err, sdk.ErrNoCredential) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "horse")) {
			t.Errorf("%s: content in the error %v", name, err)
		}
	}
}

// A key for both is refused wherever the copies lie (see errTwoPurposes).
func TestAKeyIsBoundToOnePurpose(t *testing.T) {
	t.Parallel()
	dir, key := t.TempDir(), kit.NewKey("rsa")
	signs := certified(t, dir, "east.example.net", key, root, "signature")
	decrypts := certified(t, dir, "copy.example.net", key, root, "decryption")
	other := certified(t, dir, "other.example.net", kit.NewKey("p256"), root, "")
	p := store(t, Config{Keys: []Key{signs, decrypts, other}})
	for _, q := range []cred.Query{own("east.example.net", cred.Signature), own("copy.example.net", cred.Decryption)} {
		if refs, err := p.Find(t.Context(), q); !errors.Is(err, sdk.ErrNoCredential) || !strings.Contains(err.Error(), "each needs a key of its own") {
			t.Errorf("%v: %d found, %v", q.Local, len(refs), err)
		}
	}
	if _, err := p.Find(t.Context(), own("other.example.net", cred.Signature)); err != nil {
		t.Errorf("another key: %v", err)
	}
	decrypts.Key, decrypts.Certificate = signs.Key, signs.Certificate
	if _, err := New(Config{Keys: []Key{signs, decrypts}}); err == nil || !strings.Contains(err.Error(), "each needs a key of its own") {
		t.Errorf("one file for two purposes: %v", err)
	}
}

// What changes in the files is seen within a second, and by Configure, which a reload of the daemon reaches, at once.
func TestChangedCertificatesAreUsedWithoutARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := certified(t, dir, "east.example.net", kit.NewKey("p256"), root, "")
	p := store(t, Config{Keys: []Key{k}})
	clock := withClock(p)
	clock.now = kit.PKITime
	public := func() string {
		refs, err := p.Find(t.Context(), own("east.example.net", cred.Signature))
		if err != nil {
			return err.Error()
		}
		return string(refs[0].Public)
	}
	first := public()
	certified(t, dir, "east.example.net", kit.NewKey("p384"), root, "") // over the same files
	if public() != first {
		t.Error("files were looked at again at once")
	}
	clock.advance(pollInterval)
	second := public()
	if second == first || strings.Contains(second, "cred/file") {
		t.Errorf("a second later: the old key, or %s", second)
	}
	put(t, dir, "east.example.net.key", 0o600, []byte("rubbish"))
	clock.advance(pollInterval)
	if got := public(); !strings.Contains(got, "neither PEM nor") {
		t.Errorf("a bad file is no error, but %x", got)
	}
	certified(t, dir, "east.example.net", kit.NewKey("p521"), root, "")
	config := fmt.Appendf(nil, `{"psks":[],"keys":[{"local":{"type":2,"data":"ZWFzdC5leGFtcGxlLm5ldA=="},"certificate":%q,"key":%q}]}`, k.Certificate, k.Key)
	if problems := p.Validate(config); problems != nil {
		t.Error(problems)
	}
	if err := p.Configure(t.Context(), serve.Env{}, config); err != nil {
		t.Error(err)
	}
	if got := public(); got == second || strings.Contains(got, "cred/file") {
		t.Errorf("after Configure: the old key, or %s", got)
	}
}

func TestTheCertificateThatThePeerTrustsComesFirst(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), kit.NewAuthority("other")
	between := other.Below("between")
	a := certified(t, dir, "a", kit.NewKey("p256"), root, "")
	b := certified(t, dir, "b", kit.NewKey("p256"), between, "")
	a.Local, b.Local = Identity(fqdn("east.example.net")), Identity(fqdn("east.example.net"))
	ca := put(t, dir, "other-ca.pem", 0o644, pemOf("CERTIFICATE", other.Certificate.Raw))
	p := store(t, Config{Keys: []Key{a, b}, Authorities: []Authority{{Path: ca}}})
	for name, test := range map[string]struct {
		issuer *kit.Authority
		want   string
	}{"nobody": {nil, a.Certificate}, "the root": {root, a.Certificate}, "the one in between": {between, b.Certificate}, "the one above it": {other, b.Certificate}} {
		q := own("east.example.net", cred.Signature)
		if test.issuer != nil {
			q.Issuers = [][]byte{[]byte("nonsense"), keyHash(test.issuer.Certificate)}
		}
		refs, err := p.Find(t.Context(), q)
		if err != nil || len(refs) != 2 || refs[0].Source != test.want {
			t.Errorf("%s: %+v, %v", name, refs, err)
			continue
		}
		for _, ref := range refs { // RFC 4945 section 3.3.11.2: up to the authority, which the peer has
			if len(ref.Chain) != map[string]int{a.Certificate: 1, b.Certificate: 2}[ref.Source] {
				t.Errorf("%s has %d certificates", ref.Source, len(ref.Chain))
			}
		}
	}
}

func TestAKeyForAnyIdentityServesThoseOfItsCertificate(t *testing.T) {
	t.Parallel()
	dir, key := t.TempDir(), kit.NewKey("ed25519")
	c := root.Issue(key, "east.example.net", func(c *x509.Certificate) { c.IPAddresses = []net.IP{{192, 0, 2, 1}} })
	k := Key{Certificate: put(t, dir, "c", 0o600, pemOf("CERTIFICATE", c.Raw), pemOf("PRIVATE KEY", pkcs8(t, key)))}
	p := store(t, Config{Keys: []Key{k}})
	for id, want := range map[string]bool{"east.example.net": true, "west.example.net": false, "": true} {
		q := own(id, cred.Signature)
		if id == "" {
			q.Local = cred.Identity{}
		}
		if refs, err := p.Find(t.Context(), q); (err == nil) != want || want && len(refs) != 1 {
			t.Errorf("%q: %d, %v", id, len(refs), err)
		}
	}
	if _, err := p.Find(t.Context(), cred.Query{Purpose: cred.Signature, Local: cred.Identity{Type: 1, Data: []byte{192, 0, 2, 1}}}); err != nil {
		t.Error(err)
	}
	expired := p
	expired.now = func() time.Time { return kit.PKITime.AddDate(2, 0, 0) }
	if _, err := expired.Find(t.Context(), own("east.example.net", cred.Signature)); err == nil || !strings.Contains(err.Error(), "expired on 2027-06-01") {
		t.Errorf("our own expired certificate: %v", err)
	}
}

func keyHash(c *x509.Certificate) []byte { return kit.KeyHash(c) }
