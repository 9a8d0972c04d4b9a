package file

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/secret"
	"github.com/parley-ike/parley/sdk/serve"
)

func password(t *testing.T, user, word string, own bool) Password {
	t.Helper()
	path := filepath.Join(t.TempDir(), user+".pass")
	write(t, path, word)
	return Password{User: user, File: path, Own: own}
}

func withPasswords(t *testing.T, all ...Password) *Plugin {
	t.Helper()
	p, err := New(Config{Passwords: all})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFileConformsToTheContractOfPasswords(t *testing.T) {
	t.Parallel()
	alice, bob := password(t, "alice", "open sesame\n", false), password(t, "bob", "0x6c6574206d6520696e", true)
	kit.Passwords(t, kit.PasswordFixture{Peer: "alice", Password: secret.Bytes("open sesame"), Own: "bob", OwnPassword: secret.Bytes("let me in"),
		Unknown: "mallory", Open: func() cred.Store { return withPasswords(t, alice, bob) }})
}

func TestAPasswordThatChangedIsReadAgain(t *testing.T) {
	t.Parallel()
	alice := password(t, "alice", "old", false)
	p := withPasswords(t, alice)
	now := time.Now()
	p.now = func() time.Time { return now }
	if err := p.CheckPassword(t.Context(), "alice", secret.Bytes("old")); err != nil {
		t.Fatal(err)
	}
	write(t, alice.File, "a new one")
	now = now.Add(2 * pollInterval)
	if err := p.CheckPassword(t.Context(), "alice", secret.Bytes("old")); !errors.Is(err, sdk.ErrRefused) {
		t.Errorf("the old password gave %v", err)
	}
	if err := p.CheckPassword(t.Context(), "alice", secret.Bytes("a new one")); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(alice.File, 0o640); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * pollInterval)
	if err := p.CheckPassword(t.Context(), "alice", secret.Bytes("a new one")); !errors.Is(err, sdk.ErrNoCredential) || !strings.Contains(err.Error(), "chmod 0600") {
		t.Errorf("a file that others can read gave %v", err)
	}
}

func TestPasswordsOfABadConfigurationAreRefused(t *testing.T) {
	t.Parallel()
	p := withPasswords(t, password(t, "alice", "sesame", false))
	for text, want := range map[string]string{
		`{"passwords":[{"user":"","file":"/a"}]}`:                                 "a user's name of 0 octets",
		`{"passwords":[{"user":"a","file":"a"}]}`:                                 "must be absolute",
		`{"passwords":[{"user":"a","file":"/a"},{"user":"a","file":"/b"}]}`:       "the same user as in /a",
		`{"passwords":[{"user":"` + strings.Repeat("a", 257) + `","file":"/a"}]}`: "a user's name of 257 octets",
	} {
		if err := p.Configure(t.Context(), serve.Env{}, []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	if problems := p.Validate([]byte(`{"passwords":[{"user":"a","file":"/nowhere/a"},{"user":"a","file":"/nowhere/b","own":true}]}`)); len(problems) != 2 {
		t.Errorf("problems %q", problems)
	}
	if err := p.CheckPassword(t.Context(), "alice", secret.Bytes("sesame")); err != nil {
		t.Errorf("after refused configurations: %v", err)
	}
}
