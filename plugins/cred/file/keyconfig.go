package file

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/parley-ike/parley/sdk/cred"
)

// MaxKeys bounds each list of certificates, keys and authorities: a gateway has a few, a test of many tenants some hundreds.
const MaxKeys = 1000

// Key is a private key of ours, with its certificates if it has any.
type Key struct {
	Local       Identity `json:"local"`                 // ours; type 0: those of the certificate
	Certificate string   `json:"certificate,omitempty"` // absolute path: the certificate and those above it, or PKCS#12 with everything
	Key         string   `json:"key,omitempty"`         // absolute path; "": it lies in Certificate
	Passphrase  string   `json:"passphrase,omitempty"`  // absolute path of a file with it
	Purpose     string   `json:"purpose,omitempty"`     // "signature", which is the default, or "decryption"
	Name        string   `json:"name,omitempty"`        // for people
}

// Authority is what peers' certificates may lead to.
type Authority struct {
	Path      string `json:"path"`                 // absolute, of a file or of a folder with *.pem, *.crt, *.cer and *.der
	AllowWeak bool   `json:"allow_weak,omitempty"` // RSA with less than 2048 bits is good enough
	Name      string `json:"name,omitempty"`       // for people
}

// PublicKey is the key of one peer, which is trusted without an authority.
type PublicKey struct {
	Remote  Identity `json:"remote"`
	File    string   `json:"file"`              // absolute path: a public key, or a certificate of which nothing but the key counts
	Purpose string   `json:"purpose,omitempty"` // as that of Key, what the peer does with its private key
	Name    string   `json:"name,omitempty"`    // for people
}

// purposes are the settings that bind a key.
var purposes = map[string]cred.Purpose{"": cred.Signature, "signature": cred.Signature, "decryption": cred.Decryption}

// checkKeys returns what is wrong with the lists of keys, without looking at files.
func (c Config) checkKeys() error {
	var problems []error
	fail := func(list string, n int, name string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("cred/file: %s[%d] (%s): %w", list, n, name, err))
		}
	}
	for list, n := range map[string]int{"keys": len(c.Keys), "authorities": len(c.Authorities), "public_keys": len(c.PublicKeys)} {
		if n > MaxKeys {
			return fmt.Errorf("cred/file: %d %s, at most %d are allowed", n, list, MaxKeys)
		}
	}
	bound := map[string]cred.Purpose{}
	for n, k := range c.Keys {
		fail("keys", n, k.Name, errors.Join(k.check(), k.bind(bound)))
	}
	for n, a := range c.Authorities {
		fail("authorities", n, a.Name, checkPaths(a.Path))
	}
	for n, p := range c.PublicKeys {
		fail("public_keys", n, p.Name, p.check())
	}
	return errors.Join(problems...)
}

func (k Key) check() error {
	switch {
	case k.Key == "" && k.Certificate == "":
		return errors.New("neither a certificate nor a key is named")
	case k.Certificate == "" && k.Local.Type == 0:
		return errors.New("a key without a certificate needs the identity that it is for")
	}
	return errors.Join(checkPaths(k.Certificate, k.Key, k.Passphrase), checkPurpose(k.Purpose), checkIdentity(k.Local))
}

// bind refuses one file for two purposes; copies are found when they are read.
func (k Key) bind(bound map[string]cred.Purpose) error {
	path := k.keyFile()
	was, ok := bound[path]
	if bound[path] = purposes[k.Purpose]; ok && was != bound[path] {
		return errTwoPurposes(path, path)
	}
	return nil
}

// keyFile is where the private key lies.
func (k Key) keyFile() string {
	if k.Key != "" {
		return k.Key
	}
	return k.Certificate
}

// errTwoPurposes: RFC 2409 section 5.2 lets one key sign and decrypt, but then whoever sees how ciphertexts are answered forges
// signatures with it (Felsch et al., The Dangers of Key Reuse, USENIX Security 2018).
func errTwoPurposes(one, other string) error {
	return fmt.Errorf("the key in %s is for signatures and for decryption (as in %s): each needs a key of its own, because decryptions help to forge signatures", one, other)
}

func (p PublicKey) check() error {
	if p.Remote.Type == 0 {
		return errors.New("a public key needs the identity of the peer that has it")
	}
	return errors.Join(checkPaths(p.File), checkPurpose(p.Purpose), checkIdentity(p.Remote))
}

func checkPurpose(name string) error {
	if _, ok := purposes[name]; !ok {
		return fmt.Errorf("purpose %q: want signature or decryption", name)
	}
	return nil
}

func checkPaths(paths ...string) error {
	for _, path := range paths {
		if path != "" && !filepath.IsAbs(path) {
			return fmt.Errorf("file %q: the path must be absolute", path)
		}
	}
	return nil
}

func checkIdentity(id Identity) error {
	if (id.Type == 0) != (len(id.Data) == 0) {
		return fmt.Errorf("identity of type %d with %d octets: type 0 means any and has none, every other has some", id.Type, len(id.Data))
	}
	return nil
}
