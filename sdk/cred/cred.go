// Package cred is the contract of credential stores. Private keys and pre-shared keys never leave a store: it is asked
// for whole derivations and signatures.
package cred

import "context"

// Identity is an IKE identity (RFC 7296 section 3.5).
type Identity struct {
	Type uint8
	Data []byte
}

// Purpose says what a credential is wanted for.
type Purpose uint8

// Purposes. A private key is bound to one of Signature and Decryption (RFC 2409 section 5.2 lets one key serve both, which
// makes every decryption an oracle for forged signatures).
const (
	PSK        Purpose = iota + 1
	Signature          // a private key that signs, found by Query.Local
	Decryption         // a private key that decrypts, found by Query.Local
	Password           // of a user, found by Query.Remote
	Anchor             // an authority that peers' certificates may come from: all are found, whoever is asked about
)

// Query selects a credential by whom it connects. For PSK and Password a store matches Remote first, then Local; an entry
// for both beats an entry for one. Private keys are our own: Local selects, type 0 selects all.
type Query struct {
	Purpose       Purpose
	Local, Remote Identity
	// Issuers are authorities that the peer trusts, by the SHA-1 of their SubjectPublicKeyInfo (RFC 7296 section 3.7).
	// Credentials with a chain to one come first; the others are found all the same.
	Issuers [][]byte
}

// Scheme is a whole derivation with a pre-shared key, so that nothing reusable leaves the store.
type Scheme uint8

// Schemes.
const (
	// IKEv2Auth is prf(prf(key, "Key Pad for IKEv2"), data), the AUTH value of RFC 7296 section 2.15.
	IKEv2Auth Scheme = iota + 1
	// IKEv1SKEYID is prf(key, data), the SKEYID of RFC 2409 section 5 when data is Ni_b | Nr_b. It is the pre-shared key's whole part
	// in an IKEv1 exchange.
	IKEv1SKEYID
)

// MAC is one derivation.
type MAC struct {
	Scheme Scheme
	PRF    uint16 // IANA transform ID
	Data   []byte
}

// Ref is the public part of a found credential.
type Ref struct {
	ID     string   // stable, opaque, for Sign and Decrypt; of a private key it must not occur in another store
	Source string   // where it came from, for people: "west.psk"
	Chain  [][]byte // of Signature, Decryption and Anchor: certificates, DER, the end certificate first; none: a bare key
	Public []byte   // of Signature, Decryption and Anchor: SubjectPublicKeyInfo, DER (RFC 5280 section 4.1)
}

// Plugin is a credential store. Implementations are safe for concurrent use.
//
// An unknown identity is an error that wraps sdk.ErrNoCredential and names the identity and where was looked.
type Plugin interface {
	// Find returns the public parts of the credentials that match, best first.
	Find(ctx context.Context, q Query) ([]Ref, error)
	// MAC performs derivations with the best matching pre-shared key, in order.
	MAC(ctx context.Context, q Query, macs []MAC) ([][]byte, error)
}
