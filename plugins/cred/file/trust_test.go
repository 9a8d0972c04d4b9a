package file

import (
	"bytes"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
)

func asks(name string, purpose cred.Purpose, chain ...*x509.Certificate) cred.TrustRequest {
	r := cred.TrustRequest{Purpose: purpose, Identity: fqdn(name), Now: kit.PKITime}
	for _, c := range chain {
		r.Chain = append(r.Chain, c.Raw)
	}
	return r
}

// A key that is configured for a peer needs no authority, and nothing else is taken from that peer.
func TestAPublicKeyIsTrustedForItsPeerAndPurposeAlone(t *testing.T) {
	t.Parallel()
	dir, key, rsaKey := t.TempDir(), kit.NewKey("ed25519"), kit.NewKey("rsa")
	c := kit.NewAuthority("stranger").Issue(key, "whoever", nil)
	secret, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	west := Identity(fqdn("west.example.net"))
	ca := put(t, dir, "ca.pem", 0o644, pemOf("CERTIFICATE", root.Certificate.Raw))
	p := store(t, Config{Authorities: []Authority{{Path: ca}}, PublicKeys: []PublicKey{
		{Remote: west, File: put(t, dir, "west.pem", 0o644, pemOf("CERTIFICATE", c.Raw))},
		{Remote: west, File: put(t, dir, "west.pub", 0o644, pemOf("PUBLIC KEY", secret)), Purpose: "decryption"},
		{Remote: Identity(fqdn("weak")), File: put(t, dir, "weak.pub", 0o644, pemOf("RSA PUBLIC KEY", weakKey()))},
	}})
	for name, r := range map[string]cred.TrustRequest{"alone": asks("west.example.net", cred.Signature), "in a certificate of whoever": asks("west.example.net", cred.Signature, c)} {
		if v, err := p.Trust(t.Context(), r); err != nil || !bytes.Equal(v.Public, c.RawSubjectPublicKeyInfo) || !strings.HasSuffix(v.Anchor, "west.pem") {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
	if v, err := p.Trust(t.Context(), asks("west.example.net", cred.Decryption)); err != nil || !bytes.Equal(v.Public, secret) {
		t.Errorf("for decryption: another key, %v", err)
	}
	if _, err := p.Trust(t.Context(), asks("west.example.net", cred.Signature, root.Issue(rsaKey, "west.example.net", nil))); !errors.Is(err, sdk.ErrRefused) || strings.Count(err.Error(), "SHA-256") != 2 {
		t.Errorf("another key of the same peer, certified: %v", err)
	}
	if _, err := p.Trust(t.Context(), asks("north.example.net", cred.Signature, c)); !errors.Is(err, sdk.ErrNoCredential) {
		t.Errorf("the same certificate of another peer: %v", err)
	}
	if _, err := p.Trust(t.Context(), asks("weak", cred.Signature)); err == nil || !strings.Contains(err.Error(), "RSA with 1024 bits") {
		t.Errorf("a weak key: %v", err)
	}
}

func weakKey() []byte { return x509.MarshalPKCS1PublicKey(kit.PublicRSA(kit.NewKey("rsa1024"))) }

// A folder of authorities: each good file counts, a bad one is told where somebody asks for what may be in it.
func TestAFolderOfAuthoritiesIsFollowedAsItChanges(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), kit.NewAuthority("other")
	put(t, dir, "root.pem", 0o644, pemOf("CERTIFICATE", root.Certificate.Raw))
	put(t, dir, "broken.crt", 0o644, []byte("rubbish"))
	put(t, dir, "notes.txt", 0o644, []byte("not looked at"))
	config := Config{Authorities: []Authority{{Path: dir}}}
	p := store(t, config)
	clock := withClock(p)
	clock.now = kit.PKITime
	good := asks("west", cred.Signature, root.Issue(kit.NewKey("p256"), "west", nil))
	late := asks("west", cred.Signature, other.Issue(kit.NewKey("p256"), "west", nil))
	if _, err := p.Trust(t.Context(), good); err != nil {
		t.Error(err)
	}
	if _, err := p.Trust(t.Context(), late); !errors.Is(err, sdk.ErrNoCredential) || !strings.Contains(err.Error(), "broken.crt: it is neither") || !strings.Contains(err.Error(), "CN=other") {
		t.Errorf("an unknown authority beside a broken file: %v", err)
	}
	put(t, dir, "other.der", 0o644, other.Certificate.Raw)
	if err := os.Remove(filepath.Join(dir, "root.pem")); err != nil {
		t.Fatal(err)
	}
	clock.advance(pollInterval)
	if _, err := p.Trust(t.Context(), late); err != nil {
		t.Errorf("an authority that was added: %v", err)
	}
	if _, err := p.Trust(t.Context(), good); !errors.Is(err, sdk.ErrNoCredential) {
		t.Errorf("an authority that was taken away: %v", err)
	}
	refs, err := p.Find(t.Context(), cred.Query{Purpose: cred.Anchor})
	if err != nil || len(refs) != 1 || !bytes.Equal(refs[0].Public, other.Certificate.RawSubjectPublicKeyInfo) {
		t.Errorf("the authorities: %+v, %v", refs, err)
	}
	if problems := p.ring().problems(clock.Now()); len(problems) != 1 || !strings.Contains(problems[0], "broken.crt") {
		t.Errorf("problems: %q", problems)
	}
}

func TestAWeakKeyIsGoodEnoughWhereTheConfigurationSaysSo(t *testing.T) {
	t.Parallel()
	path := put(t, t.TempDir(), "ca.pem", 0o644, pemOf("CERTIFICATE", root.Certificate.Raw))
	p := store(t, Config{Authorities: []Authority{{Path: path, AllowWeak: true}}})
	if _, err := p.Trust(t.Context(), asks("west", cred.Signature, root.Issue(kit.NewKey("rsa1024"), "west", nil))); err != nil {
		t.Error(err)
	}
}

func TestWithoutAuthoritiesNobodyIsTrustedAndTheRemedyIsNamed(t *testing.T) {
	t.Parallel()
	p := store(t, Config{})
	_, trust := p.Trust(t.Context(), asks("west", cred.Signature, root.Issue(kit.NewKey("p256"), "west", nil)))
	_, find := p.Find(t.Context(), cred.Query{Purpose: cred.Anchor})
	for _, err := range []error{trust, find} {
		if !errors.Is(err, sdk.ErrNoCredential) || !strings.Contains(err.Error(), "add credentials { ca \"NAME\"") {
			t.Error(err)
		}
	}
}

func TestMistakesOfTheConfigurationOfKeysAreNamed(t *testing.T) {
	t.Parallel()
	west := Identity(fqdn("west"))
	for want, config := range map[string]Config{
		"keys[0] (x): neither a certificate nor a key": {Keys: []Key{{Name: "x"}}},
		"needs the identity":                           {Keys: []Key{{Key: "/k"}}},
		`file "k": the path must be absolute`:          {Keys: []Key{{Local: west, Key: "k"}}},
		`purpose "sign": want signature or decryption`: {Keys: []Key{{Local: west, Key: "/k", Purpose: "sign"}}},
		"type 0 means any and has none":                {Keys: []Key{{Local: Identity{Data: []byte("x")}, Certificate: "/c"}}},
		"needs the identity of the peer":               {PublicKeys: []PublicKey{{File: "/k"}}},
		`authorities[0] (a): file "ca": the path must`: {Authorities: []Authority{{Path: "ca", Name: "a"}}},
		"1001 keys, at most 1000 are allowed":          {Keys: make([]Key, MaxKeys+1)},
	} {
		if _, err := New(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
