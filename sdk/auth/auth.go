// Package auth is the contract of authentication plugins. An authenticator holds no long-term secret: it asks the
// credential stores through its Host.
package auth

import (
	"context"

	"github.com/parley-ike/parley/sdk/cred"
)

// Identity is an IKE identity (RFC 7296 section 3.5).
type Identity = cred.Identity

// Sign is a request for our AUTH payload (RFC 7296 section 2.15), or for the signature that takes its place in IKEv1: with
// Version 1 Octets are HASH_I or HASH_R themselves, PRF names the negotiated hash by the PRF made of it, and Method is IKEv1's
// authentication method (RFC 2409 section 5.1 and appendix A).
type Sign struct {
	Version       uint8  // 1; 0 and 2 are IKEv2
	Auth          string // the connection's setting, "psk"
	Local, Remote Identity
	PRF           uint16   // IANA transform ID
	Octets        []byte   // the octets to sign
	PeerHashes    []uint16 // RFC 7427, nil when the peer sent none
	Issuers       [][]byte // that the peer prefers: SHA-1 of their SubjectPublicKeyInfo (RFC 7296 section 3.7)
}

// Signed is our AUTH payload and the certificates for it.
type Signed struct {
	Method uint8 // RFC 7296 section 3.8
	Data   []byte
	Certs  [][]byte // DER, the end certificate first
}

// Verify is a request to check the peer's AUTH payload; Remote is what the peer claims.
type Verify struct {
	Version       uint8 // as for Sign
	Auth          string
	Local, Remote Identity
	PRF           uint16
	Octets        []byte
	Method        uint8
	Data          []byte
	Certs         [][]byte
}

// Plugin authenticates IKEv2 peers. Implementations are safe for concurrent use.
//
// A wrong proof is an error that wraps sdk.ErrRefused, a missing key one that wraps sdk.ErrNoCredential. Comparisons take
// constant time.
type Plugin interface {
	// Methods lists the values of Sign.Auth and Verify.Auth that the plugin serves, "psk"; constant.
	Methods() []string
	// Sign makes our proof.
	Sign(ctx context.Context, host Host, s Sign) (Signed, error)
	// Verify checks the peer's proof and returns the identity that it proves.
	Verify(ctx context.Context, host Host, v Verify) (Identity, error)
}

// Authenticator is implemented by plugins that can do a responder's Verify and Sign with fewer calls to the host than
// one after the other. The SDK falls back to Verify, then Sign.
type Authenticator interface {
	Authenticate(ctx context.Context, host Host, v Verify, s Sign) (Identity, Signed, error)
}

// Host is what an authenticator may ask of the daemon: the credential stores, tried in the order of the configuration until
// one has the credential. A reference that Find gave is good for Sign and Decrypt, whichever store it is from.
type Host interface{ cred.Store }
