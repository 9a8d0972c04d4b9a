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

// Purposes.
const (
	PSK Purpose = iota + 1
)

// Query selects a credential by whom it connects. A store matches Remote first, then Local; an entry for both beats an
// entry for one.
type Query struct {
	Purpose       Purpose
	Local, Remote Identity
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
	ID     string // stable, opaque
	Source string // where it came from, for people: "west.psk"
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
