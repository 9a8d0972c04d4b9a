package rsaes

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/secret"
)

// overhead are the octets around a message: 0, 2, at least eight that are not 0, and 0 (RFC 8017 section 7.2.1).
const (
	overhead = 11
	minPad   = 8
)

// Decrypt returns the message of a ciphertext, or a synthetic one; which it is nobody can tell. It is an error, one that wraps
// sdk.ErrInvalid, when the ciphertext is not as long as the modulus or not below it, which everybody can see.
func Decrypt(key *rsa.PrivateKey, ciphertext []byte) (secret.Bytes, error) {
	size := key.Size()
	if len(ciphertext) != size || size < overhead {
		return nil, fmt.Errorf("rsaes: a ciphertext of %d octets for a modulus of %d: %w", len(ciphertext), size, sdk.ErrInvalid)
	}
	padded, err := private(key, ciphertext)
	if err != nil {
		return nil, err
	}
	defer padded.Wipe()
	synthetic, length := substitute(key, ciphertext)
	defer synthetic.Wipe()
	good, start := check(padded)
	from := subtle.ConstantTimeSelect(good, start, size-length)
	subtle.ConstantTimeCopy(good, synthetic, padded)
	return synthetic[from:].Clone(), nil
}

// check tells whether the padding is good (1 or 0), and where the message begins if it is. It looks at every octet.
func check(padded []byte) (good, start int) {
	good = subtle.ConstantTimeByteEq(padded[0], 0) & subtle.ConstantTimeByteEq(padded[1], 2)
	searching, zero := 1, 0
	for i := 2; i < len(padded); i++ {
		isZero := subtle.ConstantTimeByteEq(padded[i], 0)
		zero = subtle.ConstantTimeSelect(searching&isZero, i, zero)
		searching &= 1 ^ isZero
	}
	good &= 1 ^ searching                               // there is a 0
	good &= subtle.ConstantTimeLessOrEq(2+minPad, zero) // and at least eight octets stand before it
	return good, zero + 1
}

// candidates are how many lengths are tried for one that fits: that none does has a chance below 2^-64.
const candidates = 128

// substitute is the synthetic message: as long as the modulus, of which the last length octets count.
func substitute(key *rsa.PrivateKey, ciphertext []byte) (message secret.Bytes, length int) {
	size := key.Size()
	exponent := make(secret.Bytes, size)
	defer exponent.Wipe()
	digest := sha256.Sum256(key.D.FillBytes(exponent))
	defer clear(digest[:])
	seed := hmac.New(sha256.New, digest[:])
	seed.Write(ciphertext)
	kdk := secret.Bytes(seed.Sum(nil))
	defer kdk.Wipe()

	message = expand(kdk, "message", size)
	lengths := expand(kdk, "length", 2*candidates)
	defer lengths.Wipe()
	most := size - 2 - minPad // octets that a message may have, and one
	mask := uint16(most)
	for _, by := range []int{1, 2, 4, 8} {
		mask |= mask >> by
	}
	for i := 0; i < len(lengths); i += 2 {
		n := int(binary.BigEndian.Uint16(lengths[i:]) & mask)
		fits := subtle.ConstantTimeLessOrEq(n, most-1)
		length = subtle.ConstantTimeSelect(fits, n, length)
	}
	return message, length
}

// expand is the PRF of the draft: HMAC-SHA-256 over a counter, the label and the length in bits.
func expand(kdk secret.Bytes, label string, size int) secret.Bytes {
	out := make(secret.Bytes, 0, size+sha256.Size)
	for n := 0; len(out) < size; n++ {
		mac := hmac.New(sha256.New, kdk)
		mac.Write(binary.BigEndian.AppendUint16(nil, uint16(n)))
		mac.Write([]byte(label))
		mac.Write(binary.BigEndian.AppendUint16(nil, uint16(size*8)))
		out = mac.Sum(out)
	}
	return out[:size]
}
