package ecp

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/ke"
	"github.com/parley-ike/parley/sdk/secret"
)

// IANA key exchange methods and IKEv1 groups (RFC 5903 section 3).
const (
	P256 = 19
	P384 = 20
	P521 = 21
)

// uncompressed is the first octet of a point in the form of SEC 1, which IKE leaves out.
const uncompressed = 4

// group is one curve; size is the octets of one coordinate (RFC 5903 section 7).
type group struct {
	id    uint16
	name  string
	curve ecdh.Curve
	size  int
}

var groups = []group{
	{P256, "ECP_256", ecdh.P256(), 32},
	{P384, "ECP_384", ecdh.P384(), 48},
	{P521, "ECP_521", ecdh.P521(), 66},
}

// Plugin implements ke.Plugin and sdk.Canary. It has no state.
type Plugin struct{}

// New returns the plugin. It takes no configuration.
func New() *Plugin { return &Plugin{} }

// Methods implements ke.Plugin.
func (*Plugin) Methods() []ke.Method {
	var methods []ke.Method
	for _, g := range groups {
		methods = append(methods, ke.Method{
			ID: g.id, IKEv1Group: g.id, Name: g.name,
			PublicLen: 2 * g.size, ResponseLen: 2 * g.size, SecretLen: g.size,
		})
	}
	return methods
}

// Initiate implements ke.Plugin. The state is the private value, of the size of a coordinate.
func (*Plugin) Initiate(ctx context.Context, method uint16) (secret.Bytes, []byte, error) {
	g, err := find(ctx, method)
	if err != nil {
		return nil, nil, err
	}
	private, err := g.generate()
	if err != nil {
		return nil, nil, err
	}
	return private.Bytes(), encode(private.PublicKey()), nil
}

// Respond implements ke.Plugin.
func (*Plugin) Respond(ctx context.Context, method uint16, peer []byte) ([]byte, secret.Bytes, error) {
	g, err := find(ctx, method)
	if err != nil {
		return nil, nil, err
	}
	public, err := g.decode(peer)
	if err != nil {
		return nil, nil, err
	}
	private, err := g.generate()
	if err != nil {
		return nil, nil, err
	}
	shared, err := g.agree(private, public)
	return encode(private.PublicKey()), shared, err
}

// Finish implements ke.Plugin.
func (*Plugin) Finish(ctx context.Context, method uint16, state secret.Bytes, peer []byte) (secret.Bytes, error) {
	g, err := find(ctx, method)
	if err != nil {
		return nil, err
	}
	private, err := g.curve.NewPrivateKey(state)
	if err != nil {
		return nil, fmt.Errorf("ecp: %s: the state of %d octets is none of Initiate", g.name, len(state))
	}
	public, err := g.decode(peer)
	if err != nil {
		return nil, err
	}
	return g.agree(private, public)
}

func find(ctx context.Context, method uint16) (group, error) {
	for _, g := range groups {
		if g.id == method {
			return g, ctx.Err()
		}
	}
	return group{}, fmt.Errorf("ecp: method %d: %w: this plugin does %d, %d and %d", method, sdk.ErrUnsupported, P256, P384, P521)
}

func (g group) generate() (*ecdh.PrivateKey, error) {
	private, err := g.curve.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("ecp: %s: make a private value: %w", g.name, err)
	}
	return private, nil
}

// encode gives x and y, padded (RFC 5903 section 7).
func encode(public *ecdh.PublicKey) []byte { return public.Bytes()[1:] }

// decode checks that the peer's value is a point of the curve (RFC 6989 section 2.3). The point at infinity has no
// encoding in IKE.
func (g group) decode(peer []byte) (*ecdh.PublicKey, error) {
	if len(peer) != 2*g.size {
		return nil, fmt.Errorf("ecp: %s: the peer's public value has %d octets instead of %d: %w", g.name, len(peer), 2*g.size, sdk.ErrInvalid)
	}
	public, err := g.curve.NewPublicKey(append([]byte{uncompressed}, peer...))
	if err != nil {
		return nil, fmt.Errorf("ecp: %s: the peer's public value is no point of the curve: %w", g.name, sdk.ErrInvalid)
	}
	return public, nil
}

// agree gives the x coordinate (RFC 5903 section 7).
func (g group) agree(private *ecdh.PrivateKey, public *ecdh.PublicKey) (secret.Bytes, error) {
	shared, err := private.ECDH(public)
	if err != nil {
		return nil, fmt.Errorf("ecp: %s: %w: %w", g.name, sdk.ErrInvalid, err)
	}
	return shared, nil
}
