package signature

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
)

// Authentication methods of IKEv2 (RFC 7296 section 3.8, RFC 4754 section 4, RFC 7427 section 3), and of IKEv1 where another number
// means it (RFC 2409 appendix A).
const (
	rsaSignature     = 1
	rsaSignatureV1   = 3
	ecdsa256         = 9
	ecdsa384         = 10
	ecdsa521         = 11
	digitalSignature = 14
)

// curves have one method and one hash each (RFC 4754 section 4).
var curves = map[string]struct {
	method uint8
	hash   uint16
}{
	"P-256": {ecdsa256, cred.HashSHA256}, "P-384": {ecdsa384, cred.HashSHA384}, "P-521": {ecdsa521, cred.HashSHA512},
}

// verify checks the peer's proof and returns what it was made with. What costs least comes first.
func verify(ctx context.Context, host auth.Host, v auth.Verify) (algorithm, error) {
	if err := checkAuth(v.Auth); err != nil {
		return noAlgorithm, err
	}
	candidates, sig, err := claimed(v)
	if err != nil {
		return noAlgorithm, err
	}
	verdict, err := host.Trust(ctx, cred.TrustRequest{Chain: v.Certs, Purpose: cred.Signature, Identity: v.Remote})
	if err != nil {
		return noAlgorithm, distrust(v, err)
	}
	public, err := x509.ParsePKIXPublicKey(verdict.Public)
	if err != nil {
		return noAlgorithm, refused(v.Remote, "its public key cannot be read: %v", err)
	}
	for _, a := range candidates {
		if fits(v, public) && a.verify(public, v.Octets, sig) {
			return a, ctx.Err()
		}
	}
	return noAlgorithm, refused(v.Remote, "the signature (%s) is not by the %s that its certificate or configuration names", candidates[0], keyName(public))
}

// claimed returns what a proof says of itself: the algorithms that it may be made with, and the signature.
func claimed(v auth.Verify) ([]algorithm, []byte, error) {
	switch {
	case v.Version == 1 && v.Method == rsaSignatureV1:
		return []algorithm{{scheme: cred.RSAPKCS1Bare, hashed: true}}, v.Data, nil
	case v.Version != 1 && v.Method == digitalSignature:
		a, sig, err := unpack(v.Data)
		if err != nil {
			return nil, nil, refused(v.Remote, "%v", err)
		}
		return []algorithm{a}, sig, nil
	case v.Version != 1 && v.Method == rsaSignature:
		return rsaOfRFC7296, v.Data, nil
	}
	for _, c := range curves {
		if v.Method == c.method {
			return []algorithm{{scheme: cred.ECDSA, hash: c.hash, hashed: v.Version == 1}}, v.Data, nil
		}
	}
	return nil, nil, fmt.Errorf("signature: %v authenticates with AUTH method %d%s where the connection wants a signature: "+
		"set the peer to a certificate or public key, or auth of the remote to the peer's method: %w",
		v.Remote, v.Method, methodNames[v.Method], sdk.ErrUnsupported)
}

// rsaOfRFC7296 are the forms of method 1: SHA-1 is the default, and other hashes show in the signature itself (RFC 7296 section 2.15,
// RFC7296-3.8-1).
var rsaOfRFC7296 = []algorithm{
	{scheme: cred.RSAPKCS1, hash: cred.HashSHA1}, {scheme: cred.RSAPKCS1, hash: cred.HashSHA256},
	{scheme: cred.RSAPKCS1, hash: cred.HashSHA384}, {scheme: cred.RSAPKCS1, hash: cred.HashSHA512},
}

// fits holds a method that names a curve against the key's (RFC 4754 section 4).
func fits(v auth.Verify, public crypto.PublicKey) bool {
	key, ok := public.(*ecdsa.PublicKey)
	return !ok || v.Method == digitalSignature || curves[key.Curve.Params().Name].method == v.Method
}

// methodNames are those that peers mistakenly use.
var methodNames = map[uint8]string{2: " (pre-shared key)", 3: " (DSS)", 12: " (secure password)", 13: " (NULL authentication)"}
