package chain

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
)

// Bounds of what a peer sends: it has proven nothing yet.
const (
	MaxCertificates = 10      // more than any hierarchy has levels
	MaxSize         = 1 << 14 // octets of one certificate; those of gateways have one or two thousand
	MinRSA          = 2048    // bits; RFC 8247 section 4.1.1 wants no less
	MaxRSA          = 8192    // bits; verification costs their square
)

// Judge tells whether the chain of a request leads to an authority and is the identity's. The errors are those of cred.Truster.
func Judge(r cred.TrustRequest, anchors *Anchors) (cred.Verdict, error) {
	certificates, err := Parse(r.Chain)
	if err != nil {
		return cred.Verdict{}, err
	}
	path, err := anchors.path(certificates, r.Now)
	if err != nil {
		return cred.Verdict{}, err
	}
	anchor := anchors.of(path[len(path)-1])
	leaf := path[0]
	// Revocation (CRL, OCSP) belongs here: the path is known, and what costs a look elsewhere is not done for strangers.
	for _, check := range []error{usable(leaf, r.Purpose), strong(path, anchor), Matches(leaf, r.Identity)} {
		if check != nil {
			return cred.Verdict{}, check
		}
	}
	return cred.Verdict{
		Public: leaf.RawSubjectPublicKeyInfo, Subject: name(leaf.Subject.String()), Issuer: name(leaf.Issuer.String()),
		Anchor: anchor.Source, Until: until(path),
	}, nil
}

// Parse reads a peer's certificates within the bounds.
func Parse(chain [][]byte) ([]*x509.Certificate, error) {
	if len(chain) == 0 || len(chain) > MaxCertificates {
		return nil, fmt.Errorf("the peer sent %d certificates, want 1 to %d: %w", len(chain), MaxCertificates, sdk.ErrInvalid)
	}
	certificates := make([]*x509.Certificate, 0, len(chain))
	for n, der := range chain {
		if len(der) > MaxSize {
			return nil, fmt.Errorf("certificate %d of the peer has %d octets, limit %d: %w", n+1, len(der), MaxSize, sdk.ErrInvalid)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the peer is damaged: %s: %w", n+1, plain(err), sdk.ErrInvalid)
		}
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > MaxRSA {
			return nil, fmt.Errorf("certificate %d of the peer has an RSA key of %d bits, limit %d: %w", n+1, key.N.BitLen(), MaxRSA, sdk.ErrInvalid)
		}
		certificates = append(certificates, c)
	}
	return certificates, nil
}

// path is the way from the end certificate, the first (RFC 7296 section 3.6), to an authority.
func (a *Anchors) path(certificates []*x509.Certificate, now time.Time) ([]*x509.Certificate, error) {
	leaf := certificates[0]
	if err := current(leaf, now); err != nil {
		return nil, err
	}
	if path := a.known.get(certificates, now); path != nil {
		return path, nil
	}
	between := x509.NewCertPool()
	for _, c := range certificates[1:] {
		between.AddCert(c)
	}
	paths, err := leaf.Verify(x509.VerifyOptions{
		Roots: a.pool, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, a.explain(leaf, now, err)
	}
	a.known.put(certificates, paths[0])
	return paths[0], nil
}

// explain says what crypto/x509 found, in the words of who has to mend it.
func (a *Anchors) explain(leaf *x509.Certificate, now time.Time, err error) error {
	subject, issuer := name(leaf.Subject.String()), name(leaf.Issuer.String())
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("no authority here vouches for the certificate of %s, issued by %s%s: if that is right, add credentials { ca \"NAME\" { file = \"FILE\" } } with the certificate of its authority, and have the peer send those in between: %w",
			subject, issuer, hint(err), sdk.ErrNoCredential)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return current(invalid.Cert, now)
	}
	return fmt.Errorf("the certificate of %s, issued by %s, is not good: %s: %w", subject, issuer, plain(err), sdk.ErrRefused)
}

// hint is why an authority of the right name does not fit, which only the text of the error tells.
func hint(err error) string {
	if _, why, ok := strings.Cut(err.Error(), "possibly because of "); ok {
		return " (an authority of that name is known, but " + name(strings.TrimSuffix(why, ")")) + ")"
	}
	return ""
}

// current checks the validity (RFC 5280 section 4.1.2.5), both ends included.
func current(c *x509.Certificate, now time.Time) error {
	subject := name(c.Subject.String())
	switch {
	case now.After(c.NotAfter):
		return fmt.Errorf("the certificate of %s expired on %s, and it is %s: it needs a new one: %w", subject, date(c.NotAfter), date(now), sdk.ErrRefused)
	case now.Before(c.NotBefore):
		return fmt.Errorf("the certificate of %s is not valid before %s, and it is %s: are the clocks right? %w", subject, date(c.NotBefore), date(now), sdk.ErrRefused)
	}
	return nil
}

// strong refuses weak keys on the way; what the authority itself has was decided by who trusts it.
func strong(path []*x509.Certificate, anchor Anchor) error {
	for _, c := range path {
		key, ok := c.PublicKey.(*rsa.PublicKey)
		if ok && key.N.BitLen() < MinRSA && !anchor.AllowWeak {
			return fmt.Errorf("the key in the certificate of %s is too weak: RSA with %d bits, at least %d are wanted; it needs a new one, or allow_weak = true in the block of %s: %w",
				name(c.Subject.String()), key.N.BitLen(), MinRSA, anchor.Source, sdk.ErrRefused)
		}
	}
	return nil
}

// until is when the first certificate of a path expires.
func until(path []*x509.Certificate) time.Time {
	first := path[0].NotAfter
	for _, c := range path[1:] {
		if c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	return first
}

func date(t time.Time) string { return t.UTC().Format(time.DateTime) + " UTC" }

// plain is an error of crypto/x509 without its prefix, which shows a peer's octets.
func plain(err error) string { return name(strings.TrimPrefix(err.Error(), "x509: ")) }
