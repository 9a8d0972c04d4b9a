package signature

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
)

// choice is a method of AUTH with its algorithm.
type choice struct {
	method uint8
	algorithm
}

// sign finds a key of ours that the peer can verify, and has the store sign with it. like is what the peer signed with, if known.
func sign(ctx context.Context, host auth.Host, s auth.Sign, like algorithm) (auth.Signed, error) {
	if err := checkAuth(s.Auth); err != nil {
		return auth.Signed{}, err
	}
	refs, err := host.Find(ctx, cred.Query{Purpose: cred.Signature, Local: s.Local, Remote: s.Remote, Issuers: s.Issuers})
	if err != nil {
		return auth.Signed{}, fmt.Errorf("signature: private key of %v: %w", s.Local, err)
	}
	var misfits []error
	for _, ref := range refs {
		c, err := choose(ref, s, like)
		if err != nil {
			misfits = append(misfits, err)
			continue
		}
		return signWith(ctx, host, ref, c, s.Octets)
	}
	return auth.Signed{}, fmt.Errorf("signature: no private key of %v can be used: %w: %w", s.Local, errors.Join(misfits...), sdk.ErrNoCredential)
}

func signWith(ctx context.Context, host auth.Host, ref cred.Ref, c choice, octets []byte) (auth.Signed, error) {
	sig, err := host.Sign(ctx, cred.SignRequest{Ref: ref.ID, Scheme: c.scheme, Hash: c.hash, Data: c.digest(octets)})
	if err != nil {
		return auth.Signed{}, fmt.Errorf("signature: %s: %w", ref.Source, err)
	}
	if len(sig) == 0 {
		return auth.Signed{}, fmt.Errorf("signature: %s: the credential store gave an empty signature", ref.Source)
	}
	if c.method == digitalSignature {
		if sig, err = pack(c.algorithm, sig); err != nil {
			return auth.Signed{}, err
		}
	}
	return auth.Signed{Method: c.method, Data: sig, Certs: ref.Chain}, nil
}

// choose returns how to sign with a key for a peer.
func choose(ref cred.Ref, s auth.Sign, like algorithm) (choice, error) {
	public, err := x509.ParsePKIXPublicKey(ref.Public)
	if err != nil {
		return choice{}, fmt.Errorf("%s: its public key cannot be read: %w", ref.Source, err)
	}
	candidates := options(public)
	if s.Version == 1 {
		candidates = optionsV1(public, hashOfPRF[s.PRF])
	}
	if i := slices.IndexFunc(candidates, func(c choice) bool { return sameKind(c.algorithm, like) && c.suits(s) }); i >= 0 {
		return candidates[i], nil
	}
	if i := slices.IndexFunc(candidates, func(c choice) bool { return c.suits(s) }); i >= 0 {
		return candidates[i], nil
	}
	return choice{}, fmt.Errorf("%s: the peer cannot verify signatures by an %s%s", ref.Source, keyName(public), announced(s))
}

// suits reports whether a peer can verify: by one of the hashes that it announced (RFC 7427 section 4), or a method that is older.
func (c choice) suits(s auth.Sign) bool {
	return c.method != digitalSignature || slices.Contains(s.PeerHashes, c.hash)
}

// options returns the ways to sign with a key for IKEv2, best first. Of the hashes that the peer knows, the one that fits the size
// of the key; what RFC 7296 section 2.15 and RFC 4754 prescribe comes last.
func options(public crypto.PublicKey) (list []choice) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		for _, scheme := range []cred.SignScheme{cred.RSAPKCS1, cred.RSAPSS} {
			for _, h := range []uint16{cred.HashSHA256, cred.HashSHA512, cred.HashSHA384} {
				list = append(list, choice{digitalSignature, algorithm{scheme: scheme, hash: h, salt: salt(scheme, h)}})
			}
		}
		return append(list, choice{rsaSignature, algorithm{scheme: cred.RSAPKCS1, hash: cred.HashSHA1}})
	case *ecdsa.PublicKey:
		c, ok := curves[key.Curve.Params().Name]
		if !ok {
			return nil
		}
		for _, h := range []uint16{c.hash, cred.HashSHA512, cred.HashSHA384, cred.HashSHA256} {
			list = append(list, choice{digitalSignature, algorithm{scheme: cred.ECDSAASN1, hash: h}})
		}
		return append(list, choice{c.method, algorithm{scheme: cred.ECDSA, hash: c.hash}})
	case ed25519.PublicKey:
		return []choice{{digitalSignature, algorithm{scheme: cred.Ed25519, hash: cred.HashIdentity}}}
	}
	return nil
}

// hashOfPRF are the hashes of the HMAC PRFs by transform ID: in IKEv1 one hash is negotiated for both (RFC 2409 section 4).
var hashOfPRF = map[uint16]uint16{2: cred.HashSHA1, 5: cred.HashSHA256, 6: cred.HashSHA384, 7: cred.HashSHA512}

// optionsV1 returns the way to sign with a key for IKEv1: RSA pads HASH_I or HASH_R itself, without DigestInfo (RFC 2409 section 5.1),
// and for ECDSA it is the digest.
func optionsV1(public crypto.PublicKey, hash uint16) []choice {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return []choice{{rsaSignatureV1, algorithm{scheme: cred.RSAPKCS1Bare, hashed: true}}}
	case *ecdsa.PublicKey:
		if c, ok := curves[key.Curve.Params().Name]; ok && hash != 0 {
			return []choice{{c.method, algorithm{scheme: cred.ECDSA, hash: hash, hashed: true}}}
		}
	}
	return nil
}

// salt of RSASSA-PSS is as long as the hash (RFC 7427 appendix A.4.3).
func salt(scheme cred.SignScheme, hash uint16) int {
	if scheme != cred.RSAPSS {
		return 0
	}
	return hashes[hash].Size()
}

func announced(s auth.Sign) string {
	switch {
	case s.Version == 1:
		return " in IKEv1: use one with RSA, or ECDSA on P-256, P-384 or P-521"
	case len(s.PeerHashes) == 0:
		return ": it does not know RFC 7427; use a key with RSA, or ECDSA on P-256, P-384 or P-521"
	}
	var names []string
	for _, h := range s.PeerHashes {
		if name, ok := hashNames[h]; ok {
			names = append(names, name)
		}
	}
	return fmt.Sprintf(": it accepts the hashes [%s]; use a key of another kind", strings.Join(names, ", "))
}
