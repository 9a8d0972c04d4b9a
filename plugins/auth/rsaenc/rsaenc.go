package rsaenc

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/secret"
)

// Values of a connection's auth setting that the plugin serves.
const (
	Standard = "rsaenc"         // RFC 2409 section 5.2
	Revised  = "rsaenc-revised" // RFC 2409 section 5.3
)

// maxBodies bounds the bodies of one request: section 5.2 encrypts two.
const maxBodies = 8

// Plugin implements auth.Plugin and auth.Protector. It has no state.
type Plugin struct{}

// New returns the plugin. It takes no configuration.
func New() *Plugin { return &Plugin{} }

// Methods implements auth.Plugin.
func (*Plugin) Methods() []string { return []string{Standard, Revised} }

// Sign implements auth.Plugin: there is nothing to sign.
func (*Plugin) Sign(_ context.Context, _ auth.Host, s auth.Sign) (auth.Signed, error) {
	return auth.Signed{}, unsigned(s.Auth)
}

// Verify implements auth.Plugin: there is no signature.
func (*Plugin) Verify(_ context.Context, _ auth.Host, v auth.Verify) (auth.Identity, error) {
	return auth.Identity{}, unsigned(v.Auth)
}

func unsigned(setting string) error {
	return fmt.Errorf("rsaenc: auth %q proves by decryption, in IKEv1 alone (RFC 2409 sections 5.2 and 5.3): set version = 1, or auth to another method: %w",
		setting, sdk.ErrUnsupported)
}

func check(setting string, bodies int) error {
	switch {
	case setting != Standard && setting != Revised:
		return fmt.Errorf("rsaenc: auth %q is not served: use %q or %q: %w", setting, Standard, Revised, sdk.ErrUnsupported)
	case bodies == 0 || bodies > maxBodies:
		return fmt.Errorf("rsaenc: %d bodies, want 1 to %d: %w", bodies, maxBodies, sdk.ErrInvalid)
	}
	return nil
}

// Protect implements auth.Protector.
func (*Plugin) Protect(ctx context.Context, host auth.Host, p auth.Protect) (auth.Protected, error) {
	if err := check(p.Auth, len(p.Plain)); err != nil {
		return auth.Protected{}, err
	}
	ours, err := find(ctx, host, p.Local)
	if err != nil { // the peer's answer would be for nobody
		return auth.Protected{}, err
	}
	key, used, err := peerKey(ctx, host, p)
	if err != nil {
		return auth.Protected{}, err
	}
	out := auth.Protected{Key: used, Certs: ours[0].Chain}
	for _, body := range p.Plain {
		c, err := encrypt(key, body)
		if err != nil {
			return auth.Protected{}, fmt.Errorf("rsaenc: for %v: %w", p.Remote, err)
		}
		out.Cipher = append(out.Cipher, c)
	}
	return out, nil
}

// peerKey returns the peer's public key as a store vouches for it, and what of it HASH(1) covers: the certificate, if there is one.
func peerKey(ctx context.Context, host auth.Host, p auth.Protect) (*rsa.PublicKey, []byte, error) {
	v, err := host.Trust(ctx, cred.TrustRequest{Chain: p.Certs, Purpose: cred.Decryption, Identity: p.Remote})
	if err != nil {
		return nil, nil, fmt.Errorf("rsaenc: public key of %v: %w", p.Remote, err)
	}
	public, err := x509.ParsePKIXPublicKey(v.Public)
	if err != nil {
		return nil, nil, fmt.Errorf("rsaenc: public key of %v from %s: %w: %w", p.Remote, v.Anchor, err, sdk.ErrInvalid)
	}
	key, ok := public.(*rsa.PublicKey)
	if !ok {
		return nil, nil, fmt.Errorf("rsaenc: public key of %v from %s is no RSA key: only RSA encrypts in IKEv1: %w", p.Remote, v.Anchor, sdk.ErrUnsupported)
	}
	if len(p.Certs) > 0 {
		return key, p.Certs[0], nil
	}
	return key, v.Public, nil
}

// Unprotect implements auth.Protector.
func (*Plugin) Unprotect(ctx context.Context, host auth.Host, u auth.Unprotect) ([]secret.Bytes, error) {
	if err := check(u.Auth, len(u.Cipher)); err != nil {
		return nil, err
	}
	ours, err := find(ctx, host, u.Local)
	if err != nil {
		return nil, err
	}
	ref, err := named(ours, u)
	if err != nil {
		return nil, err
	}
	plain := make([]secret.Bytes, len(u.Cipher))
	for i, c := range u.Cipher {
		plain[i], err = host.Decrypt(ctx, cred.DecryptRequest{Ref: ref.ID, Scheme: cred.RSAPKCS1v15, Data: c})
		if err != nil {
			return nil, fmt.Errorf("rsaenc: %s: %w", ref.Source, err)
		}
	}
	return plain, nil
}

// find returns our keys for decryption, at least one.
func find(ctx context.Context, host auth.Host, local auth.Identity) ([]cred.Ref, error) {
	refs, err := host.Find(ctx, cred.Query{Purpose: cred.Decryption, Local: local})
	if err == nil && len(refs) == 0 {
		err = sdk.ErrNoCredential
	}
	if err != nil {
		return nil, fmt.Errorf("rsaenc: private key for decryption of %v: %w", local, err)
	}
	return refs, nil
}

// named returns the key that HASH(1) names, or the first one without it (RFC 2409 section 5.2).
func named(ours []cred.Ref, u auth.Unprotect) (cred.Ref, error) {
	if len(u.KeyHash) == 0 {
		return ours[0], nil
	}
	for _, ref := range ours {
		if names(u.PRF, u.KeyHash, ref) {
			return ref, nil
		}
	}
	return cred.Ref{}, fmt.Errorf("rsaenc: HASH(1) of the peer names none of our %d keys for decryption: "+
		"give the peer the certificate or public key that is configured here: %w", len(ours), sdk.ErrNoCredential)
}

var errNoKey = errors.New("no RSA key that can encrypt")
