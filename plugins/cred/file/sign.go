package file

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // registers a hash
	_ "crypto/sha256"
	_ "crypto/sha512"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
)

// hashes are IKEv2's hash algorithms (RFC 7427 section 7).
var hashes = map[uint16]crypto.Hash{
	cred.HashSHA1: crypto.SHA1, cred.HashSHA256: crypto.SHA256, cred.HashSHA384: crypto.SHA384, cred.HashSHA512: crypto.SHA512,
}

// bare are the sizes of IKEv1's HASH_I and HASH_R: MD5, SHA-1, SHA2-256, -384 and -512. Other octets are not signed without
// DigestInfo, least of all a DigestInfo of somebody's choice.
var bare = []int{16, 20, 32, 48, 64}

// sign makes one signature.
func sign(key crypto.Signer, r cred.SignRequest) ([]byte, error) {
	hash, err := digest(r)
	if err != nil {
		return nil, err
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return signRSA(key, r, hash)
	case *ecdsa.PrivateKey:
		return signECDSA(key, r)
	case ed25519.PrivateKey:
		if r.Scheme == cred.Ed25519 { // RFC 8420 section 2: of the octets themselves
			return ed25519.Sign(key, r.Data), nil
		}
	}
	return nil, errScheme(key, r.Scheme)
}

// digest checks what is to be signed, and returns the hash that made it.
func digest(r cred.SignRequest) (crypto.Hash, error) {
	switch r.Scheme {
	case cred.RSAPKCS1Bare:
		if r.Hash != 0 || !slices.Contains(bare, len(r.Data)) {
			return 0, fmt.Errorf("%d octets with hash %d are no HASH_I or HASH_R (RFC 2409 section 5.1): %w", len(r.Data), r.Hash, sdk.ErrInvalid)
		}
		return 0, nil
	case cred.Ed25519:
		if r.Hash != cred.HashIdentity {
			return 0, fmt.Errorf("Ed25519 with hash %d, want %d, Identity (RFC 8420): %w", r.Hash, cred.HashIdentity, sdk.ErrInvalid)
		}
		return 0, nil
	}
	hash, ok := hashes[r.Hash]
	switch {
	case !ok:
		return 0, fmt.Errorf("hash algorithm %d: %w: this store does 1 to 4 (SHA-1, SHA2-256, -384, -512)", r.Hash, sdk.ErrUnsupported)
	case len(r.Data) != hash.Size():
		return 0, fmt.Errorf("a digest of %d octets, want %d of %v: %w", len(r.Data), hash.Size(), hash, sdk.ErrInvalid)
	}
	return hash, nil
}

// signRSA: crypto/rsa computes in constant time and checks its result.
func signRSA(key *rsa.PrivateKey, r cred.SignRequest, hash crypto.Hash) ([]byte, error) {
	switch r.Scheme {
	case cred.RSAPKCS1, cred.RSAPKCS1Bare:
		return rsa.SignPKCS1v15(nil, key, hash, r.Data)
	case cred.RSAPSS:
		return rsa.SignPSS(rand.Reader, key, hash, r.Data, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	}
	return nil, errScheme(key, r.Scheme)
}

func signECDSA(key *ecdsa.PrivateKey, r cred.SignRequest) ([]byte, error) {
	if r.Scheme != cred.ECDSA && r.Scheme != cred.ECDSAASN1 {
		return nil, errScheme(key, r.Scheme)
	}
	signature, err := ecdsa.SignASN1(rand.Reader, key, r.Data)
	if err != nil || r.Scheme == cred.ECDSAASN1 {
		return signature, err
	}
	return fixed(signature, (key.Params().N.BitLen()+7)/8)
}

// fixed turns the SEQUENCE of r and s into their octets, one after the other (RFC 4754 section 7).
func fixed(signature []byte, size int) ([]byte, error) {
	var inner cryptobyte.String
	var r, s big.Int
	outer := cryptobyte.String(signature)
	if !outer.ReadASN1(&inner, asn1.SEQUENCE) || !inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&s) {
		return nil, errors.New("a signature of another form than ecdsa.SignASN1 promises")
	}
	out := make([]byte, 2*size)
	r.FillBytes(out[:size])
	s.FillBytes(out[size:])
	return out, nil
}

func errScheme(key crypto.Signer, scheme cred.SignScheme) error {
	return fmt.Errorf("signature scheme %d with a key for %s: %w", scheme, kind(key), sdk.ErrUnsupported)
}

// kind names a key for people.
func kind(key crypto.Signer) string {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return fmt.Sprintf("RSA-%d", key.N.BitLen())
	case *ecdsa.PrivateKey:
		return "ECDSA " + key.Params().Name
	}
	return "Ed25519"
}
