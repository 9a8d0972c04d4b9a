package kit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/secret"
)

// PasswordFixture is what the suite of stores with passwords works with: a peer's user and one of ours, of different names.
type PasswordFixture struct {
	Open        func() cred.Store // another instance over the same credentials
	Peer        string            // a user whose password is compared
	Password    secret.Bytes      // that of Peer
	Own         string            // a user that we are; "": the store has none
	OwnPassword secret.Bytes
	Unknown     string // whom the store does not know
}

// Passwords runs every check of the contract of passwords.
func Passwords(t *testing.T, f PasswordFixture) {
	t.Helper()
	Run(t, PasswordChecks(), f)
}

// PasswordChecks returns the checks of cred.Passwords.
func PasswordChecks() []Check[PasswordFixture] {
	return []Check[PasswordFixture]{
		{"a password is good when all of it is the same", "sdk/cred Passwords", passwordCompared},
		{"an unknown user is no credential and named", "sdk/cred Passwords", passwordUnknown},
		{"a password serves one side", "sdk/cred Passwords", passwordOneSide},
		{"our password belongs to the caller", "sdk/cred Passwords", passwordOwned},
		{"no error shows a password", "sdk errors", passwordHidden},
		{"a call whose context ended is not performed", "sdk/cred Plugin", passwordCanceled},
	}
}

func passwordCompared(ctx context.Context, f PasswordFixture) error {
	s := f.Open()
	if err := s.CheckPassword(ctx, f.Peer, f.Password.Clone()); err != nil {
		return fmt.Errorf("the password of %q: %w", f.Peer, err)
	}
	errs := []error{WantError("no password", s.CheckPassword(ctx, f.Peer, nil), sdk.ErrRefused)}
	for i := range f.Password {
		other := f.Password.Clone()
		other[i] ^= 1
		errs = append(errs, WantError(fmt.Sprintf("a password with another octet %d", i), s.CheckPassword(ctx, f.Peer, other), sdk.ErrRefused))
	}
	shorter, longer := f.Password[:len(f.Password)-1].Clone(), append(f.Password.Clone(), 'x')
	zero := append(f.Password.Clone(), 0)
	for what, p := range map[string]secret.Bytes{"a shorter password": shorter, "a longer password": longer, "a password with a null behind it": zero} {
		errs = append(errs, WantError(what, s.CheckPassword(ctx, f.Peer, p), sdk.ErrRefused))
	}
	return errors.Join(errs...)
}

func passwordUnknown(ctx context.Context, f PasswordFixture) error {
	s := f.Open()
	check := s.CheckPassword(ctx, f.Unknown, f.Password.Clone())
	_, own := s.OwnPassword(ctx, f.Unknown)
	upper := s.CheckPassword(ctx, strings.ToUpper(f.Peer), f.Password.Clone())
	if check == nil || !strings.Contains(check.Error(), f.Unknown) {
		return fmt.Errorf("the error does not name user %q: %w", f.Unknown, check)
	}
	return errors.Join(WantError("an unknown user", check, sdk.ErrNoCredential), WantError("a password of ours that there is not", own, sdk.ErrNoCredential),
		WantError("the user's name in capitals", upper, sdk.ErrNoCredential))
}

func passwordOneSide(ctx context.Context, f PasswordFixture) error {
	s := f.Open()
	_, told := s.OwnPassword(ctx, f.Peer)
	errs := WantError("a peer's password asked for", told, sdk.ErrNoCredential)
	if f.Own != "" {
		errs = errors.Join(errs, WantError("a peer that is who we are", s.CheckPassword(ctx, f.Own, f.OwnPassword.Clone()), sdk.ErrNoCredential))
	}
	return errs
}

func passwordOwned(ctx context.Context, f PasswordFixture) error {
	if f.Own == "" {
		return Skip("the store tells no password")
	}
	s := f.Open()
	for range 2 { // the second time after the caller has wiped it
		got, err := s.OwnPassword(ctx, f.Own)
		if err != nil {
			return err
		}
		if !got.Equal(f.OwnPassword) {
			return fmt.Errorf("the password of %q is another one", f.Own)
		}
		got.Wipe()
	}
	return nil
}

func passwordHidden(ctx context.Context, f PasswordFixture) error {
	s := f.Open()
	wrong := append(f.Password.Clone(), "wrong"...)
	_, told := s.OwnPassword(ctx, f.Peer)
	for _, err := range []error{s.CheckPassword(ctx, f.Peer, wrong), s.CheckPassword(ctx, f.Unknown, wrong), told} {
		if err != nil && strings.Contains(err.Error(), string(f.Password)) {
			return errors.New("an error shows a password")
		}
	}
	return nil
}

func passwordCanceled(ctx context.Context, f PasswordFixture) error {
	ended, end := context.WithCancel(ctx)
	end()
	s := f.Open()
	errs := []error{s.CheckPassword(ended, f.Peer, f.Password.Clone())}
	if f.Own != "" {
		_, err := s.OwnPassword(ended, f.Own)
		errs = append(errs, err)
	}
	if slices.Contains(errs, nil) {
		return errors.New("a call was performed although its context had ended")
	}
	return nil
}
