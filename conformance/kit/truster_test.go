package kit

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
)

// truster judges certificates by one authority, and fulfils the contract of trust but for the fault.
type truster struct {
	cred.Unsupported
	fault string
	busy  *keeper
	root  *x509.Certificate
}

func (s *truster) Trust(ctx context.Context, r cred.TrustRequest) (cred.Verdict, error) {
	if err := ctx.Err(); err != nil && s.fault != "context ignored" {
		return cred.Verdict{}, err
	}
	chain, err := s.parse(r.Chain)
	if err != nil {
		return cred.Verdict{}, err
	}
	leaf := chain[0]
	path, err := s.path(chain, r)
	if err != nil {
		return cred.Verdict{}, err
	}
	if err := s.suits(leaf, r.Identity); err != nil {
		return cred.Verdict{}, err
	}
	v := cred.Verdict{Public: leaf.RawSubjectPublicKeyInfo, Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String(), Anchor: "root", Until: leaf.NotAfter}
	for _, c := range path {
		if c.NotAfter.Before(v.Until) && s.fault != "the end of the first alone" {
			v.Until = c.NotAfter
		}
	}
	if s.fault == oneAtATime && s.busy.crowded() {
		v.Public = s.root.RawSubjectPublicKeyInfo
	}
	return v, nil
}

func (s *truster) parse(chain [][]byte) (all []*x509.Certificate, err error) {
	if len(chain) == 0 {
		return nil, fmt.Errorf("kit: no certificate: %w", sdk.ErrNoCredential)
	}
	if len(chain) > 10 && s.fault != "any number" {
		return nil, fmt.Errorf("kit: %d certificates: %w", len(chain), sdk.ErrInvalid)
	}
	for _, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("kit: %w", sdk.ErrInvalid)
		}
		all = append(all, c)
	}
	return all, nil
}

func (s *truster) path(chain []*x509.Certificate, r cred.TrustRequest) ([]*x509.Certificate, error) {
	leaf, roots, between := chain[0], x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(s.root)
	for _, c := range chain[1:] {
		if s.fault != "nothing in between" {
			between.AddCert(c)
		}
		if s.fault == "the peer's root trusted" {
			roots.AddCert(c)
		}
	}
	now := r.Now
	switch {
	case s.fault == "any time":
		now = leaf.NotAfter
	case now.Before(leaf.NotBefore) || now.After(leaf.NotAfter):
		return nil, fmt.Errorf("kit: good from %v to %v, now %v: %w", leaf.NotBefore, leaf.NotAfter, s.dated(now.String()), sdk.ErrRefused)
	}
	paths, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	switch {
	case err == nil:
		return paths[0], nil
	case s.fault == "a host may issue":
		return chain, nil
	case strings.Contains(err.Error(), "expired"):
		return nil, fmt.Errorf("kit: %w: %w", err, sdk.ErrRefused)
	case s.fault == "unknown is refused":
		return nil, fmt.Errorf("kit: %v: %w", leaf.Issuer, sdk.ErrRefused)
	}
	return nil, fmt.Errorf("kit: issuer %v is unknown: %w", leaf.Issuer, sdk.ErrNoCredential)
}

func (s *truster) dated(now string) string {
	if s.fault == "now is not told" {
		return "later"
	}
	return now
}

func (s *truster) suits(c *x509.Certificate, id cred.Identity) error {
	good := func(u x509.ExtKeyUsage) bool { return u == x509.ExtKeyUsageAny }
	odd := func(oid []int) bool { return slices.Equal(oid, []int{1, 3, 6, 1, 5, 5, 7, 3, 17}) }
	extended := len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 || slices.ContainsFunc(c.ExtKeyUsage, good)
	for _, oid := range c.UnknownExtKeyUsage {
		extended = extended || odd(oid)
	}
	key, isRSA := c.PublicKey.(*rsa.PublicKey)
	switch {
	case c.KeyUsage != 0 && c.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 && s.fault != "key usage ignored",
		!extended && s.fault != "extended key usage ignored":
		return fmt.Errorf("kit: usage: %w", sdk.ErrRefused)
	case isRSA && key.N.BitLen() < 2048 && s.fault != "weak keys":
		return fmt.Errorf("kit: RSA with %d bits: %w", key.N.BitLen(), sdk.ErrRefused)
	case !s.has(c, id):
		return fmt.Errorf("kit: the peer says %v, the certificate fqdn:%s: %w", s.claimed(id), strings.Join(c.DNSNames, ","), sdk.ErrRefused)
	}
	return nil
}

func (s *truster) claimed(id cred.Identity) string {
	if s.fault == "one identity shown" {
		return "another"
	}
	return id.String()
}

func (s *truster) has(c *x509.Certificate, id cred.Identity) bool {
	named := func(n string) bool {
		if ascii := lowerASCII(n) == lowerASCII(string(id.Data)); s.fault != "Unicode folded" {
			return ascii
		}
		return strings.EqualFold(n, string(id.Data))
	}
	switch {
	case s.fault == "identity ignored":
		return true
	case s.fault == "wildcards" && id.Type == 2 && c.VerifyHostname(string(id.Data)) == nil:
		return true
	case s.fault == "common names" && id.Type == 2 && c.Subject.CommonName == string(id.Data):
		return true
	case id.Type == 1 || id.Type == 5 && s.fault != "no IPv6":
		return slices.ContainsFunc(c.IPAddresses, func(ip net.IP) bool {
			if four := ip.To4(); four != nil {
				ip = four
			}
			return bytes.Equal(ip, id.Data) && (len(ip) == 4) == (id.Type == 1)
		})
	case id.Type == 2:
		return slices.ContainsFunc(c.DNSNames, named)
	case id.Type == 3:
		return slices.ContainsFunc(c.EmailAddresses, named)
	}
	return id.Type == 9 && bytes.Equal(c.RawSubject, id.Data)
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func TestTheSuiteOfTrustCatchesFaults(t *testing.T) {
	t.Parallel()
	root := NewAuthority("root")
	fixture := func(fault string) TrustFixture {
		return TrustFixture{Authority: root, Open: func() cred.Store {
			return &truster{fault: fault, busy: busyOf[fault], root: root.Certificate}
		}}
	}
	Prove(t, TrustChecks(), fixture, map[string]string{
		"no IPv6":                    "a certificate of the authority proves each of its identities",
		"nothing in between":         "a chain through an authority in between is followed",
		"the end of the first alone": "a chain through an authority in between is followed",
		"identity ignored":           "an identity that is not the certificate's is refused, and both are shown",
		"one identity shown":         "an identity that is not the certificate's is refused, and both are shown",
		"Unicode folded":             "an identity that is not the certificate's is refused, and both are shown",
		"wildcards":                  "an identity that is not the certificate's is refused, and both are shown",
		"common names":               "an identity that is not the certificate's is refused, and both are shown",
		"any time":                   "a certificate out of its time is refused, and the dates are shown",
		"now is not told":            "a certificate out of its time is refused, and the dates are shown",
		"the peer's root trusted":    "an unknown issuer is no credential and named",
		"unknown is refused":         "an unknown issuer is no credential and named",
		"key usage ignored":          "a key for another use is refused",
		"extended key usage ignored": "a key for another use is refused",
		"weak keys":                  "a weak key is refused",
		"a host may issue":           "a certificate that a mere host issued is refused",
		"any number":                 "what is no chain, or too much of one, is refused",
		oneAtATime:                   "calls run at the same time",
		"context ignored":            "a call whose context ended is not performed",
	})
}

// busyOf is what the instances of one fault share.
var busyOf = map[string]*keeper{oneAtATime: new(keeper)}
