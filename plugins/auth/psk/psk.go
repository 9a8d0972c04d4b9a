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

// Plugin implements auth.Plugin, auth.Authenticator and sdk.Canary. It has no state.
type Plugin struct{}

// New returns the plugin. It takes no configuration.
func New() *Plugin { return &Plugin{} }

// Methods implements auth.Plugin.
func (*Plugin) Methods() []string { return []string{Auth} }

// Sign implements auth.Plugin.
func (*Plugin) Sign(ctx context.Context, host auth.Host, s auth.Sign) (auth.Signed, error) {
	if err := checkAuth(s.Auth); err != nil {
		return auth.Signed{}, err
	}
	proofs, err := prove(ctx, host, query(s.Local, s.Remote), mac(s.PRF, s.Octets))
	if err != nil {
		return auth.Signed{}, err
	}
	return auth.Signed{Method: SharedKeyMIC, Data: proofs[0]}, nil
}

// Verify implements auth.Plugin.
func (*Plugin) Verify(ctx context.Context, host auth.Host, v auth.Verify) (auth.Identity, error) {
	if err := checkVerify(v); err != nil {
		return auth.Identity{}, err
	}
	proofs, err := prove(ctx, host, query(v.Local, v.Remote), mac(v.PRF, v.Octets))
	if err != nil {
		return auth.Identity{}, err
	}
	return compare(v, proofs[0])
}

// Authenticate implements auth.Authenticator with one call to the host. Both requests are about one pair of identities.
func (p *Plugin) Authenticate(ctx context.Context, host auth.Host, v auth.Verify, s auth.Sign) (auth.Identity, auth.Signed, error) {
	if err := errors.Join(checkVerify(v), checkAuth(s.Auth)); err != nil {
		return auth.Identity{}, auth.Signed{}, err
	}
	if !same(v.Local, s.Local) || !same(v.Remote, s.Remote) {
		return auth.Identity{}, auth.Signed{}, errors.New("psk: verify and sign name different identities")
	}
	proofs, err := prove(ctx, host, query(v.Local, v.Remote), mac(v.PRF, v.Octets), mac(s.PRF, s.Octets))
	if err != nil {
		return auth.Identity{}, auth.Signed{}, err
	}
	who, err := compare(v, proofs[0])
	if err != nil {
		// Our proof goes to nobody who did not prove first: the key could be guessed from it offline.
		secret.Bytes(proofs[1]).Wipe()
		return auth.Identity{}, auth.Signed{}, err
	}
	return who, auth.Signed{Method: SharedKeyMIC, Data: proofs[1]}, nil
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
type echo struct{}

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

// prove asks the host and checks the shape of its answer: an empty proof must never be compared with anything.
func prove(ctx context.Context, host auth.Host, q cred.Query, macs ...cred.MAC) ([][]byte, error) {
	proofs, err := host.MAC(ctx, q, macs)
	if err != nil {
		return nil, fmt.Errorf("psk: key for %v with %v: %w", q.Remote, q.Local, err)
	}
	if len(proofs) != len(macs) {
		return nil, fmt.Errorf("psk: the credential store gave %d proofs instead of %d", len(proofs), len(macs))
	}
	for _, proof := range proofs {
		if len(proof) == 0 {
			return nil, errors.New("psk: the credential store gave an empty proof")
		}
	}
	return proofs, nil
}

// compare takes constant time and forgets what would have been right.
func compare(v auth.Verify, want secret.Bytes) (auth.Identity, error) {
	defer want.Wipe()
	if !want.Equal(v.Data) {
		return auth.Identity{}, fmt.Errorf("psk: the proof of %v is wrong: the two sides have different pre-shared keys: %w", v.Remote, sdk.ErrRefused)
	}
	return v.Remote, nil
}
