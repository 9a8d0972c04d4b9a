package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"sync/atomic"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/serve"
)

// signer is a credential store with one RSA key, which signs on the engine. What it does not do it inherits as unsupported, and the
// daemon asks the next store for it. A vendor leaves the key on the card, and has its name where the simulated card has the key.
type signer struct {
	cred.Unsupported
	engine *engine
	slot   atomic.Pointer[key]
}

// key is what the configuration put on the card.
type key struct {
	local string // the FQDN that it is for
	ref   cred.Ref
	rsa   *rsa.PrivateKey
}

func newSigner(e *engine) *signer { return &signer{engine: e} }

// keyConfig is the configuration: {"local": "east.example.net", "certificate": "/etc/acme/east.pem", "key": "/etc/acme/east.key"}.
type keyConfig struct{ Local, Certificate, Key string }

func (*signer) Schema() string {
	return `{"type":"object","additionalProperties":false,"properties":{"local":{"type":"string"},"certificate":{"type":"string"},"key":{"type":"string"}}}`
}

func (*signer) Validate(text []byte) []string {
	if _, err := load(text); err != nil {
		return []string{err.Error()}
	}
	return nil
}

func (s *signer) Configure(_ context.Context, _ serve.Env, text []byte) error {
	k, err := load(text)
	if err == nil {
		s.slot.Store(k)
	}
	return err
}

// load reads a certificate and its key; without a configuration there is none.
func load(text []byte) (*key, error) {
	var c keyConfig
	if err := json.Unmarshal(text, &c); err != nil || c == (keyConfig{}) {
		return nil, err
	}
	certificate, err := readPEM(c.Certificate, 0)
	if err != nil {
		return nil, err
	}
	private, err := readPEM(c.Key, 0o077)
	if err != nil {
		return nil, err
	}
	x, errCertificate := x509.ParseCertificate(certificate)
	parsed, errKey := x509.ParsePKCS8PrivateKey(private)
	k, ok := parsed.(*rsa.PrivateKey)
	if errCertificate != nil || errKey != nil || !ok || !k.PublicKey.Equal(x.PublicKey) {
		return nil, fmt.Errorf("accelerator: %s and %s are no certificate and its RSA key in PKCS#8", c.Certificate, c.Key)
	}
	id := sha256.Sum256(x.RawSubjectPublicKeyInfo)
	return &key{c.Local, cred.Ref{ID: fmt.Sprintf("card:%x", id[:8]), Source: c.Certificate, Chain: [][]byte{x.Raw}, Public: x.RawSubjectPublicKeyInfo}, k}, nil
}

func readPEM(path string, forbidden os.FileMode) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("accelerator: %w", err)
	}
	if info.Mode().Perm()&forbidden != 0 {
		return nil, fmt.Errorf("accelerator: others can read the key: chmod 0600 %s", path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("accelerator: %w", err)
	}
	if block, _ := pem.Decode(content); block != nil {
		return block.Bytes, nil
	}
	return nil, fmt.Errorf("accelerator: no PEM in %s", path)
}

const fqdn = 2 // identity type, RFC 7296 section 3.5

// Find implements cred.Plugin.
func (s *signer) Find(ctx context.Context, q cred.Query) ([]cred.Ref, error) {
	k := s.slot.Load()
	switch {
	case q.Purpose != cred.Signature:
		return nil, fmt.Errorf("accelerator: purpose %d: %w", q.Purpose, sdk.ErrUnsupported)
	case k == nil || q.Local.Type != 0 && (q.Local.Type != fqdn || string(q.Local.Data) != k.local):
		return nil, fmt.Errorf("accelerator: no key for %v: %w", q.Local, sdk.ErrNoCredential)
	}
	return []cred.Ref{k.ref}, ctx.Err()
}

// hashes are IKEv2's (RFC 7427 section 7).
var hashes = map[uint16]crypto.Hash{1: crypto.SHA1, 2: crypto.SHA256, 3: crypto.SHA384, 4: crypto.SHA512}

// bare are the sizes of what IKEv1 has signed without DigestInfo (RFC 2409 section 5.1).
var bare = []int{16, 20, 32, 48, 64}

// Sign implements cred.Signer. Many calls wait at once, and their batches are answered in any order.
func (s *signer) Sign(ctx context.Context, r cred.SignRequest) (signature []byte, err error) {
	k, hash := s.slot.Load(), hashes[r.Hash]
	pkcs1 := r.Scheme == cred.RSAPKCS1 || r.Scheme == cred.RSAPKCS1Bare
	switch {
	case k == nil || k.ref.ID != r.Ref:
		return nil, fmt.Errorf("accelerator: no key %q: %w", r.Ref, sdk.ErrNoCredential)
	case !pkcs1 && r.Scheme != cred.RSAPSS || hash == 0 && r.Scheme != cred.RSAPKCS1Bare:
		return nil, fmt.Errorf("accelerator: scheme %d with hash %d: %w", r.Scheme, r.Hash, sdk.ErrUnsupported)
	case hash == 0 && !slices.Contains(bare, len(r.Data)) || hash != 0 && len(r.Data) != hash.Size():
		return nil, fmt.Errorf("accelerator: %d octets are no digest of hash %d: %w", len(r.Data), r.Hash, sdk.ErrInvalid)
	}
	data := bytes.Clone(r.Data) // it belongs to the caller, who may leave before the card has done
	answer := make(chan []byte, 1)
	err = s.engine.do(ctx, func() (err error) {
		var made []byte
		if pkcs1 {
			made, err = rsa.SignPKCS1v15(nil, k.rsa, hash, data)
		} else {
			made, err = rsa.SignPSS(rand.Reader, k.rsa, hash, data, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		answer <- made
		return err
	})
	if err != nil {
		return nil, err
	}
	return <-answer, nil
}
