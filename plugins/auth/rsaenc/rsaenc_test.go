package rsaenc_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"

	"github.com/parley-ike/parley/plugins/auth/rsaenc"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/sdktest"
	"github.com/parley-ike/parley/sdk/secret"
	"github.com/parley-ike/parley/sdk/serve"
)

var (
	_    auth.Protector = rsaenc.New()
	east                = auth.Identity{Type: 2, Data: []byte("east")}
	west                = auth.Identity{Type: 2, Data: []byte("west")}
)

// host is a store with keys of ours, and the public key of every peer.
type host struct {
	cred.Unsupported
	ours  []*rsa.PrivateKey
	certs [][]byte // of ours, in their order
	peer  any      // public key
	asked cred.TrustRequest
	err   error
}

func spki(public any) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err)
	}
	return der
}

func (h *host) Find(_ context.Context, q cred.Query) (refs []cred.Ref, err error) {
	if q.Purpose != cred.Decryption {
		return nil, sdk.ErrNoCredential
	}
	for i, key := range h.ours {
		ref := cred.Ref{ID: string(rune('0' + i)), Source: "key", Public: spki(&key.PublicKey)}
		if i < len(h.certs) {
			ref.Chain = [][]byte{h.certs[i]}
		}
		refs = append(refs, ref)
	}
	return refs, h.err
}

func (h *host) Trust(_ context.Context, r cred.TrustRequest) (cred.Verdict, error) {
	h.asked = r
	return cred.Verdict{Public: spki(h.peer), Anchor: "west.pub"}, h.err
}

// Decrypt gives the whole padded block where the padding is wrong: the plugin is not to care.
func (h *host) Decrypt(_ context.Context, r cred.DecryptRequest) (secret.Bytes, error) {
	key := h.ours[r.Ref[0]-'0']
	if r.Scheme != cred.RSAPKCS1v15 || len(r.Data) != key.Size() {
		return nil, sdk.ErrInvalid
	}
	em := new(big.Int).Exp(new(big.Int).SetBytes(r.Data), key.D, key.N).FillBytes(make([]byte, key.Size()))
	padding, message, ok := bytes.Cut(em[2:], []byte{0})
	if em[0] != 0 || em[1] != 2 || !ok || len(padding) < 8 {
		return em, nil
	}
	return message, nil
}

func newKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// RFC 2409 section 5.2: the bodies of the ID and NONCE payloads, each in a block of its own, as PKCS #1 pads it (RFC2409-5.2-2).
func TestWhatOneSideProtectsTheOtherUnprotects(t *testing.T) {
	t.Parallel()
	a, b := newKey(t, 2048), newKey(t, 1531)
	ours, theirs := &host{ours: []*rsa.PrivateKey{a}, peer: &b.PublicKey}, &host{ours: []*rsa.PrivateKey{b}, peer: &a.PublicKey}
	remote := sdktest.Serve(t, serve.Auth("rsaenc", rsaenc.New())).Auth("rsaenc").(auth.Protector)
	for name, plugin := range map[string]auth.Protector{"linked": rsaenc.New(), "as a process": remote} {
		for _, size := range []int{0, 1, 16, b.Size() - 11} {
			body := bytes.Repeat([]byte{0, 7}, size)[:size]
			p, err := plugin.Protect(t.Context(), ours, auth.Protect{Auth: rsaenc.Standard, Local: east, Remote: west, Plain: []secret.Bytes{body, secret.Bytes("nonce")}})
			if err != nil || len(p.Cipher) != 2 || !bytes.Equal(p.Key, spki(&b.PublicKey)) {
				t.Fatalf("%s, %d octets: %+v, %v", name, size, p, err)
			}
			plain, err := plugin.Unprotect(t.Context(), theirs, auth.Unprotect{Auth: rsaenc.Revised, Local: west, Cipher: p.Cipher})
			if err != nil || !bytes.Equal(plain[0], body) || !bytes.Equal(plain[1], []byte("nonce")) {
				t.Errorf("%s, %d octets: %x, %v", name, size, plain, err)
			}
		}
	}
	if ours.asked.Purpose != cred.Decryption || ours.asked.Identity.String() != west.String() || ours.asked.Chain != nil {
		t.Errorf("asked for the key of %+v", ours.asked)
	}
}

func TestNoTwoCiphertextsAreTheSame(t *testing.T) {
	t.Parallel()
	key := newKey(t, 1024)
	h := &host{ours: []*rsa.PrivateKey{key}, peer: &key.PublicKey}
	seen := map[string]bool{}
	for range 100 { // the padding of some 32 % would have a zero if zeros were left in it
		p, err := rsaenc.New().Protect(t.Context(), h, auth.Protect{Auth: rsaenc.Standard, Plain: []secret.Bytes{secret.Bytes("m")}})
		if err != nil {
			t.Fatal(err)
		}
		seen[string(p.Cipher[0])] = true
		if plain, err := rsaenc.New().Unprotect(t.Context(), h, auth.Unprotect{Auth: rsaenc.Standard, Cipher: p.Cipher}); err != nil || string(plain[0]) != "m" {
			t.Fatalf("%x, %v", plain, err)
		}
	}
	if len(seen) != 100 {
		t.Errorf("%d ciphertexts of 100 differ", len(seen))
	}
}

// RFC 2409 section 5.2: HASH(1) says which of our certificates the peer has used.
func TestHASH1ChoosesAmongOurKeys(t *testing.T) {
	t.Parallel()
	a, b := newKey(t, 1024), newKey(t, 1024)
	h := &host{ours: []*rsa.PrivateKey{a, b}, certs: [][]byte{[]byte("certificate a"), []byte("certificate b")}, peer: &b.PublicKey}
	p, err := rsaenc.New().Protect(t.Context(), h, auth.Protect{Auth: rsaenc.Standard, Certs: [][]byte{[]byte("theirs")}, Plain: []secret.Bytes{secret.Bytes("m")}})
	if err != nil || string(p.Key) != "theirs" || string(p.Certs[0]) != "certificate a" || len(h.asked.Chain) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	cert, key := sha1.Sum([]byte("certificate b")), sha256.Sum256(spki(&b.PublicKey))
	for name, c := range map[string]struct {
		prf  uint16
		hash []byte
		ok   bool
	}{"certificate": {2, cert[:], true}, "public key": {5, key[:], true}, "another hash": {6, key[:], false}, "another key": {2, make([]byte, 20), false},
		"an unknown PRF": {99, cert[:], false}} {
		plain, err := rsaenc.New().Unprotect(t.Context(), h, auth.Unprotect{Auth: rsaenc.Standard, KeyHash: c.hash, PRF: c.prf, Cipher: p.Cipher})
		if c.ok && (err != nil || string(plain[0]) != "m") || !c.ok && !errors.Is(err, sdk.ErrNoCredential) {
			t.Errorf("%s: %x, %v", name, plain, err)
		}
	}
}

func TestWhatCannotBeProtectedIsRefused(t *testing.T) {
	t.Parallel()
	key, small := newKey(t, 1024), &rsa.PublicKey{N: big.NewInt(3233), E: 17}
	elliptic, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	one := []secret.Bytes{secret.Bytes("m")}
	ours := []*rsa.PrivateKey{key}
	for name, c := range map[string]struct {
		host host
		p    auth.Protect
		want error
	}{
		"another setting":  {host{ours: ours, peer: &key.PublicKey}, auth.Protect{Auth: "psk", Plain: one}, sdk.ErrUnsupported},
		"nothing":          {host{ours: ours, peer: &key.PublicKey}, auth.Protect{Auth: rsaenc.Standard}, sdk.ErrInvalid},
		"too much":         {host{ours: ours, peer: &key.PublicKey}, auth.Protect{Auth: rsaenc.Standard, Plain: []secret.Bytes{make([]byte, 118)}}, sdk.ErrInvalid},
		"too many":         {host{ours: ours, peer: &key.PublicKey}, auth.Protect{Auth: rsaenc.Standard, Plain: make([]secret.Bytes, 9)}, sdk.ErrInvalid},
		"no key of ours":   {host{peer: &key.PublicKey}, auth.Protect{Auth: rsaenc.Standard, Plain: one}, sdk.ErrNoCredential},
		"nobody vouches":   {host{ours: ours, peer: &key.PublicKey, err: sdk.ErrRefused}, auth.Protect{Auth: rsaenc.Standard, Plain: one}, sdk.ErrRefused},
		"a key of 12 bits": {host{ours: ours, peer: small}, auth.Protect{Auth: rsaenc.Standard, Plain: one}, sdk.ErrInvalid},
		"an even exponent": {host{ours: ours, peer: &rsa.PublicKey{N: key.N, E: 4}}, auth.Protect{Auth: rsaenc.Standard, Plain: one}, sdk.ErrInvalid},
		"an even modulus":  {host{ours: ours, peer: &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 3}}, auth.Protect{Auth: rsaenc.Standard, Plain: one}, sdk.ErrInvalid},
		"an elliptic key":  {host{ours: ours, peer: &elliptic.PublicKey}, auth.Protect{Auth: rsaenc.Standard, Plain: one}, sdk.ErrUnsupported},
	} {
		if p, err := rsaenc.New().Protect(t.Context(), &c.host, c.p); !errors.Is(err, c.want) || p.Cipher != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	h := &host{ours: ours}
	for name, c := range map[string]struct {
		u    auth.Unprotect
		want error
	}{
		"another setting":    {auth.Unprotect{Auth: "psk", Cipher: [][]byte{{1}}}, sdk.ErrUnsupported},
		"nothing":            {auth.Unprotect{Auth: rsaenc.Standard}, sdk.ErrInvalid},
		"a short ciphertext": {auth.Unprotect{Auth: rsaenc.Standard, Cipher: [][]byte{{1}}}, sdk.ErrInvalid},
	} {
		if _, err := rsaenc.New().Unprotect(t.Context(), h, c.u); !errors.Is(err, c.want) {
			t.Errorf("unprotect, %s: %v, want %v", name, err, c.want)
		}
	}
}

func TestThereIsNothingToSign(t *testing.T) {
	t.Parallel()
	_, sign := rsaenc.New().Sign(t.Context(), &host{}, auth.Sign{Auth: rsaenc.Standard})
	_, verify := rsaenc.New().Verify(t.Context(), &host{}, auth.Verify{Auth: rsaenc.Standard})
	if !errors.Is(sign, sdk.ErrUnsupported) || !errors.Is(verify, sdk.ErrUnsupported) {
		t.Errorf("%v, %v", sign, verify)
	}
}
