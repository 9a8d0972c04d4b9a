package chain

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
)

// Usages of keys (RFC 5280 section 4.2.1.3): for signatures RFC 4945 section 5.1.3.2 wants one of two; for RSA encryption nothing is
// written down, and key encipherment is what happens.
var usages = map[cred.Purpose]struct {
	bits x509.KeyUsage
	name string
}{
	cred.Signature:  {x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment, "digitalSignature or nonRepudiation"},
	cred.Decryption: {x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment, "keyEncipherment or dataEncipherment"},
}

// extended are the extended key usages that let a certificate authenticate an IKE peer: any, those of TLS, and IPsec's three
// of 1999. RFC 4945 section 5.1.3.12 has the first and ipsecIKE only; see the limits of the package.
var extended = []x509.ExtKeyUsage{
	x509.ExtKeyUsageAny, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth,
	x509.ExtKeyUsageIPSECEndSystem, x509.ExtKeyUsageIPSECTunnel, x509.ExtKeyUsageIPSECUser,
}

var (
	ipsecIKE     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 17} // RFC 4945 section 5.1.3.12
	intermediate = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 8, 2, 2}  // iKEIntermediate, of a draft, which macOS asks for
)

// usable checks what the certificate says its key is for.
func usable(c *x509.Certificate, purpose cred.Purpose) error {
	want, ok := usages[purpose]
	if !ok {
		return fmt.Errorf("certificates for purpose %d: %w", purpose, sdk.ErrUnsupported)
	}
	if c.KeyUsage != 0 && c.KeyUsage&want.bits == 0 {
		return fmt.Errorf("the certificate of %s is not for this use of its key: its key usage has neither %s (RFC 4945 section 5.1.3.2): %w", name(c.Subject.String()), want.name, sdk.ErrRefused)
	}
	if !forIKE(c) {
		return fmt.Errorf("the certificate of %s is not for IKE: its extended key usage has neither ipsecIKE nor serverAuth, clientAuth or any (RFC 4945 section 5.1.3.12): %w", name(c.Subject.String()), sdk.ErrRefused)
	}
	return nil
}

func forIKE(c *x509.Certificate) bool {
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.ContainsFunc(c.ExtKeyUsage, func(u x509.ExtKeyUsage) bool { return slices.Contains(extended, u) }) ||
		slices.ContainsFunc(c.UnknownExtKeyUsage, func(u asn1.ObjectIdentifier) bool { return u.Equal(ipsecIKE) || u.Equal(intermediate) })
}
