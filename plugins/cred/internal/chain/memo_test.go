package chain

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
)

// issued returns an authority, and a certificate of it for an hour.
func issued(t testing.TB) (authority, leaf []byte) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(100 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	if authority, err = x509.CreateCertificate(rand.Reader, ca, ca, public, private); err != nil {
		t.Fatal(err)
	}
	west := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{"west"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	if leaf, err = x509.CreateCertificate(rand.Reader, west, ca, public, private); err != nil {
		t.Fatal(err)
	}
	return authority, leaf
}

// anchorsOf is a set of one authority.
func anchorsOf(t testing.TB, der []byte) *Anchors {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return NewAnchors([]Anchor{{Certificate: c, Source: "ca.pem"}})
}

func question(chain ...[]byte) cred.TrustRequest {
	return cred.TrustRequest{Chain: chain, Purpose: cred.Signature, Identity: cred.Identity{Type: 2, Data: []byte("west")}, Now: time.Now()}
}

// A peer that comes again is judged as before, by certificates that have been wiped meanwhile; its dates, its identity and other
// octets are looked at.
func TestWhatIsRememberedIsJudgedAgain(t *testing.T) {
	t.Parallel()
	authority, leaf := issued(t)
	anchors := anchorsOf(t, authority)
	first := append([]byte(nil), leaf...)
	verdict, err := Judge(question(first), anchors)
	if err != nil || len(anchors.known.paths) != 1 {
		t.Fatalf("%v, %d paths are known", err, len(anchors.known.paths))
	}
	clear(first)
	again, err := Judge(question(leaf), anchors)
	if err != nil || again.Subject != verdict.Subject || again.Anchor != "ca.pem" || len(again.Public) == 0 || again.Public[0] == 0 {
		t.Errorf("%+v, %v", again, err)
	}
	late, other := question(leaf), question(leaf)
	late.Now = time.Now().Add(2 * time.Hour)
	other.Identity.Data = []byte("east")
	forged := append([]byte(nil), leaf...)
	forged[len(forged)-1] ^= 1 // of the authority's signature
	for name, q := range map[string]cred.TrustRequest{"expired": late, "another identity": other, "a forged one": question(forged)} {
		if _, err := Judge(q, anchors); !errors.Is(err, sdk.ErrRefused) && !errors.Is(err, sdk.ErrNoCredential) {
			t.Errorf("%s: %v", name, err)
		}
	}
	stranger, _ := issued(t)
	if _, err := Judge(question(leaf), anchorsOf(t, stranger)); !errors.Is(err, sdk.ErrNoCredential) {
		t.Errorf("of another authority: %v", err)
	}
}

// RFC 5280 section 7.1, RFC 4945 section 3.1.5.
func TestNamesAreComparedByWhatTheySay(t *testing.T) {
	t.Parallel()
	type rdn = pkix.RelativeDistinguishedNameSET
	name := func(tag int, values ...string) []byte {
		var all pkix.RDNSequence
		for i, v := range values {
			all = append(all, rdn{{Type: asn1.ObjectIdentifier{2, 5, 4, 3 + i}, Value: asn1.RawValue{Tag: tag, Bytes: []byte(v)}}})
		}
		der, err := asn1.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	printable, utf8 := asn1.TagPrintableString, asn1.TagUTF8String
	for _, tt := range []struct {
		a, b []byte
		same bool
	}{
		{name(printable, "Gate way", "x"), name(utf8, "gate  WAY", "x"), true},
		{name(printable, "gateway"), name(utf8, "gateway2"), false},
		{name(printable, "a", "b"), name(utf8, "b", "a"), false},
		{name(printable, "a"), name(printable, "a", "b"), false},
		{name(printable), name(utf8), false},
		{name(printable, "a"), append(name(printable, "a"), 0), false},
		{name(printable, "a"), []byte("no DER"), false},
	} {
		if got := sameName(tt.a, tt.b); got != tt.same {
			t.Errorf("%x and %x: %t", tt.a, tt.b, got)
		}
	}
}

func TestTheMemoIsBounded(t *testing.T) {
	t.Parallel()
	authority, leaf := issued(t)
	anchors := anchorsOf(t, authority)
	for range maxMemo + 10 {
		noise, _ := issued(t)
		if _, err := Judge(question(leaf, noise), anchors); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(anchors.known.paths); n == 0 || n > maxMemo {
		t.Errorf("%d paths are known", n)
	}
}

func BenchmarkJudgeAgain(b *testing.B) {
	authority, leaf := issued(b)
	anchors := anchorsOf(b, authority)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Judge(question(leaf), anchors); err != nil {
			b.Fatal(err)
		}
	}
}
