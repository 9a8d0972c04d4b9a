package kit

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
)

// KeyFixture is what the suite of stores with private keys works with.
type KeyFixture struct {
	Open       func() cred.Store // another instance over the same credentials
	Signature  []cred.Query      // for each of which there is a key that signs
	Decryption []cred.Query      // for each of which there is a key that decrypts; none: the store does not decrypt
	Unknown    cred.Query        // of ours, for whom there is no key; its purpose is Signature
}

// Keys runs every check of the contract of private keys.
func Keys(t *testing.T, f KeyFixture) {
	t.Helper()
	Run(t, KeyChecks(), f)
}

// KeyChecks returns the checks of cred.Signer and cred.Decrypter, and of Find for their purposes.
func KeyChecks() []Check[KeyFixture] {
	return []Check[KeyFixture]{
		{"a key is found with its public part and the certificate of that", "sdk/cred Ref", keyFinds},
		{"every signature of a key verifies", "RFC 7296 section 2.15, RFC 7427, RFC 4754, RFC 8420, RFC 2409 section 5.1", keySigns},
		{"a scheme that does not fit the key is unsupported", "sdk/cred Signer", keyOtherScheme},
		{"what is no digest of the hash is invalid", "sdk/cred Signer", keyOtherDigest},
		{"an unknown reference or identity is no credential and named", "sdk/cred Signer", keyUnknown},
		{"a key serves one purpose", "sdk/cred Purpose", keyOnePurpose},
		{"a good ciphertext gives its message", "RFC 8017 section 7.2", keyDecrypts},
		{"a bad padding cannot be told from a good one", "sdk/cred Decrypter", keyRejectsImplicitly},
		{"a ciphertext of another size is invalid", "sdk/cred Decrypter", keyOtherCiphertext},
		{"calls run at the same time", "sdk/cred Plugin", keyConcurrent},
		{"a call whose context ended is not performed", "sdk/cred Plugin", keyCanceled},
	}
}

// each calls check with every key of a list of queries, found anew in a store of its own.
func (f KeyFixture) each(ctx context.Context, queries []cred.Query, check func(s cred.Store, ref cred.Ref, public crypto.PublicKey) error) error {
	for _, q := range queries {
		s := f.Open()
		refs, err := s.Find(ctx, q)
		if err != nil {
			return err
		}
		if len(refs) == 0 {
			return fmt.Errorf("nothing found for %v", q.Local)
		}
		public, err := x509.ParsePKIXPublicKey(refs[0].Public)
		if err != nil {
			return fmt.Errorf("the public key for %v: %w", q.Local, err)
		}
		if err := check(s, refs[0], public); err != nil {
			return fmt.Errorf("key for %v from %s: %w", q.Local, refs[0].Source, err)
		}
	}
	return nil
}

func (f KeyFixture) all() []cred.Query {
	return append(f.Signature[:len(f.Signature):len(f.Signature)], f.Decryption...)
}

func keyFinds(ctx context.Context, f KeyFixture) error {
	seen := map[string]bool{}
	for _, q := range f.all() {
		refs, err := f.Open().Find(ctx, q)
		if err != nil || len(refs) == 0 {
			return fmt.Errorf("%v: %d found, %w", q.Local, len(refs), err)
		}
		ref := refs[0]
		if ref.ID == "" || ref.Source == "" || len(ref.Public) == 0 || seen[ref.ID] {
			return fmt.Errorf("incomplete or repeated: ID %q, source %q, public part of %d octets", ref.ID, ref.Source, len(ref.Public))
		}
		seen[ref.ID] = true
		if len(ref.Chain) > 0 {
			c, err := x509.ParseCertificate(ref.Chain[0])
			if err != nil || !bytes.Equal(c.RawSubjectPublicKeyInfo, ref.Public) {
				return fmt.Errorf("the first certificate is not that of the key: %v", err)
			}
		}
		again, err := f.Open().Find(ctx, q)
		if err != nil || !reflect.DeepEqual(refs, again) {
			return fmt.Errorf("another instance found something else for %v, error %v", q.Local, err)
		}
	}
	return nil
}

// signings are the requests that fit a public key.
func signings(public crypto.PublicKey) (all []cred.SignRequest) {
	schemes := map[bool][]cred.SignScheme{true: {cred.RSAPKCS1, cred.RSAPSS}, false: {cred.ECDSA, cred.ECDSAASN1}}
	_, isRSA := public.(*rsa.PublicKey)
	if _, ok := public.(ed25519.PublicKey); ok {
		return []cred.SignRequest{{Scheme: cred.Ed25519, Hash: cred.HashIdentity, Data: octets('s')}}
	}
	for _, scheme := range schemes[isRSA] {
		for _, id := range []uint16{cred.HashSHA1, cred.HashSHA256, cred.HashSHA384, cred.HashSHA512} {
			h := cryptoHashes[id].New()
			h.Write(octets('s'))
			all = append(all, cred.SignRequest{Scheme: scheme, Hash: id, Data: h.Sum(nil)})
		}
	}
	if isRSA {
		for _, size := range []int{16, 20, 32, 48, 64} { // HASH_I and HASH_R with MD5, SHA-1 and SHA-2
			all = append(all, cred.SignRequest{Scheme: cred.RSAPKCS1Bare, Data: octets('b')[:size]})
		}
	}
	return all
}

// Verified tells whether a signature that a store made is right.
func Verified(public crypto.PublicKey, r cred.SignRequest, signature []byte) error {
	ok := false
	switch key := public.(type) {
	case *rsa.PublicKey:
		if r.Scheme == cred.RSAPSS {
			return rsa.VerifyPSS(key, cryptoHashes[r.Hash], r.Data, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.VerifyPKCS1v15(key, cryptoHashes[r.Hash], r.Data, signature)
	case *ecdsa.PublicKey:
		if r.Scheme == cred.ECDSAASN1 {
			ok = ecdsa.VerifyASN1(key, r.Data, signature)
			break
		}
		size := (key.Params().N.BitLen() + 7) / 8
		if len(signature) != 2*size { // RFC 4754 section 7
			return fmt.Errorf("%d octets of r and s, want %d", len(signature), 2*size)
		}
		ok = ecdsa.Verify(key, r.Data, new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])) //nolint:staticcheck // r and s are what IKE has
	case ed25519.PublicKey:
		ok = ed25519.Verify(key, r.Data, signature)
	}
	if !ok {
		return errors.New("the signature does not verify")
	}
	return nil
}

func keySigns(ctx context.Context, f KeyFixture) error {
	return f.each(ctx, f.Signature, func(s cred.Store, ref cred.Ref, public crypto.PublicKey) error {
		for _, r := range signings(public) {
			r.Ref = ref.ID
			signature, err := s.Sign(ctx, r)
			if err == nil {
				err = Verified(public, r, signature)
			}
			if err != nil {
				return fmt.Errorf("scheme %d, hash %d, %d octets: %w", r.Scheme, r.Hash, len(r.Data), err)
			}
		}
		return nil
	})
}

func keyOtherScheme(ctx context.Context, f KeyFixture) error {
	return f.each(ctx, f.Signature, func(s cred.Store, ref cred.Ref, public crypto.PublicKey) error {
		fit := map[cred.SignScheme]bool{}
		for _, r := range signings(public) {
			fit[r.Scheme] = true
		}
		for _, r := range []cred.SignRequest{
			{Scheme: cred.RSAPKCS1, Hash: cred.HashSHA256, Data: make([]byte, 32)}, {Scheme: cred.RSAPKCS1Bare, Data: make([]byte, 20)},
			{Scheme: cred.RSAPSS, Hash: cred.HashSHA256, Data: make([]byte, 32)}, {Scheme: cred.ECDSA, Hash: cred.HashSHA256, Data: make([]byte, 32)},
			{Scheme: cred.ECDSAASN1, Hash: cred.HashSHA256, Data: make([]byte, 32)}, {Scheme: cred.Ed25519, Hash: cred.HashIdentity, Data: make([]byte, 32)},
			{Scheme: 255, Hash: cred.HashSHA256, Data: make([]byte, 32)},
		} {
			if r.Ref = ref.ID; fit[r.Scheme] {
				continue
			}
			_, err := s.Sign(ctx, r)
			if err := WantError(fmt.Sprintf("scheme %d", r.Scheme), err, sdk.ErrUnsupported); err != nil {
				return err
			}
		}
		return nil
	})
}

func keyOtherDigest(ctx context.Context, f KeyFixture) error {
	return f.each(ctx, f.Signature, func(s cred.Store, ref cred.Ref, public crypto.PublicKey) error {
		r := signings(public)[0]
		r.Ref = ref.ID
		if r.Scheme == cred.Ed25519 {
			r.Hash = cred.HashSHA256
		} else {
			r.Data = r.Data[1:]
		}
		_, err := s.Sign(ctx, r)
		var bare error
		if _, ok := public.(*rsa.PublicKey); ok { // a DigestInfo of the caller's choice would pass for another signature
			_, err := s.Sign(ctx, cred.SignRequest{Ref: ref.ID, Scheme: cred.RSAPKCS1Bare, Data: make([]byte, 51)})
			bare = WantError("a bare DigestInfo", err, sdk.ErrInvalid)
		}
		return errors.Join(WantError("another digest", err, sdk.ErrInvalid), bare)
	})
}

func keyUnknown(ctx context.Context, f KeyFixture) error {
	s := f.Open()
	_, find := s.Find(ctx, f.Unknown)
	_, sign := s.Sign(ctx, cred.SignRequest{Ref: "nobody's", Scheme: cred.ECDSA, Hash: cred.HashSHA256, Data: make([]byte, 32)})
	err := errors.Join(WantError("find", find, sdk.ErrNoCredential), WantError("sign", sign, sdk.ErrNoCredential))
	if err == nil && !strings.Contains(find.Error(), f.Unknown.Local.String()) {
		err = fmt.Errorf("the error %q does not name %v", find, f.Unknown.Local)
	}
	if len(f.Decryption) > 0 {
		_, decrypt := s.Decrypt(ctx, cred.DecryptRequest{Ref: "nobody's", Scheme: cred.RSAPKCS1v15, Data: make([]byte, 256)})
		err = errors.Join(err, WantError("decrypt", decrypt, sdk.ErrNoCredential))
	}
	return err
}

func keyOnePurpose(ctx context.Context, f KeyFixture) error {
	if len(f.Decryption) == 0 {
		return nil
	}
	signs := f.each(ctx, f.Signature, func(s cred.Store, ref cred.Ref, public crypto.PublicKey) error {
		_, err := s.Decrypt(ctx, cred.DecryptRequest{Ref: ref.ID, Scheme: cred.RSAPKCS1v15, Data: make([]byte, 256)})
		return WantError("a decryption with a key for signatures", err, sdk.ErrNoCredential)
	})
	return errors.Join(signs, f.each(ctx, f.Decryption, func(s cred.Store, ref cred.Ref, public crypto.PublicKey) error {
		r := signings(public)[0]
		r.Ref = ref.ID
		_, err := s.Sign(ctx, r)
		return WantError("a signature with a key for decryption", err, sdk.ErrNoCredential)
	}))
}

// EncryptPKCS1 is RFC 8017 section 7.2.1 with a padding of ones, for tests; kind 2 is the right block type.
func EncryptPKCS1(key *rsa.PublicKey, kind byte, message []byte) []byte {
	padded := bytes.Repeat([]byte{1}, key.Size())
	padded[0], padded[1], padded[key.Size()-len(message)-1] = 0, kind, 0
	copy(padded[key.Size()-len(message):], message)
	return new(big.Int).Exp(new(big.Int).SetBytes(padded), big.NewInt(int64(key.E)), key.N).FillBytes(make([]byte, key.Size()))
}

func keyDecrypts(ctx context.Context, f KeyFixture) error {
	return f.each(ctx, f.Decryption, func(s cred.Store, ref cred.Ref, public crypto.PublicKey) error {
		key := public.(*rsa.PublicKey)
		for _, size := range []int{0, 1, 20, 64, key.Size() - 11} {
			got, err := s.Decrypt(ctx, cred.DecryptRequest{Ref: ref.ID, Scheme: cred.RSAPKCS1v15, Data: EncryptPKCS1(key, 2, octets('m')[:size])})
			if err != nil || !bytes.Equal(got, octets('m')[:size]) {
				return fmt.Errorf("a message of %d octets: another one, %v", size, err)
			}
		}
		return nil
	})
}

func keyRejectsImplicitly(ctx context.Context, f KeyFixture) error {
	return f.each(ctx, f.Decryption, func(s cred.Store, ref cred.Ref, public crypto.PublicKey) error {
		key, lengths := public.(*rsa.PublicKey), map[int]bool{}
		for n := range byte(16) {
			message := bytes.Repeat([]byte{n + 1}, 20)
			r := cred.DecryptRequest{Ref: ref.ID, Scheme: cred.RSAPKCS1v15, Data: EncryptPKCS1(key, 1, message)}
			got, err := s.Decrypt(ctx, r)
			again, errAgain := s.Decrypt(ctx, r)
			switch {
			case err != nil || errAgain != nil:
				return fmt.Errorf("an error tells that the padding is bad: %w", errors.Join(err, errAgain))
			case !bytes.Equal(got, again):
				return errors.New("the same ciphertext gives another message the second time")
			case bytes.Equal(got, message):
				return errors.New("the message of a bad padding came out")
			}
			lengths[len(got)] = true
		}
		if len(lengths) < 4 {
			return fmt.Errorf("16 bad paddings gave messages of %d lengths only", len(lengths))
		}
		return nil
	})
}

func keyOtherCiphertext(ctx context.Context, f KeyFixture) error {
	return f.each(ctx, f.Decryption, func(s cred.Store, ref cred.Ref, public crypto.PublicKey) error {
		size := public.(*rsa.PublicKey).Size()
		for _, data := range [][]byte{nil, make([]byte, size-1), make([]byte, size+1), bytes.Repeat([]byte{0xff}, size)} {
			_, err := s.Decrypt(ctx, cred.DecryptRequest{Ref: ref.ID, Scheme: cred.RSAPKCS1v15, Data: data})
			if err := WantError(fmt.Sprintf("%d octets", len(data)), err, sdk.ErrInvalid); err != nil {
				return err
			}
		}
		_, err := s.Decrypt(ctx, cred.DecryptRequest{Ref: ref.ID, Scheme: 255, Data: make([]byte, size)})
		return WantError("scheme 255", err, sdk.ErrUnsupported)
	})
}

func keyConcurrent(ctx context.Context, f KeyFixture) error {
	return f.each(ctx, f.Signature, func(s cred.Store, ref cred.Ref, public crypto.PublicKey) error {
		return Together(func(n int) error {
			requests := signings(public)
			r := requests[n%len(requests)]
			r.Ref = ref.ID
			signature, err := s.Sign(ctx, r)
			if err != nil {
				return err
			}
			return Verified(public, r, signature)
		})
	})
}

func keyCanceled(ctx context.Context, f KeyFixture) error {
	return f.each(ctx, f.Signature, func(s cred.Store, ref cred.Ref, public crypto.PublicKey) error {
		r := signings(public)[0]
		r.Ref = ref.ID
		_, find := s.Find(Canceled(ctx), f.Signature[0])
		_, sign := s.Sign(Canceled(ctx), r)
		return errors.Join(WantCanceled("find", find), WantCanceled("sign", sign))
	})
}
