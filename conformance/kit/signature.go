package kit

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // for peers without RFC 7427
	"crypto/x509"
	"fmt"
	"testing"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
)

// SignatureFixture returns a fixture for authenticators with signatures. East and West know each other's public keys; certificates
// are a matter of the credential store. hashes are announced by both (RFC 7427 section 4), none for peers that do not know it.
func SignatureFixture(t testing.TB, open func() auth.Plugin, setting string, east, west crypto.Signer, hashes ...uint16) AuthFixture {
	t.Helper()
	e, w := auth.Identity{Type: 2, Data: []byte("east.example.net")}, auth.Identity{Type: 2, Data: []byte("west.example.net")}
	known := map[string]crypto.PublicKey{e.String(): east.Public(), w.String(): west.Public()}
	return AuthFixture{
		Open: open, Auth: setting, East: e, West: w, Hashes: hashes,
		EastHost: &KeyHost{Own: east, Known: known}, WestHost: &KeyHost{Own: west, Known: known},
		WrongHost: &KeyHost{Own: another(t, east), Known: known}, EmptyHost: &KeyHost{},
	}
}

// another returns a new key of the same kind.
func another(t testing.TB, like crypto.Signer) (key crypto.Signer) {
	t.Helper()
	var err error
	switch like := like.(type) {
	case *rsa.PrivateKey:
		key, err = rsa.GenerateKey(rand.Reader, like.N.BitLen())
	case *ecdsa.PrivateKey:
		key, err = ecdsa.GenerateKey(like.Curve, rand.Reader)
	default:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// KeyHost is a host with one private key for every identity of ours, and with the public keys of peers by the text of their
// identities.
type KeyHost struct {
	cred.Unsupported
	Own   crypto.Signer // nil: none
	Chain [][]byte      // sent with every proof
	Known map[string]crypto.PublicKey
}

// Find implements auth.Host.
func (h *KeyHost) Find(ctx context.Context, q cred.Query) ([]cred.Ref, error) {
	if h.Own == nil || q.Purpose != cred.Signature {
		return nil, fmt.Errorf("kit: no private key for %v: %w", q.Local, sdk.ErrNoCredential)
	}
	public, err := x509.MarshalPKIXPublicKey(h.Own.Public())
	if err != nil {
		return nil, err
	}
	return []cred.Ref{{ID: "own", Source: "own.key", Chain: h.Chain, Public: public}}, ctx.Err()
}

// Sign implements auth.Host.
func (h *KeyHost) Sign(ctx context.Context, r cred.SignRequest) ([]byte, error) {
	if h.Own == nil || r.Ref != "own" {
		return nil, fmt.Errorf("kit: no private key %q: %w", r.Ref, sdk.ErrNoCredential)
	}
	sig, err := KeySign(h.Own, r)
	if err != nil {
		return nil, err
	}
	return sig, ctx.Err()
}

// Trust implements auth.Host: a peer's key is the one that is known.
func (h *KeyHost) Trust(ctx context.Context, r cred.TrustRequest) (cred.Verdict, error) {
	key, ok := h.Known[r.Identity.String()]
	if !ok {
		return cred.Verdict{}, fmt.Errorf("kit: no public key for %v: %w", r.Identity, sdk.ErrNoCredential)
	}
	public, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return cred.Verdict{}, err
	}
	return cred.Verdict{Public: public, Anchor: "known"}, ctx.Err()
}

var cryptoHashes = map[uint16]crypto.Hash{
	0: 0, cred.HashSHA1: crypto.SHA1, cred.HashSHA256: crypto.SHA256, cred.HashSHA384: crypto.SHA384, cred.HashSHA512: crypto.SHA512,
}

// KeySign makes a signature with a key, as a credential store does.
func KeySign(key crypto.Signer, r cred.SignRequest) ([]byte, error) {
	hash := cryptoHashes[r.Hash]
	switch key := key.(type) {
	case *rsa.PrivateKey:
		switch r.Scheme {
		case cred.RSAPKCS1, cred.RSAPKCS1Bare:
			return rsa.SignPKCS1v15(rand.Reader, key, hash, r.Data)
		case cred.RSAPSS:
			return rsa.SignPSS(rand.Reader, key, hash, r.Data, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
	case *ecdsa.PrivateKey:
		switch r.Scheme {
		case cred.ECDSAASN1:
			return ecdsa.SignASN1(rand.Reader, key, r.Data)
		case cred.ECDSA:
			return signPair(key, r.Data)
		}
	case ed25519.PrivateKey:
		if r.Scheme == cred.Ed25519 {
			return ed25519.Sign(key, r.Data), nil
		}
	}
	return nil, fmt.Errorf("kit: scheme %d with a %T: %w", r.Scheme, key, sdk.ErrUnsupported)
}

// signPair gives r and s, each as long as the order (RFC 4754 section 7).
func signPair(key *ecdsa.PrivateKey, digest []byte) ([]byte, error) {
	r, s, err := ecdsa.Sign(rand.Reader, key, digest)
	if err != nil {
		return nil, err
	}
	size := (key.Params().N.BitLen() + 7) / 8
	return bytes.Join([][]byte{r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))}, nil), nil
}
