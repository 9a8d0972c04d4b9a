package file

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/secret"
)

// MaxPasswords bounds the users of a configuration, as MaxPSKs does peers.
const MaxPasswords = 100_000

// Password says where the password of a user lies, in a file of the same form as a pre-shared key's.
type Password struct {
	User string `json:"user"`
	File string `json:"file"`          // absolute path
	Own  bool   `json:"own,omitempty"` // we are the user: the password is told; else it is only compared
}

// account is an index key: a password serves one side.
type account struct {
	user string
	own  bool
}

func (a account) String() string {
	if a.own {
		return fmt.Sprintf("the password by which we are user %q", a.user)
	}
	return fmt.Sprintf("a password of user %q", a.user)
}

// indexPasswords checks the entries and puts them in order of their users.
func indexPasswords(config Config) (map[account]*entry, error) {
	if len(config.Passwords) > MaxPasswords {
		return nil, fmt.Errorf("cred/file: %d passwords, at most %d are allowed", len(config.Passwords), MaxPasswords)
	}
	entries := make(map[account]*entry, len(config.Passwords))
	var problems []error
	for n, p := range config.Passwords {
		key := account{p.User, p.Own}
		var err error
		switch {
		case p.User == "" || len(p.User) > cred.MaxUser:
			err = fmt.Errorf("a user's name of %d octets: write 1 to %d", len(p.User), cred.MaxUser)
		case !filepath.IsAbs(p.File):
			err = fmt.Errorf("file %q: the path must be absolute", p.File)
		case entries[key] != nil:
			err = fmt.Errorf("the same user as in %s", entries[key].path)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("cred/file: passwords[%d] (%.*q): %w", n, cred.MaxUser, p.User, err))
			continue
		}
		entries[key] = &entry{path: p.File}
	}
	return entries, errors.Join(problems...)
}

// CheckPassword implements cred.Passwords. Hashes are compared, so that the time does not even tell a password's length.
func (p *Plugin) CheckPassword(ctx context.Context, user string, password secret.Bytes) error {
	return p.withPassword(ctx, account{user: user}, func(stored secret.Bytes) error {
		want, got := sha256.Sum256(stored), sha256.Sum256(password)
		if subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
			return fmt.Errorf("cred/file: the password of user %q is another one: %w", user, sdk.ErrRefused)
		}
		return nil
	})
}

// OwnPassword implements cred.Passwords.
func (p *Plugin) OwnPassword(ctx context.Context, user string) (password secret.Bytes, err error) {
	err = p.withPassword(ctx, account{user: user, own: true}, func(stored secret.Bytes) error {
		password = stored.Clone()
		return nil
	})
	return password, err
}

// withPassword gives a stored password to do, which keeps nothing of it.
func (p *Plugin) withPassword(ctx context.Context, who account, do func(secret.Bytes) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	e := p.passwords[who]
	if e == nil {
		return fmt.Errorf("cred/file: %w: %v is not among %d configured ones", sdk.ErrNoCredential, who, len(p.passwords))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.refreshLocked(p.now()); err != nil {
		return err
	}
	return do(e.keys.psk)
}
