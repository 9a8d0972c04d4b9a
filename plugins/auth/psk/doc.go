// Package psk is the authenticator for pre-shared keys: of IKEv2 (RFC 7296 section 2.15, AUTH method 2) and, by SKEYID, of IKEv1
// (RFC 2409 section 5).
//
// Promises: it never sees a key. AUTH = prf(prf(key, "Key Pad for IKEv2"), octets) is computed by the credential store
// behind the host, in one call for both directions where it answers as a responder, and so is SKEYID. Proofs are compared in constant
// time, and no proof of ours leaves before the peer's was good.
//
// Limits: both sides of a connection use one key, as the store gives one for a pair of identities.
package psk
