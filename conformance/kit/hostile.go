package kit

import (
	"bytes"
	"encoding/hex"
	"math/big"
	"slices"

	"github.com/parley-ike/parley/sdk/ke"
)

// IANA key exchange methods whose forbidden values the kit knows.
const (
	ecp256, ecp384, ecp521 = 19, 20, 21
	curve25519             = 31
)

// forbidden returns the public values that a method's rules refuse; public is a good one of the same method. Methods that
// the kit knows nothing about have none.
func forbidden(m ke.Method, public []byte) map[string][]byte {
	if _, ok := modp[m.ID]; ok {
		return forbiddenMODP(m)
	}
	switch m.ID {
	case ecp256, ecp384, ecp521:
		return forbiddenECP(public)
	case curve25519:
		return lowOrder()
	}
	return nil
}

// modp lists the constant c of RFC 3526 and RFC 2409 primes, p = 2^n - 2^(n-64) - 1 + 2^64 * (floor(2^(n-130) pi) + c).
var modp = map[uint16]struct {
	bits uint
	c    int64
}{
	1: {768, 149686}, 2: {1024, 129093}, 5: {1536, 741804}, 14: {2048, 124476}, 15: {3072, 1690314}, 16: {4096, 240904},
	17: {6144, 929484}, 18: {8192, 4743158},
}

// MODPPrime computes the prime of a MODP group (RFC 2409 section 6, RFC 3526) from its definition; nil for other methods.
func MODPPrime(method uint16) *big.Int {
	g, ok := modp[method]
	if !ok {
		return nil
	}
	one := big.NewInt(1)
	p := new(big.Int).Lsh(one, g.bits)
	p.Sub(p, new(big.Int).Lsh(one, g.bits-64))
	p.Sub(p, one)
	digits := new(big.Int).Add(scaledPi(g.bits-130), big.NewInt(g.c))
	return p.Add(p, digits.Lsh(digits, 64))
}

// scaledPi is floor(2^bits pi) by Machin's formula, pi = 16 arctan(1/5) - 4 arctan(1/239).
func scaledPi(bits uint) *big.Int {
	const guard = 64 // bits that the rounding of some thousand terms stays within
	a := scaledArctan(5, bits+guard)
	b := scaledArctan(239, bits+guard)
	pi := a.Sub(a.Lsh(a, 4), b.Lsh(b, 2))
	return pi.Rsh(pi, guard)
}

// scaledArctan is 2^bits arctan(1/x), the sum of (-1)^k / ((2k+1) x^(2k+1)).
func scaledArctan(x int64, bits uint) *big.Int {
	sum := new(big.Int)
	power := new(big.Int).Lsh(big.NewInt(1), bits)
	power.Quo(power, big.NewInt(x))
	for k := int64(0); power.Sign() > 0; k++ {
		term := new(big.Int).Quo(power, big.NewInt(2*k+1))
		if k%2 == 0 {
			sum.Add(sum, term)
		} else {
			sum.Sub(sum, term)
		}
		power.Quo(power, big.NewInt(x*x))
	}
	return sum
}

// forbiddenMODP are the values outside 1 < y < p-1 (RFC 6989 section 2.1).
func forbiddenMODP(m ke.Method) map[string][]byte {
	p, one := MODPPrime(m.ID), big.NewInt(1)
	pad := func(v *big.Int) []byte { return v.FillBytes(make([]byte, m.PublicLen)) }
	return map[string][]byte{
		"0":        pad(new(big.Int)),
		"1":        pad(one),
		"p-1":      pad(new(big.Int).Sub(p, one)),
		"p":        pad(p),
		"p+1":      pad(new(big.Int).Add(p, one)),
		"all ones": bytes.Repeat([]byte{0xff}, m.PublicLen),
	}
}

// forbiddenECP are no points of the curve (RFC 6989 section 2.3): a good point whose coordinate has its lowest bit turned
// round lies on the curve with a chance of 2^-256.
func forbiddenECP(public []byte) map[string][]byte {
	off := slices.Clone(public)
	off[len(off)-1] ^= 1
	moved := slices.Clone(public)
	moved[len(moved)/2-1] ^= 1
	return map[string][]byte{
		"a point off the curve, by y": off,
		"a point off the curve, by x": moved,
		"(0, 0)":                      make([]byte, len(public)),
		"coordinates above the field": bytes.Repeat([]byte{0xff}, len(public)),
	}
}

// lowOrder are all X25519 public values that give the all-zero secret: the points of orders 1, 2, 4 and 8 on the curve
// and its twist in all their encodings below 2^255 (RFC 7748 sections 6.1 and 7), and one with the ignored top bit set.
func lowOrder() map[string][]byte {
	p := fieldPrime()
	points := map[string][]byte{
		"0 (order 2)":   little(new(big.Int)),
		"1 (order 4)":   little(big.NewInt(1)),
		"order 8, one":  unhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
		"order 8, two":  unhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
		"p-1 (order 4)": little(new(big.Int).Sub(p, big.NewInt(1))),
		"p":             little(p),
		"p+1":           little(new(big.Int).Add(p, big.NewInt(1))),
	}
	top := little(big.NewInt(1))
	top[31] |= 0x80
	points["1 with the top bit set"] = top
	return points
}

// nonCanonical is p+9, which stands for the base point 9 (RFC 7748 section 5).
func nonCanonical() []byte { return little(new(big.Int).Add(fieldPrime(), big.NewInt(9))) }

// fieldPrime is 2^255 - 19.
func fieldPrime() *big.Int {
	p := new(big.Int).Lsh(big.NewInt(1), 255)
	return p.Sub(p, big.NewInt(19))
}

// little encodes a number of at most 256 bits in 32 octets, the least first (RFC 7748 section 5).
func little(v *big.Int) []byte {
	b := v.FillBytes(make([]byte, 32))
	slices.Reverse(b)
	return b
}

// unhex decodes the constants of this file.
func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
