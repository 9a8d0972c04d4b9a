package container

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/parley-ike/parley/sdk/secret"
)

// MaxItems bounds what one file may hold: twice the authorities of the largest operating system.
const MaxItems = 1000

// Content is what a file holds.
type Content struct {
	Certificates []*x509.Certificate
	Keys         []crypto.Signer // private keys
	Publics      []crypto.PublicKey
}

// ErrPassphrase is wrapped by the errors of content that is encrypted, when there is no passphrase or a wrong one.
var ErrPassphrase = errors.New("passphrase")

// Parse reads everything that a file holds. The passphrase opens what is encrypted; nil: there is none.
func Parse(content []byte, passphrase secret.Bytes) (Content, error) {
	var c Content
	switch {
	case len(bytes.TrimSpace(content)) == 0:
		return c, errors.New("it is empty")
	case bytes.Contains(content, []byte("-----BEGIN ")):
		return c, c.addPEM(content, passphrase)
	}
	return c, c.addDER(content, passphrase)
}

// String says what there is, for errors: "2 certificates and a private key (RSA)".
func (c Content) String() string {
	var parts []string
	count := func(n int, one string) {
		switch {
		case n == 1:
			parts = append(parts, "a "+one)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", n, one))
		}
	}
	count(len(c.Certificates), "certificate")
	count(len(c.Keys), "private key")
	count(len(c.Publics), "public key")
	if parts == nil {
		return "nothing"
	}
	return strings.Join(parts, " and ")
}

func (c *Content) addPEM(content []byte, passphrase secret.Bytes) error {
	n := 0
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if n++; n > MaxItems {
			return fmt.Errorf("it holds more than %d items", MaxItems)
		}
		if err := c.addBlock(block, passphrase); err != nil {
			return err
		}
	}
	if n == 0 {
		return errors.New("its PEM is damaged: no block from -----BEGIN to -----END is whole")
	}
	return nil
}

func (c *Content) addBlock(block *pem.Block, passphrase secret.Bytes) error {
	defer clear(block.Bytes)
	if strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
		return errors.New("its key is encrypted by PEM itself, which protects it badly: turn it into PKCS#8 with openssl pkcs8 -topk8 -in FILE -out NEW")
	}
	switch block.Type {
	case "CERTIFICATE", "X509 CERTIFICATE":
		return c.addCertificate(block.Bytes)
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
		return c.addKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return c.addEncrypted(block.Bytes, passphrase)
	case "PUBLIC KEY", "RSA PUBLIC KEY":
		return c.addPublic(block.Bytes)
	case "EC PARAMETERS": // stands before an EC key, which names its curve itself
		return nil
	}
	if what, ok := strange[block.Type]; ok {
		return errors.New(what)
	}
	return fmt.Errorf("it holds a %q, which is neither certificate nor key", text(block.Type))
}

// strange are PEM types that people take for keys or certificates.
var strange = map[string]string{
	"CERTIFICATE REQUEST":     "it holds a certificate request, which an authority has yet to sign: name the certificate that it gave",
	"NEW CERTIFICATE REQUEST": "it holds a certificate request, which an authority has yet to sign: name the certificate that it gave",
	"X509 CRL":                "it holds a revocation list, which is not read here",
	"OPENSSH PRIVATE KEY":     "it holds a key in OpenSSH's own form: turn it into PKCS#8 with ssh-keygen -p -m PKCS8 -f FILE",
	"SSH2 PUBLIC KEY":         "it holds a key in SSH's own form: turn it into PKCS#8 with ssh-keygen -i -f FILE | ssh-keygen -e -m PKCS8",
	"DSA PRIVATE KEY":         "it holds a DSA key: only RSA, ECDSA and Ed25519 are used",
	"DH PARAMETERS":           "it holds Diffie-Hellman parameters, which IKE negotiates by number",
	"PKCS7":                   "it holds PKCS#7: take the certificates out with openssl pkcs7 -print_certs -in FILE -out NEW",
	"TRUSTED CERTIFICATE":     "it holds a certificate in OpenSSL's own form: turn it into a plain one with openssl x509 -in FILE -out NEW",
	"PGP PUBLIC KEY BLOCK":    "it holds a PGP key",
	"PGP PRIVATE KEY BLOCK":   "it holds a PGP key",
}

// addDER tries what DER may be, which has no label.
func (c *Content) addDER(der []byte, passphrase secret.Bytes) error {
	if c.addCertificate(der) == nil || c.addKey(der) == nil || c.addPublic(der) == nil {
		return nil
	}
	switch {
	case isEncrypted(der):
		return c.addEncrypted(der, passphrase)
	case isPKCS12(der):
		return c.addPKCS12(der, passphrase)
	}
	if _, err := x509.ParseCertificateRequest(der); err == nil {
		return errors.New(strange["CERTIFICATE REQUEST"])
	}
	if _, err := x509.ParseRevocationList(der); err == nil {
		return errors.New(strange["X509 CRL"])
	}
	return errors.New("it is neither PEM nor the DER of a certificate, a key or PKCS#12")
}

func (c *Content) addCertificate(der []byte) error {
	certificate, err := x509.ParseCertificate(bytes.Clone(der))
	if err != nil {
		return fmt.Errorf("its certificate is damaged: %s", reason(err))
	}
	c.Certificates = append(c.Certificates, certificate)
	return nil
}

// addKey reads PKCS#8 (RFC 5958), PKCS#1 (RFC 8017 appendix A.1.2) and SEC 1 (RFC 5915), which are told apart by trying.
func (c *Content) addKey(der []byte) error {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		if rsaKey, second := x509.ParsePKCS1PrivateKey(der); second == nil {
			key, err = rsaKey, nil
		} else if ecKey, third := x509.ParseECPrivateKey(der); third == nil {
			key, err = ecKey, nil
		}
	}
	if err != nil {
		return fmt.Errorf("its private key cannot be read: %s", reason(err))
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		c.Keys = append(c.Keys, key)
	case *ecdsa.PrivateKey:
		c.Keys = append(c.Keys, key)
	case ed25519.PrivateKey:
		c.Keys = append(c.Keys, key)
	default:
		return errors.New("its private key is for key exchange (ECDH): only RSA, ECDSA and Ed25519 are used")
	}
	return nil
}

// addPublic reads SubjectPublicKeyInfo (RFC 5280 section 4.1) and PKCS#1 (RFC 8017 appendix A.1.1).
func (c *Content) addPublic(der []byte) error {
	der = bytes.Clone(der) // a key of Ed25519 lies in it, and the file's octets are wiped
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		if rsaKey, second := x509.ParsePKCS1PublicKey(der); second == nil {
			key, err = rsaKey, nil
		}
	}
	if err != nil {
		return fmt.Errorf("its public key cannot be read: %s", reason(err))
	}
	switch key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
		c.Publics = append(c.Publics, key)
		return nil
	}
	return errors.New("its public key is neither RSA, ECDSA nor Ed25519")
}

// reason leaves out who says it.
func reason(err error) string { return strings.TrimPrefix(text(err.Error()), "x509: ") }

// text bounds what came from a file and keeps it on one line.
func text(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, s[:min(len(s), maxText)])
}

const maxText = 200 // octets of a file's own words in an error
