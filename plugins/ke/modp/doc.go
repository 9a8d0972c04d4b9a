// Package modp is the key exchange plugin for the MODP groups of RFC 3526 with 2048 to 8192 bits, methods 14 to 18, and for
// the group of 1024 bits of RFC 2409, method 2. That one is weak (RFC 8247 section 2.4: SHOULD NOT): it is here for peers that
// know no better, and only connections with profile = "compatible" offer it.
//
// Promises: constant time (filippo.io/bigmod), a fresh private value per exchange, nothing kept between calls. Public
// values and shared secrets are as long as the modulus (RFC 7296 sections 3.4 and 2.14), a public value outside
// 1 < y < p-1 is refused (RFC 6989 section 2.1).
//
// Private exponents are short. RFC 3526 section 8 asks for about twice the strength of the group; RFC 7919 appendix A
// gives 225, 275, 325, 375 and 400 bits for safe primes of these sizes, and SP 800-56A revision 3 (section 5.6.1.1 and
// appendix D) at least 224, 256, 304, 352 and 400. We take the larger, rounded up to octets, and never less than 256.
// With a safe prime a short exponent gives nothing away, because there is no small subgroup but {1, p-1}.
//
// Limits: the groups of 768 and 1536 bits and those of RFC 5114 are left out, as RFC 8247 section 2.4 advises against
// them. The big-number library keeps copies of a private value that cannot be wiped; they go with the garbage collector.
package modp
