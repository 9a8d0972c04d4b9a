package container

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/parley-ike/parley/sdk/secret"
)

// pfx is the outside of PFX (RFC 7292 section 4).
type pfx struct {
	Version int
	Safe    struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"tag:0,explicit,optional"`
	}
	MAC asn1.RawValue `asn1:"optional"`
}

func isPKCS12(der []byte) bool {
	var p pfx
	rest, err := asn1.Unmarshal(der, &p)
	return err == nil && len(rest) == 0 && p.Version == 3
}

// addPKCS12 reads a key with its certificates, or certificates alone.
func (c *Content) addPKCS12(der []byte, passphrase secret.Bytes) (err error) {
	defer func() {
		if r := recover(); r != nil { // a library reads it, and the file may be damaged
			err = errors.New("its PKCS#12 is damaged")
		}
	}()
	key, certificate, more, err := pkcs12.DecodeChain(der, string(passphrase))
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword) || errors.Is(err, pkcs12.ErrDecryption):
		return fmt.Errorf("its PKCS#12 does not open: the %w is missing or wrong; name a file with it by passphrase = \"FILE\"", ErrPassphrase)
	case err != nil:
		return c.addTrustStore(der, passphrase, err)
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		c.Keys = append(c.Keys, key)
	case *ecdsa.PrivateKey:
		c.Keys = append(c.Keys, key)
	case ed25519.PrivateKey:
		c.Keys = append(c.Keys, key)
	default:
		return errors.New("its private key is neither RSA, ECDSA nor Ed25519")
	}
	c.Certificates = append(append(c.Certificates, certificate), more...)
	return nil
}

func (c *Content) addTrustStore(der []byte, passphrase secret.Bytes, first error) error {
	certificates, err := pkcs12.DecodeTrustStore(der, string(passphrase))
	if err != nil {
		return fmt.Errorf("its PKCS#12 cannot be read: %s", text(first.Error()))
	}
	c.Certificates = append(c.Certificates, certificates...)
	return nil
}
