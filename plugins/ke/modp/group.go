package modp

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"

	"filippo.io/bigmod"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/secret"
)

// group is one MODP group.
type group struct {
	id       uint16
	bits     int // of the modulus
	exponent int // octets of a private value, see the package's comment

	// modulus and generator are made on first use: the Montgomery constants of all groups would cost every start.
	values func() (*bigmod.Modulus, *bigmod.Nat)
}

// generator is that of every group here.
var generator = []byte{2}

func newGroup(id uint16, bits, exponent int, prime string, generator []byte) *group {
	return &group{id: id, bits: bits, exponent: exponent, values: sync.OnceValues(func() (*bigmod.Modulus, *bigmod.Nat) {
		return parse(prime, generator)
	})}
}

// parse panics on constants that are none; the tests look at each.
func parse(prime string, generator []byte) (*bigmod.Modulus, *bigmod.Nat) {
	p, err := hex.DecodeString(prime)
	if err != nil {
		panic(err)
	}
	modulus, err := bigmod.NewModulus(p)
	if err != nil {
		panic(err)
	}
	g, err := bigmod.NewNat().SetBytes(generator, modulus)
	if err != nil {
		panic(err)
	}
	return modulus, g
}

func (g *group) size() int { return g.bits / 8 }

// private makes a private value, uniform over all strings of its size.
func (g *group) private() secret.Bytes {
	x := make(secret.Bytes, g.exponent)
	_, _ = rand.Read(x) // never fails: the program ends when there is no randomness
	return x
}

// public gives the public value of x, padded to the size of the modulus (RFC 7296 section 3.4).
func (g *group) public(x secret.Bytes) []byte {
	modulus, base := g.values()
	return bigmod.NewNat().Exp(base, x, modulus).Bytes(modulus)
}

// shared gives the shared secret, padded to the size of the modulus (RFC 7296 section 2.14).
func (g *group) shared(x secret.Bytes, y *bigmod.Nat) secret.Bytes {
	modulus, _ := g.values()
	return bigmod.NewNat().Exp(y, x, modulus).Bytes(modulus)
}

// decode reads the peer's public value: as long as the modulus (RFC 7296 section 3.4) and 1 < y < p-1 (RFC 6989
// section 2.1), which suffices for safe primes.
func (g *group) decode(peer []byte) (*bigmod.Nat, error) {
	if len(peer) != g.size() {
		return nil, fmt.Errorf("modp: MODP-%d: the peer's public value has %d octets instead of %d: %w", g.bits, len(peer), g.size(), sdk.ErrInvalid)
	}
	modulus, _ := g.values()
	y, err := bigmod.NewNat().SetBytes(peer, modulus)
	if err != nil || y.IsZero()|y.IsOne()|y.IsMinusOne(modulus) == 1 {
		return nil, fmt.Errorf("modp: MODP-%d: the peer's public value is not between 1 and p-1 (RFC 6989 section 2.1): %w", g.bits, sdk.ErrInvalid)
	}
	return y, nil
}
