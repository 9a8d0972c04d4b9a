package cred

import (
	"context"
	"time"

	"github.com/parley-ike/parley/sdk/secret"
)

// SignScheme is a signature as a protocol wants it, padding and encoding included.
type SignScheme uint8

// Schemes of signatures. SignRequest.Hash names the hash whose digest SignRequest.Data is.
const (
	RSAPKCS1     SignScheme = iota + 1 // RSASSA-PKCS1-v1_5 with DigestInfo (RFC 8017 section 8.2; RFC 7296 section 2.15)
	RSAPKCS1Bare                       // the same padding around Data without DigestInfo, Hash 0 (RFC 2409 section 5.1)
	RSAPSS                             // RSASSA-PSS, MGF1 with the same hash, salt as long as it (RFC 8017 section 8.1, RFC 7427)
	ECDSA                              // r | s, each as long as the curve's order (RFC 4754 section 7)
	ECDSAASN1                          // SEQUENCE of r and s (RFC 5758 section 3.2, RFC 7427)
	Ed25519                            // of Data itself, which is no digest; Hash is HashIdentity (RFC 8420)
)

// Hash algorithms of IKEv2 (IANA; RFC 7427 section 7, RFC 8420 section 5).
const (
	HashSHA1     uint16 = 1
	HashSHA256   uint16 = 2
	HashSHA384   uint16 = 3
	HashSHA512   uint16 = 4
	HashIdentity uint16 = 5
)

// SignRequest asks for one signature.
type SignRequest struct {
	Ref    string // Ref.ID of a credential found for Signature
	Scheme SignScheme
	Hash   uint16
	Data   []byte
}

// Signer is implemented by stores that hold private keys for signatures.
//
// A reference that is not the store's is an error that wraps sdk.ErrNoCredential, a scheme that does not fit the key one
// that wraps sdk.ErrUnsupported, a digest of another size than its hash has one that wraps sdk.ErrInvalid.
type Signer interface {
	Sign(ctx context.Context, r SignRequest) ([]byte, error)
}

// DecryptScheme is an encryption with a public key.
type DecryptScheme uint8

// Schemes of decryption.
const (
	RSAPKCS1v15 DecryptScheme = iota + 1 // RSAES-PKCS1-v1_5 (RFC 8017 section 7.2; RFC 2409 section 5.2)
)

// DecryptRequest asks for one decryption.
type DecryptRequest struct {
	Ref    string // Ref.ID of a credential found for Decryption
	Scheme DecryptScheme
	Data   []byte
}

// Decrypter is implemented by stores that hold private keys for decryption.
//
// Decrypt rejects implicitly: a ciphertext whose padding is wrong gives a plaintext of a length and with octets that follow
// from key and ciphertext and that nobody can predict, in the same time as a good one. It is an error, one that wraps
// sdk.ErrInvalid, only when everybody can see it: a ciphertext of another size than the modulus, or not below it.
type Decrypter interface {
	Decrypt(ctx context.Context, r DecryptRequest) (secret.Bytes, error)
}

// TrustRequest asks whether a key is a peer's.
type TrustRequest struct {
	// Chain are the peer's certificates, DER, the end certificate first, as the peer sent them. Without any, the question
	// is for the public key that is configured for Identity.
	Chain    [][]byte
	Purpose  Purpose // Signature or Decryption: what the peer uses the key for
	Identity Identity
	Now      time.Time // zero: the store's clock
}

// Verdict says whose key was found good.
type Verdict struct {
	Public          []byte    // SubjectPublicKeyInfo, DER: proofs are verified with it
	Subject, Issuer string    // of the end certificate, RFC 4514; "" without one
	Anchor          string    // why it is trusted, for people: the file of the authority, or of the public key
	Until           time.Time // when the first certificate of the chain expires; zero: no end
}

// Truster is implemented by stores that know authorities or peers' public keys.
//
// No authority or key for it is an error that wraps sdk.ErrNoCredential and names the issuer: another store may have it.
// Every other reason to distrust is one that wraps sdk.ErrRefused and shows both sides of what differs: the identities, or
// the dates and now. What is no certificate at all, or too much of it, is one that wraps sdk.ErrInvalid.
type Truster interface {
	Trust(ctx context.Context, r TrustRequest) (Verdict, error)
}
