package cred

import (
	"context"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/secret"
)

// Store is everything that a credential store can do.
type Store interface {
	Plugin
	Signer
	Decrypter
	Truster
	Passwords
}

// Complete returns p with every method of a Store; what p does not implement is an error that wraps sdk.ErrUnsupported.
func Complete(p Plugin) Store {
	all := completed{p, Unsupported{}, Unsupported{}, Unsupported{}, Unsupported{}}
	if s, ok := p.(Signer); ok {
		all.Signer = s
	}
	if d, ok := p.(Decrypter); ok {
		all.Decrypter = d
	}
	if t, ok := p.(Truster); ok {
		all.Truster = t
	}
	if w, ok := p.(Passwords); ok {
		all.Passwords = w
	}
	return all
}

type completed struct {
	Plugin
	Signer
	Decrypter
	Truster
	Passwords
}

// Unsupported is a Store that can do nothing: every error wraps sdk.ErrUnsupported. Embed it in a host of a test that needs
// a part of a Store only.
type Unsupported struct{}

var _ Store = Unsupported{}

// Find implements Plugin.
func (Unsupported) Find(context.Context, Query) ([]Ref, error) {
	return nil, unsupported("find credentials")
}

// MAC implements Plugin.
func (Unsupported) MAC(context.Context, Query, []MAC) ([][]byte, error) {
	return nil, unsupported("derive from pre-shared keys")
}

// Sign implements Signer.
func (Unsupported) Sign(context.Context, SignRequest) ([]byte, error) {
	return nil, unsupported("sign")
}

// Decrypt implements Decrypter.
func (Unsupported) Decrypt(context.Context, DecryptRequest) (secret.Bytes, error) {
	return nil, unsupported("decrypt")
}

// Trust implements Truster.
func (Unsupported) Trust(context.Context, TrustRequest) (Verdict, error) {
	return Verdict{}, unsupported("judge certificates")
}

// CheckPassword implements Passwords.
func (Unsupported) CheckPassword(context.Context, string, secret.Bytes) error {
	return unsupported("check passwords")
}

// OwnPassword implements Passwords.
func (Unsupported) OwnPassword(context.Context, string) (secret.Bytes, error) {
	return nil, unsupported("tell passwords")
}

func unsupported(what string) error {
	return fmt.Errorf("cred: this store cannot %s: %w", what, sdk.ErrUnsupported)
}
