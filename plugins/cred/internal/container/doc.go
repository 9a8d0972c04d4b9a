// Package container reads what certificates and keys come in: PEM and DER, PKCS#1, PKCS#8 (plain and encrypted by PBES2), SEC 1,
// PKCS#12, SubjectPublicKeyInfo. It is pure: octets in, keys out.
//
// Promises: what a file holds instead of what was wanted is named, with what turns it into something readable. No error shows
// content. What an encrypted PKCS#8 key asks of its reader is bounded before it is done; in PKCS#12 that is the library's.
//
// Limits: keys are RSA, ECDSA on the NIST curves, and Ed25519. The standard library's types of private keys cannot be wiped.
// Encryption by PBES1, and that of PEM itself (Proc-Type), is read in PKCS#12 only or not at all: both derive the key with MD5 or a
// single pass.
package container
