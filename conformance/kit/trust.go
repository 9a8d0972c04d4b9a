package kit

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
)

// TrustFixture is what the suite of stores that judge certificates works with.
type TrustFixture struct {
	Open      func() cred.Store // another instance; it trusts Authority and nobody else
	Authority *Authority
}

// Trust runs every check of the contract of trust.
func Trust(t *testing.T, f TrustFixture) {
	t.Helper()
	Run(t, TrustChecks(), f)
}

// TrustChecks returns the checks of cred.Truster.
func TrustChecks() []Check[TrustFixture] {
	return []Check[TrustFixture]{
		{"a certificate of the authority proves each of its identities", "RFC 4945 section 3.1", trustIdentities},
		{"a chain through an authority in between is followed", "RFC 5280 section 6", trustBetween},
		{"an identity that is not the certificate's is refused, and both are shown", "RFC 4945 section 3.1", trustOtherIdentity},
		{"a certificate out of its time is refused, and the dates are shown", "RFC 5280 section 4.1.2.5", trustTime},
		{"an unknown issuer is no credential and named", "sdk/cred Truster", trustUnknown},
		{"a key for another use is refused", "RFC 4945 sections 5.1.3.2 and 5.1.3.12", trustUsage},
		{"a weak key is refused", "RFC 8247 section 4.1.1", trustWeak},
		{"a certificate that a mere host issued is refused", "RFC 5280 section 4.2.1.9", trustHost},
		{"what is no chain, or too much of one, is refused", "sdk/cred Truster", trustHostile},
		{"calls run at the same time", "sdk/cred Plugin", trustConcurrent},
		{"a call whose context ended is not performed", "sdk/cred Plugin", trustCanceled},
	}
}

// host is the name that certificates of the suite are for.
const host = "west.example.net"

func fqdn(name string) cred.Identity { return cred.Identity{Type: 2, Data: []byte(name)} }

// judge asks a new store about certificates for signatures, in the time of the PKI.
func (f TrustFixture) judge(ctx context.Context, id cred.Identity, chain ...*x509.Certificate) (cred.Verdict, error) {
	r := cred.TrustRequest{Purpose: cred.Signature, Identity: id, Now: PKITime}
	for _, c := range chain {
		r.Chain = append(r.Chain, c.Raw)
	}
	return f.Open().Trust(ctx, r)
}

func (f TrustFixture) issue(edit func(*x509.Certificate)) *x509.Certificate {
	return f.Authority.Issue(NewKey("p256"), host, edit)
}

func trustIdentities(ctx context.Context, f TrustFixture) error {
	c := f.issue(func(c *x509.Certificate) {
		c.EmailAddresses, c.IPAddresses = []string{"west@example.net"}, []net.IP{net.IPv4(192, 0, 2, 2).To4(), net.ParseIP("2001:db8::2")}
	})
	for _, id := range []cred.Identity{
		fqdn(host), fqdn("WEST.example.NET"), {Type: 3, Data: []byte("west@example.net")}, {Type: 1, Data: []byte{192, 0, 2, 2}},
		{Type: 5, Data: net.ParseIP("2001:db8::2")}, {Type: 9, Data: c.RawSubject},
	} {
		v, err := f.judge(ctx, id, c)
		switch {
		case err != nil:
			return fmt.Errorf("%v: %w", id, err)
		case !bytes.Equal(v.Public, c.RawSubjectPublicKeyInfo) || v.Anchor == "" || !strings.Contains(v.Subject, host) || v.Issuer == "":
			return fmt.Errorf("%v: an incomplete verdict: %+v", id, v)
		case !v.Until.Equal(c.NotAfter):
			return fmt.Errorf("%v: good until %v, want %v", id, v.Until, c.NotAfter)
		}
	}
	return nil
}

func trustBetween(ctx context.Context, f TrustFixture) error {
	between := f.Authority.Below("in between")
	between.Certificate = f.Authority.issue(between.Key, "in between", func(c *x509.Certificate) {
		authorityOf(c)
		c.NotAfter = PKITime.AddDate(0, 1, 0)
	})
	c := between.Issue(NewKey("ed25519"), host, nil)
	v, err := f.judge(ctx, fqdn(host), c, f.issue(nil), between.Certificate)
	if err == nil && !v.Until.Equal(between.Certificate.NotAfter) {
		err = fmt.Errorf("good until %v, want the earliest end of the chain, %v", v.Until, between.Certificate.NotAfter)
	}
	_, alone := f.judge(ctx, fqdn(host), c)
	return errors.Join(err, WantError("without the one in between", alone, sdk.ErrNoCredential))
}

func trustOtherIdentity(ctx context.Context, f TrustFixture) error {
	c := f.issue(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 2).To4()} })
	longer := bytes.Clone(c.RawSubject)
	longer[len(longer)-1] ^= 1
	for _, id := range []cred.Identity{
		fqdn("east.example.net"), fqdn("Parley"), fqdn("*.example.net"), fqdn("west.example.net."), {Type: 3, Data: []byte(host)},
		{Type: 1, Data: []byte{192, 0, 2, 3}}, {Type: 5, Data: net.IPv4(192, 0, 2, 2)}, {Type: 5, Data: []byte{192, 0, 2, 2}}, {Type: 9, Data: longer}, {Type: 11, Data: []byte(host)},
	} {
		_, err := f.judge(ctx, id, c)
		if err := WantError(id.String(), err, sdk.ErrRefused); err != nil {
			return err
		}
		if id.Type != 9 && !strings.Contains(err.Error(), id.String()) || id.Type == 2 && !strings.Contains(err.Error(), "fqdn:"+host) {
			return fmt.Errorf("the error %q does not show both identities", err)
		}
	}
	kilo := f.Authority.Issue(NewKey("p256"), "kilo.example.net", nil)
	if _, err := f.judge(ctx, fqdn("\u212Ailo.example.net"), kilo); err == nil { // the Kelvin sign, which Unicode folds to k
		return errors.New("a name that looks alike: accepted")
	}
	wild := f.issue(func(c *x509.Certificate) { c.DNSNames = []string{"*.example.net"} })
	_, err := f.judge(ctx, fqdn(host), wild) // RFC 4945 section 3.1.2: no wildcards
	_, common := f.judge(ctx, fqdn(host), f.issue(func(c *x509.Certificate) { c.DNSNames = nil }))
	return errors.Join(WantError("a wildcard", err, sdk.ErrRefused), WantError("a common name", common, sdk.ErrRefused))
}

func trustTime(ctx context.Context, f TrustFixture) error {
	for what, edit := range map[string]func(*x509.Certificate){
		"2026-05-31": func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = PKITime.AddDate(0, -1, 0), PKITime.AddDate(0, 0, -1)
		},
		"2026-06-02": func(c *x509.Certificate) { c.NotBefore = PKITime.AddDate(0, 0, 1) },
	} {
		_, err := f.judge(ctx, fqdn(host), f.issue(edit))
		if wrong := WantError(what, err, sdk.ErrRefused); wrong != nil {
			return wrong
		}
		if !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "2026-06-01") {
			return fmt.Errorf("the error %q does not show the date of the certificate and now", err)
		}
	}
	late := f.Authority.issue(NewKey("p256"), "late", func(c *x509.Certificate) {
		authorityOf(c)
		c.NotAfter = PKITime.Add(-1)
	})
	key := NewKey("p256")
	between := &Authority{Key: key, Certificate: late}
	between.Certificate = f.Authority.issue(key, "late", func(c *x509.Certificate) {
		authorityOf(c)
		c.NotBefore, c.NotAfter = PKITime.AddDate(0, -1, 0), PKITime.AddDate(0, 0, -1)
	})
	_, err := f.judge(ctx, fqdn(host), between.Issue(NewKey("p256"), host, nil), between.Certificate)
	return WantError("an authority in between that expired", err, sdk.ErrRefused)
}

func trustUnknown(ctx context.Context, f TrustFixture) error {
	stranger := NewAuthority("stranger")
	_, err := f.judge(ctx, fqdn(host), stranger.Issue(NewKey("p256"), host, nil), stranger.Certificate)
	if wrong := WantError("a stranger's certificate", err, sdk.ErrNoCredential); wrong != nil {
		return wrong
	}
	if !strings.Contains(err.Error(), "CN=stranger") {
		return fmt.Errorf("the error %q does not name the issuer", err)
	}
	same := NewAuthority(f.Authority.Certificate.Subject.CommonName)
	_, err = f.judge(ctx, fqdn(host), same.Issue(NewKey("p256"), host, nil), same.Certificate)
	return WantError("an authority of the same name", err, sdk.ErrNoCredential)
}

func trustUsage(ctx context.Context, f TrustFixture) error {
	var wrong []error
	for name, c := range map[string]struct {
		edit func(*x509.Certificate)
		good bool
	}{
		"digitalSignature": {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }, true},
		"nonRepudiation":   {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment }, true},
		"keyEncipherment":  {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, false},
		"keyAgreement":     {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }, false},
		"any":              {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }, true},
		"ipsecIKE": {func(c *x509.Certificate) {
			c.UnknownExtKeyUsage = append(c.UnknownExtKeyUsage, []int{1, 3, 6, 1, 5, 5, 7, 3, 17})
		}, true},
		"codeSigning": {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }, false},
		"unknown": {func(c *x509.Certificate) {
			c.UnknownExtKeyUsage = append(c.UnknownExtKeyUsage, []int{1, 3, 6, 1, 4, 1, 99999})
		}, false},
	} {
		_, err := f.judge(ctx, fqdn(host), f.issue(c.edit))
		switch {
		case c.good && err != nil:
			wrong = append(wrong, fmt.Errorf("%s: %w", name, err))
		case !c.good:
			wrong = append(wrong, WantError(name, err, sdk.ErrRefused))
		}
	}
	return errors.Join(wrong...)
}

func trustWeak(ctx context.Context, f TrustFixture) error {
	_, err := f.judge(ctx, fqdn(host), f.Authority.Issue(NewKey("rsa1024"), host, nil))
	if wrong := WantError("RSA with 1024 bits", err, sdk.ErrRefused); wrong != nil {
		return wrong
	}
	if !strings.Contains(err.Error(), "1024") {
		return fmt.Errorf("the error %q does not tell the size", err)
	}
	_, err = f.judge(ctx, fqdn(host), f.Authority.Issue(NewKey("rsa"), host, nil))
	return err
}

func trustHost(ctx context.Context, f TrustFixture) error {
	key := NewKey("p256")
	middle := &Authority{Key: key, Certificate: f.Authority.Issue(key, "middle.example.net", nil)}
	_, err := f.judge(ctx, fqdn(host), middle.Issue(NewKey("p256"), host, nil), middle.Certificate)
	if !errors.Is(err, sdk.ErrRefused) && !errors.Is(err, sdk.ErrNoCredential) {
		return fmt.Errorf("neither refused nor unknown: %v", err)
	}
	return nil
}

func trustHostile(ctx context.Context, f TrustFixture) error {
	good := f.issue(nil).Raw
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	many := make([][]byte, 1000)
	for n := range many {
		many[n] = good
	}
	for name, chain := range map[string][][]byte{
		"nothing in it": {nil}, "garbage": {[]byte("garbage")}, "cut off": {good[:len(good)-1]}, "a longer one": {append(bytes.Clone(good), 0)},
		"a thousand": many, "a giant": {make([]byte, 1<<20)}, "a forged signature": {forged}, "garbage behind a good one": {good, []byte("garbage")},
	} {
		v, err := f.Open().Trust(ctx, cred.TrustRequest{Chain: chain, Purpose: cred.Signature, Identity: fqdn(host), Now: PKITime})
		if err == nil || v.Public != nil {
			return fmt.Errorf("%s: accepted", name)
		}
	}
	_, err := f.Open().Trust(ctx, cred.TrustRequest{Chain: [][]byte{good}, Purpose: cred.Signature, Now: PKITime})
	if err == nil {
		return errors.New("no identity: accepted")
	}
	_, err = f.Open().Trust(ctx, cred.TrustRequest{Purpose: cred.Signature, Identity: fqdn(host), Now: PKITime})
	return WantError("no certificate and no key known", err, sdk.ErrNoCredential)
}

func trustConcurrent(ctx context.Context, f TrustFixture) error {
	s := f.Open()
	var keys []crypto.Signer
	for range 4 {
		keys = append(keys, NewKey("p256"))
	}
	return Together(func(n int) error {
		c := f.Authority.Issue(keys[n%len(keys)], host, nil)
		v, err := s.Trust(ctx, cred.TrustRequest{Chain: [][]byte{c.Raw}, Purpose: cred.Signature, Identity: fqdn(host), Now: PKITime})
		if err == nil && !bytes.Equal(v.Public, c.RawSubjectPublicKeyInfo) {
			err = errors.New("the key of another certificate")
		}
		return err
	})
}

func trustCanceled(ctx context.Context, f TrustFixture) error {
	_, err := f.judge(Canceled(ctx), fqdn(host), f.issue(nil))
	return WantCanceled("trust", err)
}
