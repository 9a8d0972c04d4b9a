// Package signature is the authenticator for signatures by private keys, of IKEv2 (RFC 7296 section 2.15, RFC 7427, RFC 8420,
// RFC 4754) and of IKEv1 (RFC 2409 section 5.1, RFC 4754).
//
//	key      with hashes of the peer (RFC 7427)            without them
//	RSA      RSASSA-PSS or PKCS #1 v1.5, SHA2-256/384/512  method 1: PKCS #1 v1.5, SHA-1
//	ECDSA    P-256, P-384, P-521 with SHA2-256/384/512     methods 9, 10 and 11
//	Ed25519  itself (hash "Identity")                      not possible
//
// Promises: it never sees a private key; the credential store behind the host signs, and judges the peer's certificates.
// What the peer signed is verified here, with the key that the store found to be the claimed identity's. No proof of ours leaves
// before the peer's was good. SHA-1 is accepted by method 1 alone, where RFC 7296 section 2.15 asks for it.
//
// Errors: sdk.ErrNoCredential says that we have no key, or none that the peer can verify; whatever is wrong with the peer's proof,
// also that nobody vouches for its key, is sdk.ErrRefused or, for a method of another kind, sdk.ErrUnsupported.
//
// Limits: as a responder it pads RSA signatures as the peer does; as an initiator it cannot know what the peer verifies, and uses
// PKCS #1 v1.5, which more peers know than RSASSA-PSS.
package signature
