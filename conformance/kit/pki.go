package kit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync"
	"time"
)

// Authority issues certificates for tests. It is safe for concurrent use.
type Authority struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// PKITime is when certificates of an Authority were made; they are good for an hour before and a year after.
var PKITime = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// NewAuthority makes a root with that common name.
func NewAuthority(name string) *Authority {
	a := &Authority{Key: NewKey("p256")}
	a.Certificate = a.issue(a.Key, name, authorityOf)
	return a
}

// Below makes an authority that a certifies.
func (a *Authority) Below(name string) *Authority {
	key := NewKey("p256")
	return &Authority{Key: key, Certificate: a.issue(key, name, authorityOf)}
}

func authorityOf(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
}

// Issue certifies a key for a host: name is common name and dNSName. With edit the certificate becomes another one.
func (a *Authority) Issue(key crypto.Signer, name string, edit func(*x509.Certificate)) *x509.Certificate {
	return a.issue(key, name, func(c *x509.Certificate) {
		c.DNSNames = []string{name}
		if edit != nil {
			edit(c)
		}
	})
}

func (a *Authority) issue(key crypto.Signer, name string, edit func(*x509.Certificate)) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(err)
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"Parley"}, CommonName: name},
		NotBefore: PKITime.Add(-time.Hour), NotAfter: PKITime.AddDate(1, 0, 0),
	}
	edit(c)
	parent := a.Certificate
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), a.Key)
	must(err)
	made, err := x509.ParseCertificate(der)
	must(err)
	return made
}

// KeyHash names an authority in a CERTREQ: SHA-1 of its SubjectPublicKeyInfo (RFC 7296 section 3.7).
func KeyHash(c *x509.Certificate) []byte {
	sum := sha1.Sum(c.RawSubjectPublicKeyInfo)
	return sum[:]
}

// PublicRSA is the public part of an RSA key of NewKey.
func PublicRSA(key crypto.Signer) *rsa.PublicKey { return key.Public().(*rsa.PublicKey) }

// NewKey makes a private key: "rsa" (2048 bits), "rsa1024", "rsa1536", "p256", "p384", "p521" or "ed25519". Making RSA keys takes long: those
// of a size are one and the same.
func NewKey(kind string) crypto.Signer {
	var key crypto.Signer
	var err error
	switch kind {
	case "rsa":
		return rsa2048()
	case "rsa1024":
		return rsa1024()
	case "rsa1536":
		return rsa1536()
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = ecdsa.GenerateKey(map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()}[kind], rand.Reader)
	}
	must(err)
	return key
}

var (
	rsa2048 = sync.OnceValue(func() crypto.Signer { return newRSA(2048) })
	rsa1536 = sync.OnceValue(func() crypto.Signer { return newRSA(1536) })
	rsa1024 = sync.OnceValue(func() crypto.Signer { return newRSA(1024) })
)

func newRSA(bits int) crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	must(err)
	return key
}

// must is for what cannot fail with the arguments of this file.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
