package file

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/parley-ike/parley/plugins/cred/internal/chain"
	"github.com/parley-ike/parley/plugins/cred/internal/container"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/secret"
)

// MaxKeyFile bounds a file with certificates and keys, in octets: all authorities of an operating system are a quarter of that.
const MaxKeyFile = 1 << 20

// privateKey is an entry of the configuration and what was read for it.
type privateKey struct {
	config  Key
	purpose cred.Purpose
	files   watched[*private]
}

// private is a key with its certificates. It never changes.
type private struct {
	ref    cred.Ref
	key    crypto.Signer
	leaf   *x509.Certificate   // nil: a bare key
	issued []*x509.Certificate // all that the file has
}

func newPrivateKey(config Key) *privateKey {
	k := &privateKey{config: config, purpose: purposes[config.Purpose]}
	for _, path := range []string{config.Certificate, config.Key, config.Passphrase} {
		if path != "" {
			k.files.paths = append(k.files.paths, path)
		}
	}
	k.files.load = func([]string) (*private, error) { return k.read() }
	return k
}

// get returns the key, or why there is none.
func (k *privateKey) get(now time.Time) (*private, error) {
	p, err := k.files.get(now)
	if err != nil {
		return nil, fmt.Errorf("cred/file: %w: %w", err, sdk.ErrNoCredential)
	}
	return p, nil
}

// serves tells whether the key is for an identity of ours.
func (k *privateKey) serves(local cred.Identity, p *private) bool {
	switch {
	case local.Type == 0:
		return true
	case k.config.Local.Type != 0:
		return text(cred.Identity(k.config.Local)) == text(local)
	}
	return p.leaf != nil && chain.Has(p.leaf, local)
}

func (k *privateKey) read() (*private, error) {
	passphrase, err := k.passphrase()
	if err != nil {
		return nil, err
	}
	defer passphrase.Wipe()
	var all container.Content
	if k.config.Certificate != "" {
		if all, err = parseFile(k.config.Certificate, k.certificateMode(), passphrase); err != nil {
			return nil, err
		}
		if len(all.Certificates) == 0 {
			return nil, fmt.Errorf("%s: it holds %v and no certificate: name a file with one, or leave file out for a bare key", k.config.Certificate, all)
		}
	}
	if k.config.Key != "" {
		keys, err := parseFile(k.config.Key, check, passphrase)
		if err != nil {
			return nil, err
		}
		if len(keys.Keys) == 0 {
			return nil, fmt.Errorf("%s: it holds %v and no private key: name the file with the key", k.config.Key, keys)
		}
		all.Keys = keys.Keys
	}
	return k.assemble(all)
}

// certificateMode is what a certificate's file must look like: it may hold the key.
func (k *privateKey) certificateMode() func(fs.FileInfo, string) error {
	if k.config.Key == "" {
		return check
	}
	return checkPublic
}

func (k *privateKey) passphrase() (secret.Bytes, error) {
	if k.config.Passphrase == "" {
		return nil, nil
	}
	content, _, err := readFile(k.config.Passphrase, MaxFile, check)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.config.Passphrase, err)
	}
	if line := secret.Bytes(withoutNewline(content)); len(line) > 0 {
		return line, nil
	}
	return nil, fmt.Errorf("%s: it is empty: write the passphrase into it", k.config.Passphrase)
}

func parseFile(path string, check func(fs.FileInfo, string) error, passphrase secret.Bytes) (container.Content, error) {
	content, _, err := readFile(path, MaxKeyFile, check)
	if err != nil {
		return container.Content{}, fmt.Errorf("%s: %w", path, err)
	}
	defer content.Wipe()
	c, err := container.Parse(content, passphrase)
	if err != nil {
		return container.Content{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// assemble finds the certificate of the key and those above it.
func (k *privateKey) assemble(all container.Content) (*private, error) {
	path := k.config.keyFile()
	switch {
	case len(all.Keys) == 0:
		return nil, fmt.Errorf("%s: it holds %v and no private key: name the key's file with key = \"FILE\"", path, all)
	case len(all.Keys) > 1:
		return nil, fmt.Errorf("%s: it holds %d private keys: keep each in a file of its own", path, len(all.Keys))
	}
	key := all.Keys[0]
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	p := &private{key: key, issued: all.Certificates, ref: cred.Ref{ID: k.id(public), Source: path, Public: public}}
	if k.config.Certificate == "" {
		return p, p.fits(k.purpose)
	}
	p.ref.Source = k.config.Certificate
	i := slices.IndexFunc(all.Certificates, func(c *x509.Certificate) bool { return bytes.Equal(c.RawSubjectPublicKeyInfo, public) })
	if i < 0 {
		return nil, fmt.Errorf("%s: the certificate is for another key than the one in %s: name the two that belong together", k.config.Certificate, path)
	}
	p.leaf = all.Certificates[i]
	p.ref.Chain = upwards(p.leaf, all.Certificates)
	return p, p.fits(k.purpose)
}

// id names a key beyond this store: by what it is for, and its fingerprint.
func (k *privateKey) id(public []byte) string {
	sum := sha256.Sum256(public)
	return fmt.Sprintf("%d:%s", k.purpose, hex.EncodeToString(sum[:16]))
}

// upwards orders certificates from the end certificate to the authority, which itself is left out: the peer has it (RFC 4945
// section 3.3.11).
func upwards(leaf *x509.Certificate, all []*x509.Certificate) (chain [][]byte) {
	chain = [][]byte{leaf.Raw}
	for c := leaf; len(chain) < len(all); {
		i := slices.IndexFunc(all, func(up *x509.Certificate) bool {
			return bytes.Equal(up.RawSubject, c.RawIssuer) && !bytes.Equal(up.RawSubject, up.RawIssuer)
		})
		if i < 0 {
			break
		}
		c = all[i]
		chain = append(chain, c.Raw)
	}
	return chain
}

// fits refuses a key that cannot do what it is for.
func (p *private) fits(purpose cred.Purpose) error {
	if _, ok := p.key.(decrypting); purpose == cred.Decryption && !ok {
		return fmt.Errorf("%s: the key is %s, and only RSA decrypts (RFC 2409 section 5.2): name an RSA key", p.ref.Source, kind(p.key))
	}
	return nil
}

// current refuses a certificate of ours that no peer would take, so that the reason is told here.
func (p *private) current(now time.Time) error {
	switch {
	case p.leaf == nil:
	case now.After(p.leaf.NotAfter):
		return errors.New("the certificate expired on " + p.leaf.NotAfter.UTC().Format(time.RFC3339) + ": renew it")
	case now.Before(p.leaf.NotBefore):
		return errors.New("the certificate is not valid before " + p.leaf.NotBefore.UTC().Format(time.RFC3339) + ": is the clock right?")
	}
	return nil
}
