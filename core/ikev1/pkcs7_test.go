package ikev1

import (
	"bytes"
	"encoding/asn1"
	"slices"
	"testing"

	"github.com/parley-ike/parley/core/wire/wire1"
)

// bagOf wraps certificates as OpenSSL's crl2pkcs7 -nocrl does: SignedData of nothing, signed by nobody (RFC 2315 section 9.1).
func bagOf(t testing.TB, certs ...[]byte) []byte {
	t.Helper()
	marshal := func(v any) []byte {
		b, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	emptySet := asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagSet, IsCompound: true}
	data := marshal(struct{ Type asn1.ObjectIdentifier }{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}})
	inner := marshal(struct {
		Version                          int
		Digests, Content, Certs, Signers asn1.RawValue
	}{1, emptySet, asn1.RawValue{FullBytes: data}, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: slices.Concat(certs...)}, emptySet})
	content := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: inner}
	return marshal(struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}{signedData, content})
}

func fakeCert(t testing.TB, name string) []byte {
	t.Helper()
	b, err := asn1.Marshal(struct{ Name string }{name})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RFC 2408 section 3.9: a chain may come wrapped, or certificate by certificate, or both.
func TestCertificatesComeWrappedOrOneByOne(t *testing.T) {
	t.Parallel()
	end, ca, root := fakeCert(t, "end"), fakeCert(t, "ca"), fakeCert(t, "root")
	got := certificates([]wire1.Payload{wire1.Cert{Encoding: wire1.CertX509Signature, Data: end}, wire1.Cert{Encoding: wire1.CertCRL, Data: ca},
		wire1.Cert{Encoding: wire1.CertPKCS7, Data: bagOf(t, ca, root)}})
	if want := [][]byte{end, ca, root}; !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%x, want %x", got, want)
	}
	var many [][]byte
	for range 2 * maxPeerCerts {
		many = append(many, ca)
	}
	if got := certificates([]wire1.Payload{wire1.Cert{Encoding: wire1.CertPKCS7, Data: bagOf(t, many...)}}); len(got) != maxPeerCerts {
		t.Errorf("%d certificates of %d are taken", len(got), len(many))
	}
}

func TestWhatIsNoChainHasNoCertificates(t *testing.T) {
	t.Parallel()
	whole := bagOf(t, fakeCert(t, "end"))
	for cut := range whole {
		if got := unwrap(whole[:cut], maxPeerCerts); got != nil {
			t.Fatalf("%d octets of %d hold %d certificates", cut, len(whole), len(got))
		}
	}
	if got := unwrap(append(slices.Clone(whole), 0), maxPeerCerts); got != nil {
		t.Error("octets behind the chain are ignored")
	}
	if got := unwrap(bagOf(t), maxPeerCerts); got != nil {
		t.Errorf("an empty chain holds %x", got)
	}
}

func FuzzUnwrap(f *testing.F) {
	f.Add(bagOf(f, fakeCert(f, "end"), fakeCert(f, "ca")))
	f.Fuzz(func(t *testing.T, der []byte) {
		if got := unwrap(der, 3); len(got) > 3 {
			t.Errorf("%d certificates, at most 3 were asked for", len(got))
		}
	})
}
