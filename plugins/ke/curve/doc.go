// Package curve is the key exchange plugin for Curve25519 (RFC 8031, RFC 7748): key exchange method 31.
//
// Promises: constant time (the standard library's X25519), a fresh private value per exchange, nothing kept between
// calls; non-canonical public values and those with the top bit set are accepted as RFC 8031 section 3.2 demands; a
// public value that leads to the all-zero secret is refused.
//
// Limits: no Curve448. Finish costs two scalar multiplications, because the standard library computes the public value of
// every private value that it reads; Initiate costs one and Respond two. The standard library keeps copies of a private value that cannot be wiped; they go with the
// garbage collector.
package curve
