package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/kit"
)

// keyFiles writes an authority, and keys of each kind with certificates that outlive the tests, as NAME.pem and NAME.key.
func keyFiles(t *testing.T) string {
	t.Helper()
	dir, root := t.TempDir(), kit.NewAuthority("root")
	write := func(name, kind string, der []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	private := func(name string, key any) {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(name, "PRIVATE KEY", der)
	}
	write("ca.pem", "CERTIFICATE", root.Certificate.Raw)
	private("ca.key", root.Key)
	for name, kind := range map[string]string{"rsa": "rsa", "p256": "p256", "ed25519": "ed25519", "secret": "rsa1536"} {
		key := kit.NewKey(kind)
		long := func(c *x509.Certificate) { c.NotAfter = time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC) }
		write(name+".pem", "CERTIFICATE", root.Issue(key, name, long).Raw)
		private(name+".key", key)
	}
	return dir
}

// The suites of keys and of trust run against processes, as the daemon runs them.
func TestStoresOfPrivateKeysThatAreShippedConform(t *testing.T) {
	t.Parallel()
	dir := keyFiles(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	type entry map[string]any
	id := func(name string) entry { return entry{"type": 2, "data": []byte(name)} }
	config := func(name string, content any) string {
		text, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(in(name), text, 0o600); err != nil {
			t.Fatal(err)
		}
		return in(name)
	}
	var keys []entry
	for _, name := range []string{"rsa", "p256", "ed25519", "secret"} {
		k := entry{"local": id(name), "certificate": in(name + ".pem"), "key": in(name + ".key")}
		if name == "secret" {
			k["purpose"] = "decryption"
		}
		keys = append(keys, k)
	}
	store := config("cred.json", entry{"psks": []entry{}, "keys": keys, "authorities": []entry{{"path": in("ca.pem")}}})
	card := config("card.json", entry{"local": "rsa", "certificate": in("rsa.pem"), "key": in("rsa.key")})
	for name, args := range map[string][]string{
		"cred:file": {"cred", "--plugin", built(t, "cmd/parley-plugin"), "--config", store, "--signs", "rsa,p256,ed25519", "--decrypts", "secret",
			"--ca", in("ca.pem"), "--ca-key", in("ca.key"), "--", "cred:file"},
		"cred:accelerator": {"cred", "--plugin", built(t, "examples/accelerator"), "--config", card, "--signs", "rsa", "--", "cred"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, status := conform(t, args...)
			if status != 0 || !strings.Contains(text, " 0 failed") || !strings.Contains(text, "keys: every signature of a key verifies") {
				t.Errorf("status %d:\n%s", status, text)
			}
		})
	}
}
