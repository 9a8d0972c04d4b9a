package curve

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/cloudflare/circl/dh/x25519"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/ke"
	"github.com/parley-ike/parley/sdk/secret"
)

// Curve25519 is the IANA key exchange method and IKEv1 group number (RFC 8031 section 5).
const Curve25519 = 31

// size is the octets of a private value, a public value and the shared secret alike (RFC 7748 section 5).
const size = 32

// Plugin implements ke.Plugin and sdk.Canary. It has no state.
type Plugin struct{}

// New returns the plugin. It takes no configuration.
func New() *Plugin { return &Plugin{} }

// Methods implements ke.Plugin.
func (*Plugin) Methods() []ke.Method {
	return []ke.Method{{
		ID: Curve25519, IKEv1Group: Curve25519, Name: "CURVE25519",
		PublicLen: size, ResponseLen: size, SecretLen: size,
	}}
}

// Initiate implements ke.Plugin. The state is the private value.
func (*Plugin) Initiate(ctx context.Context, method uint16) (secret.Bytes, []byte, error) {
	if err := check(ctx, method); err != nil {
		return nil, nil, err
	}
	private, public := generate()
	return private[:], public[:], nil
}

// Respond implements ke.Plugin.
func (*Plugin) Respond(ctx context.Context, method uint16, peer []byte) ([]byte, secret.Bytes, error) {
	if err := check(ctx, method); err != nil {
		return nil, nil, err
	}
	private, public := generate()
	defer clear(private[:])
	shared, err := agree(private, peer)
	if err != nil {
		return nil, nil, err
	}
	return public[:], shared, nil
}

// Finish implements ke.Plugin.
func (*Plugin) Finish(ctx context.Context, method uint16, state secret.Bytes, peer []byte) (secret.Bytes, error) {
	if err := check(ctx, method); err != nil {
		return nil, err
	}
	if len(state) != size {
		return nil, fmt.Errorf("curve: the state has %d octets and is none of Initiate, which gives %d", len(state), size)
	}
	private := x25519.Key(state)
	defer clear(private[:])
	return agree(&private, peer)
}

// Canary implements sdk.Canary with the example of RFC 7748 section 6.1.
func (p *Plugin) Canary(ctx context.Context) error {
	shared, err := p.Finish(ctx, Curve25519, unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"),
		unhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"))
	if err != nil {
		return err
	}
	if !bytes.Equal(shared, unhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")) {
		return errors.New("curve: the canary of RFC 7748 section 6.1 gave another secret: do not trust this machine")
	}
	return nil
}

func check(ctx context.Context, method uint16) error {
	if method != Curve25519 {
		return fmt.Errorf("curve: method %d: %w: this plugin does %d (CURVE25519)", method, sdk.ErrUnsupported, Curve25519)
	}
	return ctx.Err()
}

// generate draws a private value: 32 random octets, whose fixed bits are set where it is used (RFC 7748 section 5).
func generate() (private, public *x25519.Key) {
	private, public = new(x25519.Key), new(x25519.Key)
	_, _ = rand.Read(private[:]) // never fails
	x25519.KeyGen(public, private)
	return private, public
}

// agree masks the top bit and accepts non-canonical values, as RFC 8031 section 3.2 demands.
func agree(private *x25519.Key, peer []byte) (secret.Bytes, error) {
	if len(peer) != size {
		return nil, fmt.Errorf("curve: the peer's public value has %d octets instead of %d: %w", len(peer), size, sdk.ErrInvalid)
	}
	public, shared := x25519.Key(peer), new(x25519.Key)
	fine := x25519.Shared(shared, private, &public)
	// A point of low order (RFC 7748 sections 6.1 and 7): the secret would be known to everybody. The library looks at the
	// point; the result, which the RFC names, is the better witness.
	if zero := new(x25519.Key); !fine || subtle.ConstantTimeCompare(shared[:], zero[:]) == 1 {
		return nil, fmt.Errorf("curve: the peer's public value gives the all-zero secret: %w", sdk.ErrInvalid)
	}
	return shared[:], nil
}

// unhex decodes the constants of this file.
func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
