package psk

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/secret"
)

const (
	// Auth is the value of a connection's auth setting that the plugin serves.
	Auth = "psk"
	// SharedKeyMIC is the AUTH method "Shared Key Message Integrity Code" (RFC 7296 section 3.8).
	SharedKeyMIC = 2
)

// Plugin implements auth.Plugin, auth.Authenticator, auth.Questioner, auth.KeyQuestioner and sdk.Canary. It has no state.
type Plugin struct{}

// New returns the plugin. It takes no configuration.
func New() *Plugin { return &Plugin{} }

// Methods implements auth.Plugin.
func (*Plugin) Methods() []string { return []string{Auth} }

// Sign implements auth.Plugin.
func (p *Plugin) Sign(ctx context.Context, host auth.Host, s auth.Sign) (auth.Signed, error) {
	question, err := p.AskToSign(s)
	if err != nil {
		return auth.Signed{}, err
	}
	return question.Ask(ctx, host)
}

// Verify implements auth.Plugin.
func (p *Plugin) Verify(ctx context.Context, host auth.Host, v auth.Verify) (auth.Identity, error) {
	question, err := p.AskToVerify(v)
	if err != nil {
		return auth.Identity{}, err
	}
	return question.Ask(ctx, host)
}

// Authenticate implements auth.Authenticator with one call to the host.
func (p *Plugin) Authenticate(ctx context.Context, host auth.Host, v auth.Verify, s auth.Sign) (auth.Identity, auth.Signed, error) {
	question, err := p.AskToAuthenticate(v, s)
	if err != nil {
		return auth.Identity{}, auth.Signed{}, err
	}
	both, err := question.Ask(ctx, host)
	return both.Remote, both.Signed, err
}

// Canary implements sdk.Canary: a right proof is accepted, a wrong one refused.
func (p *Plugin) Canary(ctx context.Context) error {
	v := auth.Verify{Auth: Auth, Method: SharedKeyMIC, Octets: []byte("canary"), Data: []byte("canary")}
	if _, err := p.Verify(ctx, echo{}, v); err != nil {
		return fmt.Errorf("psk: the canary's right proof was refused: %w", err)
	}
	v.Data = []byte("cat")
	if _, err := p.Verify(ctx, echo{}, v); !errors.Is(err, sdk.ErrRefused) {
		return errors.New("psk: the canary's wrong proof was not refused")
	}
	return nil
}

// echo is the canary's host; its proofs are the data.
type echo struct{ cred.Unsupported }

func (echo) MAC(ctx context.Context, _ cred.Query, macs []cred.MAC) ([][]byte, error) {
	return [][]byte{bytes.Clone(macs[0].Data)}, ctx.Err()
}

func checkAuth(name string) error {
	if name != Auth {
		return fmt.Errorf("psk: auth %q: %w: this plugin does %q", name, sdk.ErrUnsupported, Auth)
	}
	return nil
}

func checkVerify(v auth.Verify) error {
	if err := checkVersion(v.Version); err != nil {
		return err
	}
	if v.Method != SharedKeyMIC {
		return fmt.Errorf("psk: %v authenticates with AUTH method %d%s where the connection wants a pre-shared key (method %d): "+
			"set the peer to a pre-shared key, or auth of the remote to the peer's method: %w",
			v.Remote, v.Method, methodNames[v.Method], SharedKeyMIC, sdk.ErrUnsupported)
	}
	return checkAuth(v.Auth)
}

// methodNames are those of RFC 7296 section 3.8, RFC 4754, RFC 7619 and RFC 7427 that peers mistakenly use.
var methodNames = map[uint8]string{
	1: " (RSA signature)", 9: " (ECDSA, P-256)", 10: " (ECDSA, P-384)", 11: " (ECDSA, P-521)",
	13: " (NULL authentication)", 14: " (digital signature)",
}

func query(local, remote auth.Identity) cred.Query {
	return cred.Query{Purpose: cred.PSK, Local: local, Remote: remote}
}

func mac(prf uint16, octets []byte) cred.MAC {
	return cred.MAC{Scheme: cred.IKEv2Auth, PRF: prf, Data: octets}
}

func same(a, b auth.Identity) bool { return a.Type == b.Type && bytes.Equal(a.Data, b.Data) }

// compare takes constant time and forgets what would have been right.
func compare(v auth.Verify, want secret.Bytes) (auth.Identity, error) {
	defer want.Wipe()
	if !want.Equal(v.Data) {
		return auth.Identity{}, fmt.Errorf("psk: the proof of %v is wrong: the two sides have different pre-shared keys: %w", v.Remote, sdk.ErrRefused)
	}
	return v.Remote, nil
}
