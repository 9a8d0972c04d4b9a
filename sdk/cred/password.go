package cred

import (
	"context"

	"github.com/parley-ike/parley/sdk/secret"
)

// MaxUser and MaxPassword bound a user's name and password in octets: more than anyone types, and a peer cannot fill a store's memory.
const (
	MaxUser     = 256
	MaxPassword = 1024
)

// Passwords is implemented by stores that know users by name (extended authentication of IKEv1, draft-beaulieu-ike-xauth-02). A password
// serves one side: those of peers are compared and never leave the store, ours is told.
//
// A user that the store does not know is an error that wraps sdk.ErrNoCredential: another store may.
type Passwords interface {
	// CheckPassword compares a peer's password in constant time. One that differs is an error that wraps sdk.ErrRefused. The caller
	// wipes the password.
	CheckPassword(ctx context.Context, user string, password secret.Bytes) error
	// OwnPassword returns what we prove with that we are a user, in memory that the caller wipes.
	OwnPassword(ctx context.Context, user string) (secret.Bytes, error)
}
