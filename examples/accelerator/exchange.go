package main

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/ke"
	"github.com/parley-ike/parley/sdk/secret"
)

const curve25519 = 31 // IANA, "CURVE25519" (RFC 8031)

// exchange does key exchanges on the engine. The daemon keeps the state between Initiate and Finish; a device with handles of its own
// would return one as the state.
type exchange struct{ engine *engine }

// Methods implements ke.Plugin.
func (*exchange) Methods() []ke.Method {
	return []ke.Method{{ID: curve25519, IKEv1Group: curve25519, Name: "CURVE25519", PublicLen: 32, ResponseLen: 32, SecretLen: 32}}
}

// Initiate implements ke.Plugin.
func (x *exchange) Initiate(ctx context.Context, method uint16) (state secret.Bytes, public []byte, err error) {
	err = x.do(ctx, method, func() error {
		private, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err == nil {
			state, public = private.Bytes(), private.PublicKey().Bytes()
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return state, public, nil
}

// Respond implements ke.Plugin.
func (x *exchange) Respond(ctx context.Context, method uint16, peer []byte) (public []byte, shared secret.Bytes, err error) {
	err = x.do(ctx, method, func() error {
		private, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		public = private.PublicKey().Bytes()
		shared, err = agree(private, peer)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return public, shared, nil
}

// Finish implements ke.Plugin.
func (x *exchange) Finish(ctx context.Context, method uint16, state secret.Bytes, peer []byte) (shared secret.Bytes, err error) {
	err = x.do(ctx, method, func() error {
		private, err := ecdh.X25519().NewPrivateKey(state)
		if err != nil {
			return fmt.Errorf("accelerator: state: %w", err)
		}
		shared, err = agree(private, peer)
		return err
	})
	if err != nil {
		return nil, err
	}
	return shared, nil
}

func (x *exchange) do(ctx context.Context, method uint16, run func() error) error {
	if method != curve25519 {
		return fmt.Errorf("accelerator: method %d: %w", method, sdk.ErrUnsupported)
	}
	return x.engine.do(ctx, run)
}

// agree refuses what the peer must not send: a wrong size, and a point that gives the all-zero secret.
func agree(private *ecdh.PrivateKey, peer []byte) (secret.Bytes, error) {
	public, err := ecdh.X25519().NewPublicKey(peer)
	if err != nil {
		return nil, fmt.Errorf("accelerator: %w: %w", sdk.ErrInvalid, err)
	}
	shared, err := private.ECDH(public)
	if err != nil {
		return nil, fmt.Errorf("accelerator: %w: %w", sdk.ErrInvalid, err)
	}
	return shared, nil
}
