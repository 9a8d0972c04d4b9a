// Package curve is the key exchange plugin for Curve25519 (RFC 8031, RFC 7748): key exchange method 31.
//
// Promises: constant time, a fresh private value per exchange, nothing kept between calls; non-canonical public values and
// those with the top bit set are accepted as RFC 8031 section 3.2 demands; a public value that leads to the all-zero secret
// is refused.
//
// The arithmetic is that of cloudflare/circl and not the standard library's: a public value costs half as much (a table of
// multiples of the base point), a shared secret a quarter less, and Finish one scalar multiplication instead of two,
// because the standard library computes the public value of every private value that it reads. Tests compare the two.
//
// Limits: no Curve448. The speed is that of processors with BMI2 and ADX; others take the portable code.
package curve
