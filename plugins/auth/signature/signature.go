package signature

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
)

// Auth is the value of a connection's auth setting that the plugin serves.
const Auth = "signature"

// Plugin implements auth.Plugin, auth.Authenticator and sdk.Canary. It has no state.
type Plugin struct{}

// New returns the plugin. It takes no configuration.
func New() *Plugin { return &Plugin{} }

// Methods implements auth.Plugin.
func (*Plugin) Methods() []string { return []string{Auth} }

// Sign implements auth.Plugin.
func (*Plugin) Sign(ctx context.Context, host auth.Host, s auth.Sign) (auth.Signed, error) {
	return sign(ctx, host, s, algorithm{})
}

// Verify implements auth.Plugin.
func (*Plugin) Verify(ctx context.Context, host auth.Host, v auth.Verify) (auth.Identity, error) {
	_, err := verify(ctx, host, v)
	if err != nil {
		return auth.Identity{}, err
	}
	return v.Remote, nil
}

// Authenticate implements auth.Authenticator: what the peer signs with, it also verifies.
func (*Plugin) Authenticate(ctx context.Context, host auth.Host, v auth.Verify, s auth.Sign) (auth.Identity, auth.Signed, error) {
	used, err := verify(ctx, host, v)
	if err != nil {
		return auth.Identity{}, auth.Signed{}, err
	}
	signed, err := sign(ctx, host, s, used)
	if err != nil {
		return auth.Identity{}, auth.Signed{}, err
	}
	return v.Remote, signed, nil
}

func checkAuth(name string) error {
	if name != Auth {
		return fmt.Errorf("signature: auth %q: %w: this plugin does %q", name, sdk.ErrUnsupported, Auth)
	}
	return nil
}

// refused is an error that says why the peer's proof does not convince.
func refused(who auth.Identity, format string, args ...any) error {
	return fmt.Errorf("signature: %v: %s: %w", who, fmt.Sprintf(format, args...), sdk.ErrRefused)
}

// distrust says why nobody vouches for a peer. That no store knows the issuer, or the key, is the peer's failure: it has to show one
// that we know. What may pass stays what it is.
func distrust(v auth.Verify, err error) error {
	if !errors.Is(err, sdk.ErrNoCredential) && !errors.Is(err, sdk.ErrInvalid) {
		return fmt.Errorf("signature: %w", err)
	}
	if len(v.Certs) == 0 {
		return refused(v.Remote, "the peer sent no certificate, and no public key is configured for it: let it send one "+
			`(strongSwan: send_cert = always), or add credentials { public_key %q { file = "PEER.pub" } }`, v.Remote)
	}
	return refused(v.Remote, "%v", err)
}
