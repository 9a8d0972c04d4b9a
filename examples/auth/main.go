// Command auth is a minimal authentication plugin: pre-shared keys of IKEv2 (RFC 7296 section 2.15). It never sees a key:
// the credential stores of the daemon derive the proof, and it compares.
package main

import (
	"context"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/secret"
	"github.com/parley-ike/parley/sdk/serve"
)

func main() {
	serve.Main(serve.Info{Name: "example-auth", Version: "1.0.0", Vendor: "Example"}, serve.Auth("example", shared{}))
}

type shared struct{}

const (
	setting = "example-psk" // auth = "example-psk" in a connection
	method  = 2             // "Shared Key Message Integrity Code", RFC 7296 section 3.8
)

func (shared) Methods() []string { return []string{setting} }

func (shared) Sign(ctx context.Context, host auth.Host, s auth.Sign) (auth.Signed, error) {
	if s.Auth != setting {
		return auth.Signed{}, fmt.Errorf("example: auth %q: %w", s.Auth, sdk.ErrUnsupported)
	}
	data, err := proof(ctx, host, s.Local, s.Remote, s.PRF, s.Octets)
	if err != nil {
		return auth.Signed{}, err
	}
	return auth.Signed{Method: method, Data: data}, nil
}

func (shared) Verify(ctx context.Context, host auth.Host, v auth.Verify) (auth.Identity, error) {
	if v.Auth != setting || v.Method != method {
		return auth.Identity{}, fmt.Errorf("example: auth %q with AUTH method %d: %w", v.Auth, v.Method, sdk.ErrUnsupported)
	}
	want, err := proof(ctx, host, v.Local, v.Remote, v.PRF, v.Octets)
	if err != nil {
		return auth.Identity{}, err
	}
	if !want.Equal(v.Data) { // in constant time
		return auth.Identity{}, fmt.Errorf("example: the proof of %v is wrong: %w", v.Remote, sdk.ErrRefused)
	}
	return v.Remote, nil
}

// proof asks the credential stores for the whole derivation.
func proof(ctx context.Context, host auth.Host, local, remote auth.Identity, prf uint16, octets []byte) (secret.Bytes, error) {
	sums, err := host.MAC(ctx, cred.Query{Purpose: cred.PSK, Local: local, Remote: remote},
		[]cred.MAC{{Scheme: cred.IKEv2Auth, PRF: prf, Data: octets}})
	if err != nil {
		return nil, fmt.Errorf("example: key for %v: %w", remote, err)
	}
	if len(sums) != 1 || len(sums[0]) == 0 {
		return nil, fmt.Errorf("example: the credential store gave no proof")
	}
	return sums[0], nil
}
