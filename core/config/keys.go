package config

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/parley-ike/parley/core/policy"
)

// Keys say where certificates, private keys and authorities lie.
type Keys struct {
	Own         []Certificate
	Authorities []Authority
	Peers       []PublicKey
}

// Certificate is a private key of ours with its certificate; either may be absent: Key when it lies in File, File when the key is a
// bare one. Paths are absolute.
type Certificate struct {
	Identity              string // with its type, "fqdn:east.example.net"; "%any": those of the certificate
	ID                    policy.Identity
	File, Key, Passphrase string
	Purpose               string // "signature" or "decryption"
}

// Authority is what certificates of peers may lead to.
type Authority struct {
	Name      string
	Path      string // absolute, a file or a folder
	AllowWeak bool
}

// PublicKey is that of a peer, which is trusted without an authority.
type PublicKey struct {
	Identity string
	ID       policy.Identity
	File     string // absolute
	Purpose  string
}

func (l *loader) keys(s *section) {
	for _, b := range s.named("certificate") {
		l.certificate(b)
	}
	for _, b := range s.named("pkcs12") {
		l.bundle(b)
	}
	for _, b := range s.named("private_key") {
		l.privateKey(b)
	}
	for _, b := range s.named("ca") {
		l.authority(b)
	}
	for _, b := range s.named("public_key") {
		l.publicKey(b)
	}
}

// certificate reads a certificate and its key, in one file or in two.
func (l *loader) certificate(s *section) {
	c, ok := l.own(s, "certificate")
	if s.has("key") {
		s.openFile("file", &c.File, false)
		s.keyFile("key", &c.Key)
	} else {
		s.keyFile("file", &c.File)
	}
	if ok && !s.has("file") {
		s.fail(s.at, "it has no certificate: add file = \"NAME.pem\", or write private_key in place of certificate for a bare key")
	}
	l.addOwn(s, c)
}

// bundle reads PKCS#12, which has everything.
func (l *loader) bundle(s *section) {
	c, ok := l.own(s, "pkcs12")
	s.keyFile("file", &c.File)
	if ok && !s.has("file") {
		s.fail(s.at, "it has no file: add file = \"NAME.p12\"")
	}
	l.addOwn(s, c)
}

// privateKey reads a key without a certificate: peers know the public one.
func (l *loader) privateKey(s *section) {
	c, ok := l.own(s, "private_key")
	s.keyFile("file", &c.Key)
	if ok && !s.has("file") {
		s.fail(s.at, "it has no key: add file = \"NAME.key\"")
	}
	if ok && c.ID == (policy.Identity{}) {
		s.fail(s.at, "a key without a certificate needs the identity that it is for: write it in place of %q", s.label)
	}
	l.addOwn(s, c)
}

// own reads what private keys have in common.
func (l *loader) own(s *section, block string) (c Certificate, ok bool) {
	c.Purpose = "signature"
	c.ID, ok = s.identity(text{s.label, s.at})
	c.Identity = c.ID.String()
	if ok {
		s.snapshot.where["credentials."+block+"."+c.Identity] = s.file.where(s.at)
	}
	s.passphrase(&c.Passphrase)
	s.choice("purpose", &c.Purpose, "signature", "decryption")
	return c, ok
}

// passphrase sets dst to the path of its file. Somebody may have written the passphrase itself, which no error shall show.
func (s *section) passphrase(dst *string) {
	if t, ok := s.text("passphrase"); ok {
		if _, err := os.Stat(s.resolve(t.value)); err != nil {
			s.fail(t.at, "passphrase names no file that is there: write the passphrase into a file of its own, chmod 600 it, and name it with passphrase = \"NAME.pass\"")
			return
		}
	}
	s.secretFile("passphrase", dst)
}

// keyFile sets dst to the path of a private key's file. Somebody may have written the key itself.
func (s *section) keyFile(name string, dst *string) {
	if t, ok := s.text(name); ok && strings.Contains(t.value, "-----BEGIN") {
		s.fail(t.at, "a private key does not belong into the configuration: write it into a file of its own, chmod 600 it, and name it with %s = \"NAME.key\"", name)
		return
	}
	s.secretFile(name, dst)
}

// addOwn refuses one key for two purposes, where the configuration shows it. The store compares what lies in the files.
func (l *loader) addOwn(s *section, c Certificate) {
	s.finish()
	for _, other := range l.snapshot.Keys.Own {
		if other.keyFile() == c.keyFile() && c.keyFile() != "" && other.Purpose != c.Purpose {
			s.fail(s.at, "the key in %s is for signatures and for decryption: each needs a key of its own, because decryptions help to forge signatures", c.keyFile())
		}
	}
	l.snapshot.Keys.Own = append(l.snapshot.Keys.Own, c)
}

func (c Certificate) keyFile() string {
	if c.Key != "" {
		return c.Key
	}
	return c.File
}

func (l *loader) authority(s *section) {
	a := Authority{Name: s.label}
	s.openFile("file", &a.Path, true)
	s.boolean("allow_weak", &a.AllowWeak)
	if !s.has("file") {
		s.fail(s.at, "it has no certificate: add file = \"NAME.pem\", or the name of a folder with such files")
	}
	if a.AllowWeak {
		s.warn(s.valueAt("allow_weak"), "RSA keys of less than 2048 bits can be factored by those who want it enough")
	}
	s.snapshot.where["credentials.ca."+a.Name] = s.file.where(s.at)
	s.finish()
	l.snapshot.Keys.Authorities = append(l.snapshot.Keys.Authorities, a)
}

func (l *loader) publicKey(s *section) {
	p := PublicKey{Purpose: "signature"}
	var ok bool
	p.ID, ok = s.identity(text{s.label, s.at})
	p.Identity = p.ID.String()
	s.openFile("file", &p.File, false)
	s.choice("purpose", &p.Purpose, "signature", "decryption")
	switch {
	case ok && p.ID == (policy.Identity{}):
		s.fail(s.at, "a public key is that of one peer: write its identity in place of %q", s.label)
	case !s.has("file"):
		s.fail(s.at, "it has no key: add file = \"NAME.pub\"")
	}
	for _, other := range l.snapshot.Keys.Peers {
		if other.Identity == p.Identity && other.Purpose == p.Purpose {
			s.fail(s.at, "there is a public key for this identity already, %s: leave one out", other.File)
		}
	}
	s.snapshot.where["credentials.public_key."+p.Identity] = s.file.where(s.at)
	s.finish()
	l.snapshot.Keys.Peers = append(l.snapshot.Keys.Peers, p)
}

// openFile sets dst to the path of a file, or of a folder where that is allowed, that everybody may read.
func (s *section) openFile(name string, dst *string, folder bool) {
	s.filePath(name, dst)
	if *dst == "" || !s.has(name) {
		return
	}
	info, err := os.Stat(*dst)
	switch at := s.valueAt(name); {
	case errors.Is(err, fs.ErrNotExist):
		s.fail(at, "%s does not exist: name the file that is meant", *dst)
	case err != nil:
		s.fail(at, "%s cannot be examined (%v): let the daemon reach it", *dst, cause(err))
	case !info.Mode().IsRegular() && !(folder && info.IsDir()):
		s.fail(at, "%s is no regular file: name the file that is meant", *dst)
	}
}
