// Command ke is a minimal key exchange plugin: X25519 (RFC 8031) with the standard library. An accelerator would hand the
// three verbs to its device; state may then be a handle of the device, as the daemon only keeps it.
package main

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/ke"
	"github.com/parley-ike/parley/sdk/secret"
	"github.com/parley-ike/parley/sdk/serve"
)

func main() {
	serve.Main(serve.Info{Name: "example-ke", Version: "1.0.0", Vendor: "Example"}, serve.KE("example", x25519{}))
}

type x25519 struct{}

const id = 31 // IANA, "CURVE25519"

func (x25519) Methods() []ke.Method {
	return []ke.Method{{ID: id, IKEv1Group: id, Name: "CURVE25519", PublicLen: 32, ResponseLen: 32, SecretLen: 32}}
}

func (x25519) Initiate(ctx context.Context, method uint16) (secret.Bytes, []byte, error) {
	private, err := generate(ctx, method)
	if err != nil {
		return nil, nil, err
	}
	return private.Bytes(), private.PublicKey().Bytes(), nil
}

func (x25519) Respond(ctx context.Context, method uint16, peer []byte) ([]byte, secret.Bytes, error) {
	private, err := generate(ctx, method)
	if err != nil {
		return nil, nil, err
	}
	shared, err := agree(private, peer)
	return private.PublicKey().Bytes(), shared, err
}

func (x25519) Finish(ctx context.Context, method uint16, state secret.Bytes, peer []byte) (secret.Bytes, error) {
	if err := check(ctx, method); err != nil {
		return nil, err
	}
	private, err := ecdh.X25519().NewPrivateKey(state)
	if err != nil {
		return nil, fmt.Errorf("example: state: %w", err)
	}
	return agree(private, peer)
}

// check tells the daemon which methods are not ours, and does nothing for a call that nobody waits for.
func check(ctx context.Context, method uint16) error {
	if method != id {
		return fmt.Errorf("example: method %d: %w", method, sdk.ErrUnsupported)
	}
	return ctx.Err()
}

func generate(ctx context.Context, method uint16) (*ecdh.PrivateKey, error) {
	if err := check(ctx, method); err != nil {
		return nil, err
	}
	return ecdh.X25519().GenerateKey(rand.Reader)
}

// agree refuses what the peer must not send: a wrong size, and a point that gives the all-zero secret.
func agree(private *ecdh.PrivateKey, peer []byte) (secret.Bytes, error) {
	public, err := ecdh.X25519().NewPublicKey(peer)
	if err != nil {
		return nil, fmt.Errorf("example: %w: %w", sdk.ErrInvalid, err)
	}
	shared, err := private.ECDH(public)
	if err != nil {
		return nil, fmt.Errorf("example: %w: %w", sdk.ErrInvalid, err)
	}
	return shared, nil
}
