// Package rsaenc is the authenticator for public key encryption with RSA of IKEv1, in the form of RFC 2409 section 5.2 ("rsaenc") and
// in the revised one of section 5.3 ("rsaenc-revised"). What the peer cannot decrypt it cannot hash: that authenticates it.
//
// Promises: it never sees a private key; the credential store behind the host decrypts, and says which public key is the
// peer's. It does not look into plaintexts, and treats all alike: the store gives a synthetic one where the padding of a ciphertext is
// wrong (cred.Decrypter), so that nothing here depends on it. Keys are those with the purpose "decryption", which sign nothing.
//
// Errors: sdk.ErrNoCredential says that we have no key, or none that HASH(1) names; that nobody vouches for the peer's is
// sdk.ErrRefused or sdk.ErrNoCredential; a body that is too long for the key, or a ciphertext of another size, is sdk.ErrInvalid.
//
// Limits: RSA with PKCS #1 v1.5 padding, as RFC 2409 demands, and one block: bodies have at most as many octets as the modulus less
// 11. HASH(1) of a bare public key, which RFC 2409 does not define, is of its SubjectPublicKeyInfo.
package rsaenc
