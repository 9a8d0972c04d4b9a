package modp

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/ke"
	"github.com/parley-ike/parley/sdk/secret"
)

// IANA key exchange methods and IKEv1 groups (RFC 2409 section 6.2, RFC 3526).
const (
	MODP1024 = 2
	MODP2048 = 14
	MODP3072 = 15
	MODP4096 = 16
	MODP6144 = 17
	MODP8192 = 18
)

var groups = []*group{
	newGroup(MODP1024, 1024, 256/8, prime1024, generator),
	newGroup(MODP2048, 2048, 256/8, prime2048, generator),
	newGroup(MODP3072, 3072, 280/8, prime3072, generator),
	newGroup(MODP4096, 4096, 328/8, prime4096, generator),
	newGroup(MODP6144, 6144, 376/8, prime6144, generator),
	newGroup(MODP8192, 8192, 400/8, prime8192, generator),
}

// Plugin implements ke.Plugin and sdk.Canary. It has no state of its own.
type Plugin struct{}

// New returns the plugin. It takes no configuration.
func New() *Plugin { return &Plugin{} }

// Methods implements ke.Plugin.
func (*Plugin) Methods() []ke.Method {
	var methods []ke.Method
	for _, g := range groups {
		methods = append(methods, ke.Method{
			ID: g.id, IKEv1Group: g.id, Name: fmt.Sprintf("MODP_%d", g.bits),
			PublicLen: g.size(), ResponseLen: g.size(), SecretLen: g.size(),
		})
	}
	return methods
}

// Initiate implements ke.Plugin. The state is the private exponent.
func (*Plugin) Initiate(ctx context.Context, method uint16) (secret.Bytes, []byte, error) {
	g, err := find(ctx, method)
	if err != nil {
		return nil, nil, err
	}
	x := g.private()
	return x, g.public(x), nil
}

// Respond implements ke.Plugin.
func (*Plugin) Respond(ctx context.Context, method uint16, peer []byte) ([]byte, secret.Bytes, error) {
	g, err := find(ctx, method)
	if err != nil {
		return nil, nil, err
	}
	y, err := g.decode(peer)
	if err != nil {
		return nil, nil, err
	}
	x := g.private()
	defer x.Wipe()
	return g.public(x), g.shared(x, y), nil
}

// Finish implements ke.Plugin.
func (*Plugin) Finish(ctx context.Context, method uint16, state secret.Bytes, peer []byte) (secret.Bytes, error) {
	g, err := find(ctx, method)
	if err != nil {
		return nil, err
	}
	if len(state) != g.exponent {
		return nil, fmt.Errorf("modp: MODP-%d: the state has %d octets and is none of Initiate, which gives %d", g.bits, len(state), g.exponent)
	}
	y, err := g.decode(peer)
	if err != nil {
		return nil, err
	}
	return g.shared(state, y), nil
}

// Canary implements sdk.Canary: 2 to the power of 2048 modulo a prime p of 2048 bits is 2^2048 - p, the two's complement
// of p, as RFC 3526 primes have their top bit set.
func (p *Plugin) Canary(ctx context.Context) error {
	g, err := find(ctx, MODP2048)
	if err != nil {
		return err
	}
	x := make(secret.Bytes, g.exponent)
	x[g.exponent-2] = 2048 >> 8
	if !bytes.Equal(g.public(x), complement(prime2048)) {
		return errors.New("modp: the canary 2^2048 mod p gave another value: do not trust this machine")
	}
	return nil
}

// complement returns 2^n - p of an odd prime with n bits, n a multiple of 8: all bits but the lowest are turned round.
func complement(prime string) []byte {
	b, err := hex.DecodeString(prime)
	if err != nil {
		panic(err)
	}
	for i := range b {
		b[i] = ^b[i]
	}
	b[len(b)-1] |= 1
	return b
}

func find(ctx context.Context, method uint16) (*group, error) {
	for _, g := range groups {
		if g.id == method {
			return g, ctx.Err()
		}
	}
	return nil, fmt.Errorf("modp: method %d: %w: this plugin does %d to %d", method, sdk.ErrUnsupported, MODP2048, MODP8192)
}
