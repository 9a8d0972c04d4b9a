package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/pluginhost"
	"github.com/parley-ike/parley/plugins/cred/file"
)

// identity writes a new key for east.example.net with its certificate, and returns the store's configuration and the certificate.
func identity(t *testing.T, purpose string) (config []byte, certificate string) {
	t.Helper()
	dir, key := t.TempDir(), kit.NewKey("p256")
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := kit.NewAuthority("root").Issue(key, "east.example.net", func(c *x509.Certificate) { c.NotAfter = time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC) })
	path := filepath.Join(dir, "east.pem")
	content := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	east := file.Identity{Type: 2, Data: []byte("east.example.net")}
	config, err = json.Marshal(file.Config{Keys: []file.Key{{Local: east, Certificate: path, Purpose: purpose}}})
	if err != nil {
		t.Fatal(err)
	}
	return config, string(c.Raw)
}

// What parley reload does: the store in its process takes another certificate at once, and one that it refuses changes nothing.
func TestAReloadChangesTheCertificateOfARunningStore(t *testing.T) {
	t.Parallel()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	services := func(config []byte) []pluginhost.ServiceConfig {
		return []pluginhost.ServiceConfig{{Kind: "cred", Name: "file", JSON: config}}
	}
	first, was := identity(t, "")
	second, is := identity(t, "")
	unusable, _ := identity(t, "decryption") // an ECDSA key, which cannot
	dir, err := os.MkdirTemp("", "pp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	replies := make(chan machine.Reply, 1)
	h, err := pluginhost.New(pluginhost.Config{
		RuntimeDir: filepath.Join(dir, "r"), Owner: "test", Sink: func(returns []machine.Return) { replies <- returns[0].Reply },
		Entries: []pluginhost.Entry{{Name: "auth", Path: path, Kinds: []string{"auth"}, Args: []string{"auth:signature"}},
			{Name: "cred", Path: path, Kinds: []string{"cred"}, Args: []string{"cred:file"}, Services: services(first)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Stop(context.Background(), true); err != nil {
			t.Error(err)
		}
	})
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	shown := func() string {
		h.Submit([]machine.Request{{Call: machine.Call{Ticket: 1, Op: machine.Sign{
			Auth: "signature", Local: machine.Identity{Type: 2, Data: []byte("east.example.net")}, Octets: []byte("octets"), PeerHashes: []uint16{2}}}}})
		reply := <-replies
		signed, ok := reply.Result.(machine.Signed)
		if !ok || len(signed.Certs) != 1 {
			t.Fatalf("signed %+v", reply)
		}
		return string(signed.Certs[0])
	}
	if shown() != was {
		t.Error("another certificate than the configured one")
	}
	if err := h.Reconfigure(t.Context(), map[string][]pluginhost.ServiceConfig{"cred": services(second)}); err != nil {
		t.Error(err)
	}
	if shown() != is {
		t.Error("not the certificate of the new configuration")
	}
	err = h.Reconfigure(t.Context(), map[string][]pluginhost.ServiceConfig{"cred": services(unusable)})
	if err == nil || !strings.Contains(err.Error(), "only RSA decrypts") {
		t.Errorf("a key that cannot be used: %v", err)
	}
	if shown() != is {
		t.Error("a refused configuration changed the certificate")
	}
}
