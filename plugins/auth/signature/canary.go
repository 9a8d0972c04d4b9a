package signature

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
)

// Canary implements sdk.Canary: a right signature is accepted, a wrong one refused.
func (p *Plugin) Canary(ctx context.Context) error {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	s := auth.Sign{Auth: Auth, Octets: []byte("canary"), PeerHashes: []uint16{cred.HashIdentity}}
	signed, err := p.Sign(ctx, canary{key: key}, s)
	if err != nil {
		return fmt.Errorf("signature: the canary could not sign: %w", err)
	}
	v := auth.Verify{Auth: Auth, Method: signed.Method, Octets: s.Octets, Data: signed.Data}
	if _, err := p.Verify(ctx, canary{key: key}, v); err != nil {
		return fmt.Errorf("signature: the canary's right signature was refused: %w", err)
	}
	v.Octets = []byte("cat")
	if _, err := p.Verify(ctx, canary{key: key}, v); !errors.Is(err, sdk.ErrRefused) {
		return errors.New("signature: the canary's wrong signature was not refused")
	}
	return nil
}

// canary is a host with a key that everybody knows.
type canary struct {
	cred.Unsupported
	key ed25519.PrivateKey
}

func (c canary) public() []byte {
	der, _ := x509.MarshalPKIXPublicKey(c.key.Public()) // it fails for no key of this type
	return der
}

func (c canary) Find(ctx context.Context, _ cred.Query) ([]cred.Ref, error) {
	return []cred.Ref{{ID: "canary", Source: "canary", Public: c.public()}}, ctx.Err()
}

func (c canary) Sign(ctx context.Context, r cred.SignRequest) ([]byte, error) {
	return ed25519.Sign(c.key, r.Data), ctx.Err()
}

func (c canary) Trust(ctx context.Context, _ cred.TrustRequest) (cred.Verdict, error) {
	return cred.Verdict{Public: c.public()}, ctx.Err()
}
