// Package ke is the contract of key exchange plugins: Diffie-Hellman groups and KEMs alike, in three verbs.
package ke

import (
	"context"

	"github.com/parley-ike/parley/sdk/secret"
)

// Method describes one key exchange method that a plugin provides.
type Method struct {
	ID          uint16 // IANA "Transform Type 4 - Key Exchange Method Transform IDs" of IKEv2
	IKEv1Group  uint16 // IANA group description of IKEv1, 0 when there is none
	Name        string // for people: "CURVE25519", "ECP_256"
	PublicLen   int    // octets of the initiator's public value
	ResponseLen int    // octets of the responder's public value (a KEM's ciphertext)
	SecretLen   int    // octets of the shared secret
	KEM         bool
}

// Plugin performs key exchanges. Implementations are safe for concurrent use and keep nothing between calls: the state
// that Initiate returns is held by the core and comes back in Finish, after a restart of the plugin as well.
//
// A public value of the peer that the method's rules forbid (RFC 6989, RFC 8031) is refused with an error that wraps
// sdk.ErrInvalid. Shared secrets have the form that goes into SKEYSEED (RFC 7296 section 2.14: MODP values padded to the length
// of the modulus; RFC 5903: the x coordinate; RFC 8031: as RFC 7748 gives them).
type Plugin interface {
	// Methods lists what the plugin provides; constant.
	Methods() []Method
	// Initiate makes a fresh private value. state is opaque and secret; public goes to the peer.
	Initiate(ctx context.Context, method uint16) (state secret.Bytes, public []byte, err error)
	// Respond makes a fresh private value and the shared secret in one step.
	Respond(ctx context.Context, method uint16, peer []byte) (public []byte, shared secret.Bytes, err error)
	// Finish makes the shared secret from the state of Initiate.
	Finish(ctx context.Context, method uint16, state secret.Bytes, peer []byte) (shared secret.Bytes, err error)
}
