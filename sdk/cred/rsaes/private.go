package rsaes

import (
	"crypto/rsa"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/big"

	"filippo.io/bigmod"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/secret"
)

// private is RSADP (RFC 8017 section 5.1.2), in constant time, with a check of the result by the public exponent.
func private(key *rsa.PrivateKey, ciphertext []byte) (secret.Bytes, error) {
	n, err := bigmod.NewModulus(key.N.Bytes())
	if err != nil {
		return nil, fmt.Errorf("rsaes: the modulus of the key: %w", err)
	}
	c, err := bigmod.NewNat().SetBytes(ciphertext, n)
	if err != nil {
		return nil, fmt.Errorf("rsaes: a ciphertext that is not below the modulus: %w", sdk.ErrInvalid)
	}
	m, err := chinese(key, n, c)
	if err != nil {
		return nil, err
	}
	again := bigmod.NewNat().ExpShortVarTime(m, uint(key.E), n)
	if subtle.ConstantTimeCompare(again.Bytes(n), ciphertext) != 1 {
		return nil, errors.New("rsaes: the result of the private operation is wrong: do not trust this machine")
	}
	return m.Bytes(n), nil
}

// chinese raises by the Chinese remainder theorem (RFC 8017 section 5.1.2 step 2b).
func chinese(key *rsa.PrivateKey, n *bigmod.Modulus, c *bigmod.Nat) (*bigmod.Nat, error) {
	v := &key.Precomputed
	if len(key.Primes) != 2 || v.Dp == nil || v.Dq == nil || v.Qinv == nil {
		return nil, fmt.Errorf("rsaes: a key of %d primes: %w", len(key.Primes), sdk.ErrUnsupported)
	}
	p, err := bigmod.NewModulus(key.Primes[0].Bytes())
	if err != nil {
		return nil, fmt.Errorf("rsaes: a prime of the key: %w", err)
	}
	q, err := bigmod.NewModulus(key.Primes[1].Bytes())
	if err != nil {
		return nil, fmt.Errorf("rsaes: a prime of the key: %w", err)
	}
	inverse, err := bigmod.NewNat().SetBytes(fill(v.Qinv, p), p)
	if err != nil {
		return nil, fmt.Errorf("rsaes: the coefficient of the key: %w", err)
	}
	t := bigmod.NewNat()
	m := bigmod.NewNat().Exp(t.Mod(c, p), fill(v.Dp, p), p)
	m2 := bigmod.NewNat().Exp(t.Mod(c, q), fill(v.Dq, q), q)
	m.Sub(t.Mod(m2, p), p)
	m.Mul(inverse, p)
	m.ExpandFor(n).Mul(t.Mod(q.Nat(), n), n)
	return m.Add(m2.ExpandFor(n), n), nil
}

// fill encodes a number in as many octets as a modulus has, whatever its leading ones are.
func fill(x *big.Int, m *bigmod.Modulus) []byte { return x.FillBytes(make([]byte, m.Size())) }
