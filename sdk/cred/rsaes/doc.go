// Package rsaes decrypts RSAES-PKCS1-v1_5 (RFC 8017 section 7.2) with implicit rejection, for credential stores that hold RSA keys in
// memory. IKEv1 needs it for public key encryption (RFC 2409 sections 5.2 and 5.3).
//
// A ciphertext whose padding is wrong gives a plaintext of a length and with octets that follow from key and ciphertext and that nobody
// without the key can predict. So neither an error, nor a length, nor time tells of the padding, and a peer that is asked a million times
// is no oracle (Bleichenbacher 1998; "The Dangers of Key Reuse", USENIX Security 2018). The method is that of
// draft-irtf-cfrg-rsa-guidance, section 7, which OpenSSL follows, too.
//
// Promises: the private operation and the choice of the plaintext take a time that depends on the size of the key alone. The result is
// checked with the public key, so that a fault in the computation reveals no factor (Boneh, DeMillo, Lipton 1997).
//
// Limits: two primes only. What a caller does with a plaintext, and when, is the caller's: it must treat every one as if it were good.
package rsaes
