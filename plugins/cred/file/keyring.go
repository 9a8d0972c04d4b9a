package file

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-ike/parley/plugins/cred/internal/chain"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/cred/rsaes"
	"github.com/parley-ike/parley/sdk/secret"
)

// keyring is everything of a configuration but the pre-shared keys. Its lists never change; what lies in the files may.
type keyring struct {
	keys    []*privateKey
	publics []*publicKey
	trusted authorities
}

// decrypting are the keys that decrypt.
type decrypting = *rsa.PrivateKey

func newKeyring(c Config) (*keyring, error) {
	if err := c.checkKeys(); err != nil {
		return nil, err
	}
	r := &keyring{}
	for _, k := range c.Keys {
		r.keys = append(r.keys, newPrivateKey(k))
	}
	for _, a := range c.Authorities {
		r.trusted.entries = append(r.trusted.entries, newAuthority(a))
	}
	for _, p := range c.PublicKeys {
		r.publics = append(r.publics, newPublicKey(p))
	}
	return r, nil
}

// problems reads every file and returns what is wrong, sorted.
func (r *keyring) problems(now time.Time) (all []string) {
	note := func(err error) {
		if err != nil {
			all = append(all, err.Error())
		}
	}
	for _, k := range r.keys {
		_, err := r.open(k, now)
		note(err)
	}
	for _, p := range r.publics {
		_, err := p.get(now)
		note(err)
	}
	for _, err := range r.trusted.problems(now) {
		note(err)
	}
	slices.Sort(all)
	return all
}

// open returns a key that is bound to one purpose, in its files and in every copy of them.
func (r *keyring) open(k *privateKey, now time.Time) (*private, error) {
	p, err := k.get(now)
	if err != nil {
		return nil, err
	}
	for _, other := range r.keys {
		if other.purpose == k.purpose {
			continue
		}
		if twin, err := other.get(now); err == nil && bytes.Equal(twin.ref.Public, p.ref.Public) {
			return nil, fmt.Errorf("cred/file: %w: %w", errTwoPurposes(k.config.keyFile(), other.config.keyFile()), sdk.ErrNoCredential)
		}
	}
	return p, nil
}

// find returns the keys of ours for a query: those that the peer's authorities issued first.
func (r *keyring) find(q cred.Query, now time.Time) (refs []cred.Ref, err error) {
	var later []cred.Ref
	var problems []error
	for _, k := range r.keys {
		if k.purpose != q.Purpose {
			continue
		}
		p, err := r.open(k, now)
		if err != nil {
			if k.config.Local.Type == 0 || q.Local.Type == 0 || text(cred.Identity(k.config.Local)) == text(q.Local) {
				problems = append(problems, err)
			}
			continue
		}
		switch err := p.current(now); {
		case !k.serves(q.Local, p):
		case err != nil:
			problems = append(problems, fmt.Errorf("cred/file: %s: %w: %w", p.ref.Source, err, sdk.ErrNoCredential))
		case r.wanted(p, q.Issuers, now):
			refs = append(refs, p.ref)
		default:
			later = append(later, p.ref)
		}
	}
	if refs = append(refs, later...); len(refs) == 0 {
		return nil, noKey(q, problems)
	}
	return refs, nil
}

func noKey(q cred.Query, problems []error) error {
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	if q.Purpose == cred.Decryption {
		return fmt.Errorf("cred/file: no private key for decryption for %s: add credentials { certificate \"IDENTITY\" { file = \"FILE\" key = \"FILE\" purpose = \"decryption\" } }: %w", chain.Show(q.Local), sdk.ErrNoCredential)
	}
	return fmt.Errorf("cred/file: no certificate for %s: add credentials { certificate \"IDENTITY\" { file = \"FILE\" key = \"FILE\" } }: %w", chain.Show(q.Local), sdk.ErrNoCredential)
}

// wanted tells whether a key's certificates lead to one of the authorities that the peer named.
func (r *keyring) wanted(p *private, issuers [][]byte, now time.Time) bool {
	if len(issuers) == 0 {
		return false
	}
	named := func(hash []byte) bool {
		return slices.ContainsFunc(issuers, func(i []byte) bool { return bytes.Equal(i, hash) })
	}
	for _, c := range p.issued {
		above := r.trusted.get(now).Above(c)
		if c != p.leaf && named(chain.KeyHash(c)) || slices.ContainsFunc(above, named) {
			return true
		}
	}
	return false
}

// byRef returns the key that find gave a reference to.
func (r *keyring) byRef(ref string, purpose cred.Purpose, now time.Time) (*private, error) {
	for _, k := range r.keys {
		if k.purpose != purpose {
			continue
		}
		if p, err := r.open(k, now); err == nil && p.ref.ID == ref {
			return p, nil
		}
	}
	return nil, fmt.Errorf("cred/file: no key %q for this purpose here any more: %w", ref[:min(len(ref), cred.MaxIdentityText)], sdk.ErrNoCredential)
}

func (r *keyring) sign(q cred.SignRequest, now time.Time) ([]byte, error) {
	p, err := r.byRef(q.Ref, cred.Signature, now)
	if err != nil {
		return nil, err
	}
	signature, err := sign(p.key, q)
	if err != nil {
		return nil, fmt.Errorf("cred/file: %s: %w", p.ref.Source, err)
	}
	return signature, nil
}

func (r *keyring) decrypt(q cred.DecryptRequest, now time.Time) (secret.Bytes, error) {
	if q.Scheme != cred.RSAPKCS1v15 {
		return nil, fmt.Errorf("cred/file: decryption scheme %d: %w: this store does %d (RSAES-PKCS1-v1_5)", q.Scheme, sdk.ErrUnsupported, cred.RSAPKCS1v15)
	}
	p, err := r.byRef(q.Ref, cred.Decryption, now)
	if err != nil {
		return nil, err
	}
	plain, err := rsaes.Decrypt(p.key.(decrypting), q.Data)
	if err != nil {
		return nil, fmt.Errorf("cred/file: %s: %w", p.ref.Source, err)
	}
	return plain, nil
}
