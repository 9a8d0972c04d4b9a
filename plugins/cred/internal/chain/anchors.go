package chain

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"slices"
)

// Anchor is an authority that the configuration trusts, or a peer's own certificate that it names.
type Anchor struct {
	Certificate *x509.Certificate
	Source      string // for people
	AllowWeak   bool   // RSA below MinRSA is good enough in chains that end here
}

// Anchors are a set of authorities. It never changes, but for what it remembers.
type Anchors struct {
	list  []Anchor
	pool  *x509.CertPool
	known memo
}

// NewAnchors returns a set.
func NewAnchors(list []Anchor) *Anchors {
	a := &Anchors{list: list, pool: x509.NewCertPool()}
	for _, one := range list {
		a.pool.AddCert(one.Certificate)
	}
	return a
}

// List returns the authorities in their order.
func (a *Anchors) List() []Anchor { return a.list }

// Above returns the SHA-1 of the SubjectPublicKeyInfo of every authority that issued c (RFC 7296 section 3.7), by its name.
func (a *Anchors) Above(c *x509.Certificate) (hashes [][]byte) {
	for _, one := range a.list {
		if bytes.Equal(one.Certificate.RawSubject, c.RawIssuer) {
			hashes = append(hashes, KeyHash(one.Certificate))
		}
	}
	return hashes
}

// KeyHash names an authority in a CERTREQ: SHA-1 of the SubjectPublicKeyInfo (RFC 7296 section 3.7). It is no security.
func KeyHash(c *x509.Certificate) []byte {
	sum := sha1.Sum(c.RawSubjectPublicKeyInfo)
	return sum[:]
}

func (a *Anchors) of(c *x509.Certificate) Anchor {
	i := slices.IndexFunc(a.list, func(one Anchor) bool { return one.Certificate.Equal(c) })
	if i < 0 {
		return Anchor{}
	}
	return a.list[i]
}
