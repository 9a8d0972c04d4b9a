package rsaenc

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"

	"filippo.io/bigmod"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/secret"
)

// overhead are the octets around a message: 0, 2, at least eight that are not 0, and 0 (RFC 8017 section 7.2.1).
const overhead = 11

// Sizes of a modulus in octets: of what the installed base has, and of what a packet holds.
const (
	minModulus = 1024 / 8
	maxModulus = 16384 / 8
)

// encrypt is RSAES-PKCS1-v1_5-ENCRYPT (RFC 8017 section 7.2.1), which crypto/rsa has deprecated and RFC 2409 demands.
func encrypt(key *rsa.PublicKey, message secret.Bytes) ([]byte, error) {
	size := key.Size()
	if size < minModulus || size > maxModulus || key.E < 3 || key.E%2 == 0 {
		return nil, fmt.Errorf("modulus of %d bits, exponent %d: %w: %w", key.N.BitLen(), key.E, errNoKey, sdk.ErrInvalid)
	}
	if len(message) > size-overhead {
		return nil, fmt.Errorf("%d octets are too many for a key of %d bits, which takes %d: use a longer key or a shorter identity: %w",
			len(message), key.N.BitLen(), size-overhead, sdk.ErrInvalid)
	}
	padded := make(secret.Bytes, size)
	defer padded.Wipe()
	padded[1] = 2
	copy(padded[size-len(message):], message)
	fillNonZero(padded[2 : size-len(message)-1])
	n, err := bigmod.NewModulus(key.N.Bytes())
	if err != nil || n.Nat().IsOdd() == 0 {
		return nil, fmt.Errorf("modulus: %w: %w", errNoKey, sdk.ErrInvalid)
	}
	m, err := bigmod.NewNat().SetBytes(padded, n)
	if err != nil {
		return nil, fmt.Errorf("modulus: %w: %w", errNoKey, sdk.ErrInvalid)
	}
	return bigmod.NewNat().ExpShortVarTime(m, uint(key.E), n).Bytes(n), nil
}

// fillNonZero fills b with random octets that are not 0.
func fillNonZero(b []byte) {
	_, _ = rand.Read(b) // never fails
	for i := bytes.IndexByte(b, 0); i >= 0; i = bytes.IndexByte(b, 0) {
		_, _ = rand.Read(b[i : i+1])
	}
}

// hashes are those of HASH(1) by the PRFs that are made of them, as IKEv2 numbers these.
var hashes = map[uint16]func() hash.Hash{2: sha1.New, 5: sha256.New, 6: sha512.New384, 7: sha512.New}

// names reports whether a hash is of the key's certificate, or of the key.
func names(prf uint16, keyHash []byte, ref cred.Ref) bool {
	newHash, ok := hashes[prf]
	if !ok {
		return false
	}
	is := func(der []byte) bool {
		h := newHash()
		h.Write(der)
		return bytes.Equal(h.Sum(nil), keyHash)
	}
	return len(ref.Chain) > 0 && is(ref.Chain[0]) || is(ref.Public)
}
