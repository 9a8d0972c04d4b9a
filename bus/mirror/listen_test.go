package mirror

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/parley-ike/parley/bus"
)

// certificate writes a self-signed certificate for 127.0.0.1 and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "CERTIFICATE", der), write(t, "PRIVATE KEY", secret)
}

func write(t *testing.T, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func nkey(t *testing.T) (public, seedFile string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err = pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	seedFile = filepath.Join(t.TempDir(), "user.nk")
	if err := os.WriteFile(seedFile, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	return public, seedFile
}

func TestAListeningServerLetsKnownUsersReadAndNobodyElseIn(t *testing.T) {
	cert, key := certificate(t)
	user, seed := nkey(t)
	_, stranger := nkey(t)
	b := bus.New()
	c := embeddedConfig(t, t.TempDir(), b)
	c.Listen = Listen{Address: "127.0.0.1:0", Cert: cert, Key: key, Users: []string{user}}
	m := start(t, c)
	emit(b, 0, 10)
	eventually(t, "sent", drained(m))
	url := "tls://" + m.link.(*embedded).server.Addr().String()

	refused := func(what, url string, options ...nats.Option) {
		if nc, err := nats.Connect(url, options...); err == nil {
			nc.Close()
			t.Errorf("%s was let in", what)
		}
	}
	refused("a client without key", url, nats.RootCAs(cert))
	refused("a stranger", url, nats.RootCAs(cert), option(t, stranger))
	refused("a client that does not trust the certificate", url, option(t, seed))

	denied := make(chan error, 8)
	nc, err := nats.Connect(url, nats.RootCAs(cert), option(t, seed), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ids, _ := stored(t, nc)
	wantRun(t, ids, "gw1/b1/", 10)
	for _, subject := range []string{Subjects + ".gw1.auth.failed._", "$JS.API.STREAM.DELETE.PARLEY_EVENTS", "$JS.API.STREAM.UPDATE.PARLEY_EVENTS"} {
		if err := nc.Publish(subject, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-denied:
			if !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("%s: %v", subject, err)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("a reader may publish to %s", subject)
		}
	}
}

func option(t *testing.T, seed string) nats.Option {
	t.Helper()
	o, err := nats.NkeyOptionFromSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestAnExternalServerIsReachedWithTLSAndAnNKey(t *testing.T) {
	cert, key := certificate(t)
	user, seed := nkey(t)
	hub := start(t, func() Config {
		c := embeddedConfig(t, t.TempDir(), bus.New())
		c.Node, c.Listen = "hub", Listen{Address: "127.0.0.1:0", Cert: cert, Key: key, Users: []string{user}}
		return c
	}())
	c := externalConfig(t, t.TempDir(), bus.New(), "")
	c.URL, c.NKeySeed, c.TLS.CA = "tls://"+hub.link.(*embedded).server.Addr().String(), seed, cert
	link, err := newExternal(&c)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := link.connect()
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}
