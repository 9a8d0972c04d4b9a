package kit

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/cred/rsaes"
	"github.com/parley-ike/parley/sdk/secret"
)

// keyStore holds a key for each name, and fulfils the contract of private keys but for the fault.
type keyStore struct {
	cred.Unsupported
	fault string
	busy  *keeper
	keys  map[string]crypto.Signer
}

const secretName = "decrypts.example.net"

func (s *keyStore) ref(name string) cred.Ref {
	public, err := x509.MarshalPKIXPublicKey(s.keys[name].Public())
	must(err)
	sum := sha256.Sum256(public)
	ref := cred.Ref{ID: hex.EncodeToString(sum[:]), Source: "memory", Public: public}
	switch s.fault {
	case "a new ID each time":
		ref.ID = rand.Text()
	case "another key's certificate":
		ref.Chain = [][]byte{NewAuthority("another").Certificate.Raw}
	}
	return ref
}

func (s *keyStore) Find(ctx context.Context, q cred.Query) ([]cred.Ref, error) {
	name := string(q.Local.Data)
	if _, ok := s.keys[name]; !ok || (name == secretName) != (q.Purpose == cred.Decryption) {
		if s.fault == "unknown is not named" {
			name = "somebody"
		}
		return nil, fmt.Errorf("kit: no key for fqdn:%s: %w", name, sdk.ErrNoCredential)
	}
	return []cred.Ref{s.ref(name)}, s.ended(ctx)
}

func (s *keyStore) ended(ctx context.Context) error {
	if s.fault == "context ignored" {
		return nil
	}
	return ctx.Err()
}

// by returns the key of a reference, whose purpose must be the right one.
func (s *keyStore) by(ref string, decrypts bool) (crypto.Signer, error) {
	for name, key := range s.keys {
		if s.ref(name).ID == ref && ((name == secretName) == decrypts || s.fault == "any purpose") {
			return key, nil
		}
	}
	if s.fault == "unknown is internal" {
		return nil, fmt.Errorf("kit: no key %q", ref)
	}
	return nil, fmt.Errorf("kit: no key %q: %w", ref, sdk.ErrNoCredential)
}

func (s *keyStore) Sign(ctx context.Context, r cred.SignRequest) ([]byte, error) {
	key, err := s.by(r.Ref, false)
	if err != nil {
		return nil, err
	}
	_, isRSA := key.(*rsa.PrivateKey)
	switch hash, known := cryptoHashes[r.Hash]; {
	case s.fault == "schemes are guessed":
		r.Scheme = signings(key.Public())[0].Scheme
	case !known && r.Scheme != cred.Ed25519, r.Scheme == cred.Ed25519 && r.Hash != cred.HashIdentity && s.fault != "digests ignored":
		return nil, fmt.Errorf("kit: hash %d: %w", r.Hash, sdk.ErrInvalid)
	case s.fault == "a bare DigestInfo signed" && isRSA && r.Scheme == cred.RSAPKCS1Bare:
	case isRSA && r.Scheme == cred.RSAPKCS1Bare && len(r.Data) == 51, hash != 0 && len(r.Data) != hash.Size() && s.fault != "digests ignored":
		return nil, fmt.Errorf("kit: %d octets: %w", len(r.Data), sdk.ErrInvalid)
	}
	signature, err := KeySign(key, r)
	if err == nil && (s.fault == "r and s of the other order" && r.Scheme == cred.ECDSA || s.fault == oneAtATime && s.busy.crowded()) {
		slices.Reverse(signature)
	}
	if err == nil {
		err = s.ended(ctx)
	}
	return signature, err
}

func (s *keyStore) Decrypt(ctx context.Context, r cred.DecryptRequest) (secret.Bytes, error) {
	key, err := s.by(r.Ref, true)
	if err != nil {
		return nil, err
	}
	k, ok := key.(*rsa.PrivateKey)
	if !ok || r.Scheme != cred.RSAPKCS1v15 {
		return nil, fmt.Errorf("kit: decryption scheme %d: %w", r.Scheme, sdk.ErrUnsupported)
	}
	plain, err := rsaes.Decrypt(k, r.Data)
	switch {
	case s.fault == "any size" && err != nil:
		return secret.Bytes{}, nil
	case err != nil:
		return nil, err
	case s.fault == "a message cut off":
		return plain[:len(plain)/2], nil
	}
	padded := new(big.Int).Exp(new(big.Int).SetBytes(r.Data), k.D, k.N).FillBytes(make([]byte, k.Size()))
	if bad := padded[1] != 2; bad {
		switch s.fault {
		case "bad padding is an error":
			return nil, fmt.Errorf("kit: bad padding: %w", sdk.ErrInvalid)
		case "bad padding gives chance":
			return secret.Bytes(rand.Text()), nil
		case "bad padding gives one length":
			return plain[:min(len(plain), 1)], nil
		case "block type ignored":
			return padded[bytes.LastIndexByte(padded, 0)+1:], nil
		}
	}
	return plain, s.ended(ctx)
}

func TestTheSuiteOfPrivateKeysCatchesFaults(t *testing.T) {
	t.Parallel()
	names := []string{"rsa", "p256", "ed25519"}
	keys := map[string]crypto.Signer{secretName: NewKey("rsa1024")}
	fixture := func(fault string) KeyFixture {
		f := KeyFixture{Unknown: cred.Query{Purpose: cred.Signature, Local: fqdn("north.example.net")}}
		for _, name := range names {
			f.Signature = append(f.Signature, cred.Query{Purpose: cred.Signature, Local: fqdn(name)})
		}
		f.Decryption = []cred.Query{{Purpose: cred.Decryption, Local: fqdn(secretName)}}
		f.Open = func() cred.Store { return &keyStore{fault: fault, busy: new(keeper), keys: keys} }
		return f
	}
	for _, name := range names {
		keys[name] = NewKey(name)
	}
	if _, ok := keys["p256"].(*ecdsa.PrivateKey); !ok {
		t.Fatal("no ECDSA key")
	}
	Prove(t, KeyChecks(), fixture, map[string]string{
		"a new ID each time":           "a key is found with its public part and the certificate of that",
		"another key's certificate":    "a key is found with its public part and the certificate of that",
		"r and s of the other order":   "every signature of a key verifies",
		"schemes are guessed":          "a scheme that does not fit the key is unsupported",
		"digests ignored":              "what is no digest of the hash is invalid",
		"a bare DigestInfo signed":     "what is no digest of the hash is invalid",
		"unknown is internal":          "an unknown reference or identity is no credential and named",
		"unknown is not named":         "an unknown reference or identity is no credential and named",
		"any purpose":                  "a key serves one purpose",
		"a message cut off":            "a good ciphertext gives its message",
		"bad padding is an error":      "a bad padding cannot be told from a good one",
		"bad padding gives chance":     "a bad padding cannot be told from a good one",
		"bad padding gives one length": "a bad padding cannot be told from a good one",
		"block type ignored":           "a bad padding cannot be told from a good one",
		"any size":                     "a ciphertext of another size is invalid",
		oneAtATime:                     "calls run at the same time",
		"context ignored":              "a call whose context ended is not performed",
	})
}
