// Package ecp is the key exchange plugin for the NIST curves P-256, P-384 and P-521 (RFC 5903): methods 19, 20 and 21.
//
// Promises: constant time (the standard library), a fresh private value per exchange, nothing kept between calls. A
// public value is x and y, each padded to the field's octets (RFC 5903 section 7), and must be a point of the curve
// (RFC 6989 section 2.3); the shared secret is x alone.
//
// Limits: the standard library keeps copies of a private value that cannot be wiped; they go with the garbage collector.
package ecp
