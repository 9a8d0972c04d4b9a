package signature

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha1" // method 1
	_ "crypto/sha256"
	_ "crypto/sha512"
	"fmt"
	"math/big"

	"github.com/parley-ike/parley/sdk/cred"
)

// algorithm is a way to sign: a scheme and a hash.
type algorithm struct {
	scheme cred.SignScheme
	hash   uint16 // IANA's IKEv2 hash algorithm
	salt   int    // of RSASSA-PSS, in octets
	hashed bool   // what is signed is the digest already: HASH_I or HASH_R of IKEv1
}

// hashes are those of SIGNATURE_HASH_ALGORITHMS that are digests (RFC 7427 section 7).
var hashes = map[uint16]crypto.Hash{
	cred.HashSHA1: crypto.SHA1, cred.HashSHA256: crypto.SHA256, cred.HashSHA384: crypto.SHA384, cred.HashSHA512: crypto.SHA512,
}

// hashNames are for people.
var hashNames = map[uint16]string{1: "SHA-1", 2: "SHA2-256", 3: "SHA2-384", 4: "SHA2-512", 5: "Identity"}

// String returns the name for people, "RSASSA-PSS with SHA2-256".
func (a algorithm) String() string {
	switch a.scheme {
	case cred.RSAPKCS1:
		return "RSA (PKCS #1 v1.5) with " + hashNames[a.hash]
	case cred.RSAPKCS1Bare:
		return "RSA of IKEv1"
	case cred.RSAPSS:
		return "RSASSA-PSS with " + hashNames[a.hash]
	case cred.ECDSA, cred.ECDSAASN1:
		return "ECDSA with " + hashNames[a.hash]
	}
	return "Ed25519"
}

// digest is what of octets is signed: their hash, or themselves.
func (a algorithm) digest(octets []byte) []byte {
	h, ok := hashes[a.hash]
	if !ok || a.hashed {
		return octets
	}
	d := h.New()
	d.Write(octets)
	return d.Sum(nil)
}

// verify reports whether sig is a signature of octets by a key that fits the algorithm.
func (a algorithm) verify(public crypto.PublicKey, octets, sig []byte) bool {
	digest := a.digest(octets)
	switch key := public.(type) {
	case *rsa.PublicKey:
		return a.verifyRSA(key, digest, sig)
	case *ecdsa.PublicKey:
		return a.scheme == cred.ECDSAASN1 && ecdsa.VerifyASN1(key, digest, sig) || a.scheme == cred.ECDSA && verifyPair(key, digest, sig)
	case ed25519.PublicKey:
		return a.scheme == cred.Ed25519 && ed25519.Verify(key, digest, sig)
	}
	return false
}

func (a algorithm) verifyRSA(key *rsa.PublicKey, digest, sig []byte) bool {
	switch a.scheme {
	case cred.RSAPKCS1:
		return rsa.VerifyPKCS1v15(key, hashes[a.hash], digest, sig) == nil
	case cred.RSAPKCS1Bare:
		return rsa.VerifyPKCS1v15(key, 0, digest, sig) == nil
	case cred.RSAPSS:
		return rsa.VerifyPSS(key, hashes[a.hash], digest, sig, &rsa.PSSOptions{SaltLength: a.salt}) == nil
	}
	return false
}

// verifyPair verifies a signature in the form of RFC 4754 section 7: r and s, each as long as the curve's order.
func verifyPair(key *ecdsa.PublicKey, digest, sig []byte) bool {
	size := (key.Curve.Params().N.BitLen() + 7) / 8
	if len(sig) != 2*size {
		return false
	}
	return ecdsa.Verify(key, digest, new(big.Int).SetBytes(sig[:size]), new(big.Int).SetBytes(sig[size:]))
}

// keyName names a kind of key for people.
func keyName(public crypto.PublicKey) string {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA key of %d bits", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA key on " + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519 key"
	}
	return fmt.Sprintf("key of type %T", public)
}

// sameKind reports whether two algorithms use one kind of signature, whatever the hash.
func sameKind(a, b algorithm) bool { return a.scheme == b.scheme && a.scheme != 0 }

// equal compares identities.
func equal(a, b cred.Identity) bool { return a.Type == b.Type && bytes.Equal(a.Data, b.Data) }
