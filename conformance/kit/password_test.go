package kit

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/secret"
)

// registry knows user alice of a peer's and is user bob, and fulfils the contract of passwords but for the fault.
type registry struct {
	cred.Unsupported
	fault string
	own   secret.Bytes
}

func (r *registry) CheckPassword(ctx context.Context, user string, password secret.Bytes) error {
	name, stored := user, "sesame"
	if r.fault == "names folded" {
		name = strings.ToLower(user)
	}
	known := name == "alice" || name == "bob" && r.fault == "one password for both sides"
	same := string(password) == stored
	switch r.fault {
	case "a part is enough":
		same = len(password) > 0 && strings.HasPrefix(stored, string(password))
	case "nulls cut off":
		same = strings.TrimRight(string(password), "\x00") == stored
	case "the password in the error":
		stored = string(password)
	case "no password is good":
		same = same || len(password) == 0
	}
	if err := ctx.Err(); err != nil && r.fault != "context ignored" {
		return err
	}
	switch {
	case !known && r.fault == "unknown is refused":
		return fmt.Errorf("kit: user %q: %w", user, sdk.ErrRefused)
	case !known && r.fault == "nobody named":
		return sdk.ErrNoCredential
	case !known:
		return fmt.Errorf("kit: user %q: %w", user, sdk.ErrNoCredential)
	case !same && r.fault == "the password in the error":
		return fmt.Errorf("kit: %s: %w", stored, sdk.ErrRefused)
	case !same:
		return fmt.Errorf("kit: another password: %w", sdk.ErrRefused)
	}
	return nil
}

func (r *registry) OwnPassword(ctx context.Context, user string) (secret.Bytes, error) {
	switch {
	case ctx.Err() != nil && r.fault != "context ignored":
		return nil, ctx.Err()
	case user == "bob" && r.fault == "no copy":
		return r.own, nil
	case user == "bob" || user == "alice" && r.fault == "everything told":
		return r.own.Clone(), nil
	}
	return nil, fmt.Errorf("kit: user %q: %w", user, sdk.ErrNoCredential)
}

func TestTheSuiteOfPasswordsCatchesFaults(t *testing.T) {
	t.Parallel()
	fixture := func(fault string) PasswordFixture {
		return PasswordFixture{Peer: "alice", Password: secret.Bytes("sesame"), Own: "bob", OwnPassword: secret.Bytes("sesame"), Unknown: "mallory",
			Open: func() cred.Store { return &registry{fault: fault, own: secret.Bytes("sesame")} }}
	}
	Prove(t, PasswordChecks(), fixture, map[string]string{
		"a part is enough":            "a password is good when all of it is the same",
		"nulls cut off":               "a password is good when all of it is the same",
		"no password is good":         "a password is good when all of it is the same",
		"names folded":                "an unknown user is no credential and named",
		"unknown is refused":          "an unknown user is no credential and named",
		"nobody named":                "an unknown user is no credential and named",
		"everything told":             "a password serves one side",
		"one password for both sides": "a password serves one side",
		"no copy":                     "our password belongs to the caller",
		"the password in the error":   "no error shows a password",
		"context ignored":             "a call whose context ended is not performed",
	})
}
