package signature

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
)

var (
	_ sdk.Canary         = New()
	_ auth.Authenticator = New()
)

// keys are two of each kind, made once.
var keys = sync.OnceValue(func() map[string][2]crypto.Signer {
	all := map[string][2]crypto.Signer{}
	for i := range 2 {
		for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()} {
			key, _ := ecdsa.GenerateKey(curve, rand.Reader)
			pair := all[name]
			pair[i] = key
			all[name] = pair
		}
		r, _ := rsa.GenerateKey(rand.Reader, 2048)
		_, ed, _ := ed25519.GenerateKey(rand.Reader)
		a, b := all["RSA"], all["Ed25519"]
		a[i], b[i] = r, ed
		all["RSA"], all["Ed25519"] = a, b
	}
	return all
})

// all are the hashes that a modern peer announces.
var all = []uint16{cred.HashSHA256, cred.HashSHA384, cred.HashSHA512, cred.HashIdentity}

func TestSignatureConformsToTheAuthenticationContract(t *testing.T) {
	t.Parallel()
	for kind, pair := range keys() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			kit.Auth(t, kit.SignatureFixture(t, func() auth.Plugin { return New() }, Auth, pair[0], pair[1], all...))
		})
		if kind == "Ed25519" {
			continue
		}
		t.Run(kind+" without RFC 7427", func(t *testing.T) {
			t.Parallel()
			kit.Auth(t, kit.SignatureFixture(t, func() auth.Plugin { return New() }, Auth, pair[0], pair[1]))
		})
	}
}

func TestSignatureKnowsItsCanary(t *testing.T) {
	t.Parallel()
	if err := New().Canary(t.Context()); err != nil {
		t.Error(err)
	}
}

var (
	east = auth.Identity{Type: 2, Data: []byte("east.example.net")}
	west = auth.Identity{Type: 2, Data: []byte("west.example.net")}
)

// hosts returns the hosts of east and west, with keys of a kind.
func hosts(kind string) (e, w *kit.KeyHost) {
	pair := keys()[kind]
	known := map[string]crypto.PublicKey{east.String(): pair[0].Public(), west.String(): pair[1].Public()}
	return &kit.KeyHost{Own: pair[0], Known: known}, &kit.KeyHost{Own: pair[1], Known: known}
}

func signEast(hashes ...uint16) auth.Sign {
	return auth.Sign{Auth: Auth, Local: east, Remote: west, PRF: 5, Octets: []byte("message, nonce, MACedID"), PeerHashes: hashes}
}

func verifyAtWest(s auth.Sign, p auth.Signed) auth.Verify {
	return auth.Verify{Version: s.Version, Auth: Auth, Local: west, Remote: east, PRF: s.PRF, Octets: s.Octets, Method: p.Method, Data: p.Data, Certs: p.Certs}
}

// RFC7296-3.8-1; RFC 7427 section 4: by a hash that the peer announced; RFC 7296 section 2.15, RFC 4754 section 4: else by the method that it must know.
func TestTheMethodFollowsFromKeyAndPeer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		key    string
		hashes []uint16
		method uint8
		want   string // "": none
	}{
		{"RSA", all, 14, "RSA (PKCS #1 v1.5) with SHA2-256"},
		{"RSA", []uint16{cred.HashSHA384}, 14, "RSA (PKCS #1 v1.5) with SHA2-384"},
		{"RSA", []uint16{cred.HashSHA1}, 1, ""},
		{"RSA", nil, 1, ""},
		{"P-256", all, 14, "ECDSA with SHA2-256"},
		{"P-384", all, 14, "ECDSA with SHA2-384"},
		{"P-521", all, 14, "ECDSA with SHA2-512"},
		{"P-384", []uint16{cred.HashSHA256}, 14, "ECDSA with SHA2-256"},
		{"P-256", nil, 9, ""},
		{"P-384", nil, 10, ""},
		{"P-521", nil, 11, ""},
		{"Ed25519", all, 14, "Ed25519"},
		{"Ed25519", []uint16{cred.HashSHA256}, 0, "the peer cannot verify signatures by an Ed25519 key: it accepts the hashes [SHA2-256]"},
		{"Ed25519", nil, 0, "it does not know RFC 7427"},
	} {
		e, _ := hosts(tt.key)
		got, err := New().Sign(t.Context(), e, signEast(tt.hashes...))
		switch {
		case tt.method == 0:
			if !errors.Is(err, sdk.ErrNoCredential) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s for %v: %v", tt.key, tt.hashes, err)
			}
		case err != nil || got.Method != tt.method:
			t.Errorf("%s for %v: method %d, %v", tt.key, tt.hashes, got.Method, err)
		case tt.method == 14:
			if a, _, err := unpack(got.Data); err != nil || a.String() != tt.want {
				t.Errorf("%s for %v: %v, %v", tt.key, tt.hashes, a, err)
			}
		}
	}
}

// RFC 7427 appendix A and RFC 8420 appendix A, octet by octet.
func TestAlgorithmIdentifiersAreThoseOfTheRFCs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]algorithm{
		"300d06092a864886f70d01010b0500": {scheme: cred.RSAPKCS1, hash: cred.HashSHA256},
		"300d06092a864886f70d01010c0500": {scheme: cred.RSAPKCS1, hash: cred.HashSHA384},
		"300d06092a864886f70d01010d0500": {scheme: cred.RSAPKCS1, hash: cred.HashSHA512},
		"300a06082a8648ce3d040302":       {scheme: cred.ECDSAASN1, hash: cred.HashSHA256},
		"300a06082a8648ce3d040303":       {scheme: cred.ECDSAASN1, hash: cred.HashSHA384},
		"300a06082a8648ce3d040304":       {scheme: cred.ECDSAASN1, hash: cred.HashSHA512},
		"300506032b6570":                 {scheme: cred.Ed25519, hash: cred.HashIdentity},
		"304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108" +
			"300d06096086480165030402010500a203020120": {scheme: cred.RSAPSS, hash: cred.HashSHA256, salt: 32}, // without what is the default
	} {
		der, _ := hex.DecodeString(text)
		data, err := pack(want, []byte("signature"))
		if err != nil || !bytes.Equal(data, slices.Concat([]byte{byte(len(der))}, der, []byte("signature"))) {
			t.Errorf("%v: %x, %v", want, data, err)
		}
		if got, sig, err := unpack(data); got != want || string(sig) != "signature" || err != nil {
			t.Errorf("%v: read as %v with %q, %v", want, got, sig, err)
		}
	}
}

// RFC 7427 appendix A.4.3 spells out a trailer that DER would leave out; both forms are read.
func TestTheTrailerOfPSSMayBeThere(t *testing.T) {
	t.Parallel()
	der, _ := hex.DecodeString("304606092a864886f70d01010a3039a00f300d06096086480165030402010500a11c301a06092a864886f70d010108" +
		"300d06096086480165030402010500a203020120a303020101")
	want := algorithm{scheme: cred.RSAPSS, hash: cred.HashSHA256, salt: 32}
	if got, _, err := unpack(append([]byte{byte(len(der))}, der...)); got != want || err != nil {
		t.Errorf("read as %v, %v", got, err)
	}
}

// SHA-1, also as the default of RSASSA-PSS (RFC 7427 appendix A.1.1, A.4.1, A.4.2), and DSA are weak (RFC 8247 section 3.2).
func TestWeakAndStrangeIdentifiersAreRefused(t *testing.T) {
	t.Parallel()
	e, w := hosts("RSA")
	signed, err := New().Sign(t.Context(), e, signEast(all...))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"sha1WithRSAEncryption":              "0f300d06092a864886f70d0101050500",
		"dsa-with-sha256":                    "0d300b0609608648016503040302",
		"ecdsa-with-sha1":                    "0b300906072a8648ce3d0401",
		"RSASSA-PSS with empty parameters":   "0f300d06092a864886f70d01010a3000",
		"RSASSA-PSS without parameters":      "0d300b06092a864886f70d01010a",
		"RSASSA-PSS with other hash in MGF1": "48304606092a864886f70d01010a3039a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402020500a203020120a303020101",
		"RSASSA-PSS with a huge salt":        "4a304806092a864886f70d01010a303ba00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a20502037fffffa303020101",
		"nothing":                            "",
		"longer than the payload":            "ff30",
		"not DER":                            "02ffff",
		"rest behind it":                     "09300506032b65700500",
	} {
		data, _ := hex.DecodeString(text)
		v := verifyAtWest(signEast(), signed)
		v.Data = append(data, signed.Data[16:]...)
		if name == "nothing" || name == "longer than the payload" {
			v.Data = data
		}
		if _, err := New().Verify(t.Context(), w, v); !errors.Is(err, sdk.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// forge makes a proof of east that the plugin itself would not make.
func forge(t *testing.T, kind string, method uint8, a algorithm, octets []byte) auth.Verify {
	t.Helper()
	sig, err := kit.KeySign(keys()[kind][0], cred.SignRequest{Scheme: a.scheme, Hash: a.hash, Data: a.digest(octets)})
	if err != nil {
		t.Fatal(err)
	}
	if method == digitalSignature {
		if sig, err = pack(a, sig); err != nil {
			t.Fatal(err)
		}
	}
	return auth.Verify{Auth: Auth, Local: west, Remote: east, PRF: 5, Octets: octets, Method: method, Data: sig}
}

// RFC7296-3.8-1: method 1 is SHA-1 by default, and the hash shows in the signature; RFC 4754 section 4: a method names its curve.
func TestOldMethodsAreVerified(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		key    string
		method uint8
		algorithm
		good bool
	}{
		{"RSA", 1, algorithm{scheme: cred.RSAPKCS1, hash: cred.HashSHA1}, true},
		{"RSA", 1, algorithm{scheme: cred.RSAPKCS1, hash: cred.HashSHA256}, true},
		{"RSA", 1, algorithm{scheme: cred.RSAPKCS1, hash: cred.HashSHA512}, true},
		{"RSA", 1, algorithm{scheme: cred.RSAPSS, hash: cred.HashSHA256}, false},
		{"RSA", 14, algorithm{scheme: cred.RSAPSS, hash: cred.HashSHA384, salt: 48}, true},
		{"RSA", 9, algorithm{scheme: cred.RSAPKCS1, hash: cred.HashSHA256}, false},
		{"P-256", 9, algorithm{scheme: cred.ECDSA, hash: cred.HashSHA256}, true},
		{"P-521", 11, algorithm{scheme: cred.ECDSA, hash: cred.HashSHA512}, true},
		{"P-384", 9, algorithm{scheme: cred.ECDSA, hash: cred.HashSHA256}, false},
		{"P-256", 9, algorithm{scheme: cred.ECDSAASN1, hash: cred.HashSHA256}, false},
		{"P-256", 1, algorithm{scheme: cred.ECDSA, hash: cred.HashSHA256}, false},
		{"P-256", 14, algorithm{scheme: cred.ECDSAASN1, hash: cred.HashSHA512}, true},
	} {
		_, w := hosts(tt.key)
		who, err := New().Verify(t.Context(), w, forge(t, tt.key, tt.method, tt.algorithm, []byte("octets")))
		if tt.good != (err == nil) || err != nil && !errors.Is(err, sdk.ErrRefused) || err == nil && !equal(who, east) {
			t.Errorf("%s by method %d, %v: %v, %v", tt.key, tt.method, tt.algorithm, who, err)
		}
	}
}

// RFC 4754 section 8.1: the signature of "abc" by ECDSA-256.
func TestTheVectorOfRFC4754IsVerified(t *testing.T) {
	t.Parallel()
	point, _ := hex.DecodeString("04" + "2442A5CC0ECD015FA3CA31DC8E2BBC70BF42D60CBCA20085E0822CB04235E970" +
		"6FC98BD7E50211A4A27102FA3549DF79EBCB4BF246B80945CDDFE7D509BBFD7D")
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	sig, _ := hex.DecodeString("CB28E0999B9C7715FD0A80D8E47A77079716CBBF917DD72E97566EA1C066957C" +
		"86FA3BB4E26CAD5BF90B7F81899256CE7594BB1EA0C89212748BFF3B3D5B0315")
	host := &kit.KeyHost{Known: map[string]crypto.PublicKey{east.String(): key}}
	v := auth.Verify{Auth: Auth, Remote: east, Octets: []byte("abc"), Method: 9, Data: sig}
	if _, err := New().Verify(t.Context(), host, v); err != nil {
		t.Error(err)
	}
	v.Data = append([]byte{0}, sig...)
	if _, err := New().Verify(t.Context(), host, v); !errors.Is(err, sdk.ErrRefused) {
		t.Errorf("another length: %v", err)
	}
}

// As a responder we know what the peer's signatures look like, which RFC 7427 has no notify for.
func TestAResponderPadsRSAAsThePeerDoes(t *testing.T) {
	t.Parallel()
	_, w := hosts("RSA")
	s := auth.Sign{Auth: Auth, Local: west, Remote: east, PRF: 5, Octets: []byte("of the responder"), PeerHashes: all}
	for _, a := range []algorithm{{scheme: cred.RSAPSS, hash: cred.HashSHA256, salt: 32}, {scheme: cred.RSAPKCS1, hash: cred.HashSHA256}} {
		_, signed, err := New().Authenticate(t.Context(), w, forge(t, "RSA", 14, a, []byte("octets")), s)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := unpack(signed.Data); err != nil || got != a {
			t.Errorf("the peer used %v, we %v, %v", a, got, err)
		}
	}
}

// RFC 2409 section 5.1: RSA pads HASH_I itself, without DigestInfo; for ECDSA it is the digest.
func TestIKEv1SignsHASHItself(t *testing.T) {
	t.Parallel()
	hash := bytes.Repeat([]byte{7}, 32)
	for kind, method := range map[string]uint8{"RSA": 3, "P-256": 9, "P-384": 10} {
		e, w := hosts(kind)
		s := signEast()
		s.Version, s.Octets = 1, hash
		signed, err := New().Sign(t.Context(), e, s)
		if err != nil || signed.Method != method {
			t.Errorf("%s: method %d, %v", kind, signed.Method, err)
			continue
		}
		if key, ok := keys()[kind][0].Public().(*rsa.PublicKey); ok {
			if err := rsa.VerifyPKCS1v15(key, 0, hash, signed.Data); err != nil {
				t.Error(err)
			}
		}
		v := verifyAtWest(s, signed)
		if _, err := New().Verify(t.Context(), w, v); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		v.Version = 2
		if _, err := New().Verify(t.Context(), w, v); err == nil {
			t.Errorf("%s: a signature of IKEv1 passed in IKEv2", kind)
		}
		v.Version, v.Octets = 1, bytes.Repeat([]byte{8}, 32)
		if _, err := New().Verify(t.Context(), w, v); !errors.Is(err, sdk.ErrRefused) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	e, _ := hosts("Ed25519")
	s := signEast(all...)
	s.Version, s.Octets = 1, hash
	if _, err := New().Sign(t.Context(), e, s); !errors.Is(err, sdk.ErrNoCredential) || !strings.Contains(err.Error(), "in IKEv1") {
		t.Errorf("Ed25519: %v", err)
	}
}

// keyring is a store with several keys, and its own opinion of certificates.
type keyring struct {
	kit.KeyHost
	refs  []cred.Ref
	query cred.Query
	used  cred.SignRequest
	trust error
	asked cred.TrustRequest
}

func (k *keyring) Find(_ context.Context, q cred.Query) ([]cred.Ref, error) {
	k.query = q
	return k.refs, nil
}

func (k *keyring) Sign(_ context.Context, r cred.SignRequest) ([]byte, error) {
	k.used = r
	return []byte("signature"), nil
}

func (k *keyring) Trust(ctx context.Context, r cred.TrustRequest) (cred.Verdict, error) {
	if k.asked = r; k.trust != nil {
		return cred.Verdict{}, k.trust
	}
	return k.KeyHost.Trust(ctx, r)
}

func ref(t *testing.T, id, kind string) cred.Ref {
	t.Helper()
	public, err := x509.MarshalPKIXPublicKey(keys()[kind][0].Public())
	if err != nil {
		t.Fatal(err)
	}
	return cred.Ref{ID: id, Source: id + ".pem", Chain: [][]byte{[]byte(id)}, Public: public}
}

func TestTheFirstKeyThatThePeerCanVerifySigns(t *testing.T) {
	t.Parallel()
	ring := &keyring{refs: []cred.Ref{{ID: "broken"}, ref(t, "new", "Ed25519"), ref(t, "old", "RSA")}}
	s := signEast(cred.HashSHA256)
	s.Issuers = [][]byte{[]byte("an authority")}
	signed, err := New().Sign(t.Context(), ring, s)
	if err != nil || ring.used.Ref != "old" || string(signed.Certs[0]) != "old" {
		t.Errorf("signed with %q, %v", ring.used.Ref, err)
	}
	if q := ring.query; q.Purpose != cred.Signature || !equal(q.Local, east) || !equal(q.Remote, west) || len(q.Issuers) != 1 {
		t.Errorf("asked for %+v", q)
	}
	for _, left := range []int{2, 0} {
		ring.refs = ring.refs[:left]
		if _, err := New().Sign(t.Context(), ring, s); !errors.Is(err, sdk.ErrNoCredential) || left > 0 && !strings.Contains(err.Error(), "new.pem") {
			t.Errorf("%d keys left: %v", left, err)
		}
	}
}

// What the store says of a peer's certificate reaches the operator; that nobody knows the issuer is the peer's failure, and what
// may pass is asked again.
func TestDistrustIsExplained(t *testing.T) {
	t.Parallel()
	e, _ := hosts("RSA")
	signed, err := New().Sign(t.Context(), e, signEast(all...))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		trust error
		certs [][]byte
		is    error
		text  string
	}{
		{fmt.Errorf("cred/file: the certificate expired in May: %w", sdk.ErrRefused), [][]byte{{1}}, sdk.ErrRefused, "expired in May"},
		{fmt.Errorf("cred/file: CN=Nobody is unknown: %w", sdk.ErrNoCredential), [][]byte{{1}}, sdk.ErrRefused, "CN=Nobody is unknown"},
		{fmt.Errorf("cred/file: no certificate: %w", sdk.ErrInvalid), [][]byte{{1}}, sdk.ErrRefused, "no certificate"},
		{fmt.Errorf("cred/file: no key: %w", sdk.ErrNoCredential), nil, sdk.ErrRefused, `public_key "fqdn:east.example.net"`},
		{fmt.Errorf("cred/file: %w", sdk.ErrUnavailable), [][]byte{{1}}, sdk.ErrUnavailable, "unavailable"},
	} {
		v := verifyAtWest(signEast(), signed)
		v.Certs = tt.certs
		ring := &keyring{trust: tt.trust}
		_, err := New().Verify(t.Context(), ring, v)
		if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text) || errors.Is(err, sdk.ErrNoCredential) {
			t.Errorf("%v: %v", tt.trust, err)
		}
		if r := ring.asked; r.Purpose != cred.Signature || !equal(r.Identity, east) || len(r.Chain) != len(tt.certs) {
			t.Errorf("asked %+v", r)
		}
	}
}

func TestAnotherMethodIsExplained(t *testing.T) {
	t.Parallel()
	_, w := hosts("RSA")
	_, err := New().Verify(t.Context(), w, auth.Verify{Auth: Auth, Remote: east, Method: 2, Data: []byte("x")})
	if !errors.Is(err, sdk.ErrUnsupported) || !strings.Contains(err.Error(), "fqdn:east.example.net authenticates with AUTH method 2 (pre-shared key)") {
		t.Error(err)
	}
}

// The AUTH payload is a stranger's.
func FuzzAuthData(f *testing.F) {
	for _, kind := range []string{"RSA", "P-256", "Ed25519"} {
		e, _ := hosts(kind)
		if signed, err := New().Sign(f.Context(), e, signEast(all...)); err == nil {
			f.Add(signed.Method, signed.Data)
		}
	}
	f.Add(uint8(9), make([]byte, 64))
	_, w := hosts("P-256")
	f.Fuzz(func(t *testing.T, method uint8, data []byte) {
		v := auth.Verify{Auth: Auth, Remote: west, Octets: []byte("other octets than were signed"), Method: method, Data: data}
		if _, err := New().Verify(t.Context(), w, v); !errors.Is(err, sdk.ErrRefused) && !errors.Is(err, sdk.ErrUnsupported) {
			t.Errorf("method %d: %v", method, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for _, kind := range []string{"RSA", "P-256", "Ed25519"} {
		b.Run(kind, func(b *testing.B) {
			e, w := hosts(kind)
			signed, err := New().Sign(b.Context(), e, signEast(all...))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := New().Verify(b.Context(), w, verifyAtWest(signEast(), signed)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
