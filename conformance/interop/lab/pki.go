package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// KeyKind is a kind of private key.
type KeyKind string

// Kinds of keys.
const (
	RSA2048 KeyKind = "RSA-2048"
	P256    KeyKind = "ECDSA P-256"
	P384    KeyKind = "ECDSA P-384"
	Ed25519 KeyKind = "Ed25519"
)

// NewKey makes a private key.
func NewKey(kind KeyKind) (crypto.Signer, error) {
	switch kind {
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case P256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case P384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("lab: no key of kind %q", kind)
}

// Authority is a certification authority. Its methods may be used one at a time.
type Authority struct {
	cert   *x509.Certificate
	key    crypto.Signer
	serial int64
}

// NewAuthority makes an authority with a key of a kind.
func NewAuthority(name string, kind KeyKind) (*Authority, error) {
	key, err := NewKey(kind)
	if err != nil {
		return nil, err
	}
	template := authority(name, 1)
	return certify(template, template, key, key)
}

// Below makes an authority that this one vouches for, with a key on P-256.
func (a *Authority) Below(name string) (*Authority, error) {
	key, err := NewKey(P256)
	if err != nil {
		return nil, err
	}
	a.serial++
	return certify(authority(name, a.serial), a.cert, key, a.key)
}

func authority(name string, serial int64) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
}

// certify has an authority sign the certificate of another, or its own.
func certify(template, above *x509.Certificate, key, signer crypto.Signer) (*Authority, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, above, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &Authority{cert: cert, key: key, serial: 1}, err
}

// PEM returns the authority's certificate.
func (a *Authority) PEM() string { return certificatePEM(a.cert.Raw) }

// Holder is a private key with its certificate, in PEM; the key is PKCS #8.
type Holder struct{ Cert, Key, Public string }

// Identity is a holder with the authority that both sides trust.
type Identity struct {
	Holder
	CA string // PEM
}

// Issue makes a key and its certificate for a DNS name or an address. age and left say since when the certificate is valid and for how long yet;
// a negative left is in the past.
func (a *Authority) Issue(name string, kind KeyKind, age, left time.Duration) (Holder, error) {
	key, err := NewKey(kind)
	if err != nil {
		return Holder{}, err
	}
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{Organization: []string{"Example"}, CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-age), NotAfter: time.Now().Add(left), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if ip := net.ParseIP(name); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return Holder{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Holder{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	return Holder{
		Cert:   certificatePEM(der),
		Key:    string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		Public: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
	}, err
}

func certificatePEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
