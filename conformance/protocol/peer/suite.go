package peer

import (
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
)

// Key exchange methods (RFC 7296 section 3.3.2, RFC 5903, RFC 8031).
const (
	MODP2048 = 14
	P256     = 19
	X25519   = 31
)

// Suite is the algorithms of an IKE SA. The PRF is HMAC-SHA2-256 always.
type Suite struct {
	AEAD   bool   // AES-GCM-256 with a tag of 16 octets, else AES-CBC-256 with HMAC-SHA2-256-128
	Method uint16 // of the key exchange
}

// Proposal returns the suite as a proposal for an IKE SA.
func (s Suite) Proposal(number uint8) Proposal {
	p := Proposal{Number: number, Protocol: ProtoIKE}
	if s.AEAD {
		p.Transforms = []Transform{{Type: ENCR, ID: 20, KeyBits: 256}, {Type: PRF, ID: 5}}
	} else {
		p.Transforms = []Transform{{Type: ENCR, ID: 12, KeyBits: 256}, {Type: PRF, ID: 5}, {Type: INTEG, ID: 12}}
	}
	p.Transforms = append(p.Transforms, Transform{Type: KE, ID: s.Method})
	return p
}

// ESPProposal returns a proposal for a child SA with AES-GCM-128, which every daemon takes; method 0 means no key exchange.
func ESPProposal(number uint8, spi []byte, method uint16) Proposal {
	p := Proposal{Number: number, Protocol: ProtoESP, SPI: spi, Transforms: []Transform{{Type: ENCR, ID: 20, KeyBits: 128}}}
	if method != 0 {
		p.Transforms = append(p.Transforms, Transform{Type: KE, ID: method})
	}
	p.Transforms = append(p.Transforms, Transform{Type: ESN})
	return p
}

// Exchange is our half of a key exchange.
type Exchange struct {
	Method uint16
	Public []byte
	agree  func(peer []byte) ([]byte, error)
}

// NewExchange makes a fresh half.
func NewExchange(method uint16) *Exchange {
	switch method {
	case X25519:
		return newCurve(method, ecdh.X25519(), 0)
	case P256:
		return newCurve(method, ecdh.P256(), 1)
	case MODP2048:
		return newMODP()
	}
	panic(fmt.Sprintf("peer: key exchange method %d is not known here", method))
}

// newCurve hides the octet in front of an uncompressed point, which IKE does not send (RFC 5903 section 7).
func newCurve(method uint16, curve ecdh.Curve, prefix int) *Exchange {
	private := must(curve.GenerateKey(rand.Reader))
	return &Exchange{Method: method, Public: private.PublicKey().Bytes()[prefix:], agree: func(peer []byte) ([]byte, error) {
		public, err := curve.NewPublicKey(append(slices.Repeat([]byte{4}, prefix), peer...))
		if err != nil {
			return nil, err
		}
		return private.ECDH(public)
	}}
}

// modp2048 is the prime of RFC 3526 section 3: 2^2048 - 2^1984 - 1 + 2^64 * ([2^1918 pi] + 124476). The generator is 2.
const modp2048 = "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6D" +
	"F25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A1" +
	"63BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36" +
	"CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA051015728E5A8AACAA68FFFFFFFFFFFFFFFF"

// modpLen is the length of a public value and of the secret, leading zeros included (RFC 7296 sections 2.14 and 3.4).
const modpLen = 256

func modpPrime() *big.Int {
	prime, _ := new(big.Int).SetString(modp2048, 16)
	return prime
}

// MODP2048Minus1 is p-1, a value of order 2, which nobody may use.
func MODP2048Minus1() []byte { return new(big.Int).Sub(modpPrime(), big.NewInt(1)).Bytes() }

func newMODP() *Exchange {
	prime := modpPrime()
	private := new(big.Int).SetBytes(Random(modpLen))
	public := new(big.Int).Exp(big.NewInt(2), private, prime)
	return &Exchange{Method: MODP2048, Public: public.FillBytes(make([]byte, modpLen)), agree: func(peer []byte) ([]byte, error) {
		if len(peer) != modpLen {
			return nil, fmt.Errorf("peer: a public value of %d octets instead of %d", len(peer), modpLen)
		}
		return new(big.Int).Exp(new(big.Int).SetBytes(peer), private, prime).FillBytes(make([]byte, modpLen)), nil
	}}
}

// Agree returns the shared secret.
func (e *Exchange) Agree(ke []byte) ([]byte, error) {
	if len(ke) < 4 || binary.BigEndian.Uint16(ke) != e.Method {
		return nil, errors.New("peer: the KE payload is of another method")
	}
	return e.agree(ke[4:])
}

// Keys are those of RFC 7296 section 2.14.
type Keys struct{ D, Ai, Ar, Ei, Er, Pi, Pr []byte }

// prfLen is the output and preferred key length of HMAC-SHA2-256.
const prfLen = 32

func prf(key []byte, data ...[]byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(slices.Concat(data...))
	return m.Sum(nil)
}

// prfPlus is RFC 7296 section 2.13.
func prfPlus(key, seed []byte, n int) (out []byte) {
	var t []byte
	for i := byte(1); len(out) < n; i++ {
		t = prf(key, t, seed, []byte{i})
		out = append(out, t...)
	}
	return out[:n]
}

// derive expands SKEYSEED.
func (s Suite) derive(skeyseed, ni, nr []byte, spii, spir uint64) (k Keys) {
	integrity, cipher := 32, 32
	if s.AEAD {
		integrity, cipher = 0, 36 // with the salt (RFC 5282 section 7.1)
	}
	seed := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(slices.Concat(ni, nr), spii), spir)
	all := prfPlus(skeyseed, seed, 3*prfLen+2*integrity+2*cipher)
	for _, part := range []struct {
		to *[]byte
		n  int
	}{{&k.D, prfLen}, {&k.Ai, integrity}, {&k.Ar, integrity}, {&k.Ei, cipher}, {&k.Er, cipher}, {&k.Pi, prfLen}, {&k.Pr, prfLen}} {
		*part.to, all = all[:part.n:part.n], all[part.n:]
	}
	return k
}

// NATHash is the data of a NAT detection notify (RFC 7296 section 2.23).
func NATHash(spii, spir uint64, a netip.AddrPort) []byte {
	b := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, spii), spir)
	b = binary.BigEndian.AppendUint16(append(b, a.Addr().AsSlice()...), a.Port())
	sum := sha1.Sum(b)
	return sum[:]
}

// Random returns n random octets.
func Random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return b
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
