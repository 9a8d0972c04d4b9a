package signature

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
)

// This file reads and writes the Authentication Data of method 14 (RFC 7427 section 3): the length of an AlgorithmIdentifier in
// one octet, the AlgorithmIdentifier in DER, the signature.

var (
	oidRSA      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1} // with 11, 12, 13: SHA2-256, -384, -512 (RFC 7427 appendix A.1)
	oidPSS      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidMGF1     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidECDSA    = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3} // with 2, 3, 4 (appendix A.3)
	oidEd25519  = asn1.ObjectIdentifier{1, 3, 101, 112}         // RFC 8420 appendix A
	oidSHA2     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2}
	asn1Null    = asn1.RawValue{FullBytes: []byte{asn1.TagNull, 0}}
	noAlgorithm = algorithm{}
)

// known are the algorithms of method 14 other than RSASSA-PSS. Those with SHA-1 and DSA are left out (RFC 8247 section 3.2).
var known = []struct {
	oid  asn1.ObjectIdentifier
	null bool // parameters are NULL, else absent
	algorithm
}{
	{extend(oidRSA, 11), true, algorithm{scheme: cred.RSAPKCS1, hash: cred.HashSHA256}},
	{extend(oidRSA, 12), true, algorithm{scheme: cred.RSAPKCS1, hash: cred.HashSHA384}},
	{extend(oidRSA, 13), true, algorithm{scheme: cred.RSAPKCS1, hash: cred.HashSHA512}},
	{extend(oidECDSA, 2), false, algorithm{scheme: cred.ECDSAASN1, hash: cred.HashSHA256}},
	{extend(oidECDSA, 3), false, algorithm{scheme: cred.ECDSAASN1, hash: cred.HashSHA384}},
	{extend(oidECDSA, 4), false, algorithm{scheme: cred.ECDSAASN1, hash: cred.HashSHA512}},
	{oidEd25519, false, algorithm{scheme: cred.Ed25519, hash: cred.HashIdentity}},
}

// digests are the OIDs of hashes within RSASSA-PSS.
var digests = map[uint16]asn1.ObjectIdentifier{
	cred.HashSHA256: extend(oidSHA2, 1), cred.HashSHA384: extend(oidSHA2, 2), cred.HashSHA512: extend(oidSHA2, 3),
}

func extend(oid asn1.ObjectIdentifier, last int) asn1.ObjectIdentifier {
	return append(oid[:len(oid):len(oid)], last)
}

// pssParameters are those of RFC 4055 section 3.1. Defaults mean SHA-1, which is not accepted: both algorithms must be there.
type pssParameters struct {
	Hash    pkix.AlgorithmIdentifier `asn1:"explicit,tag:0"`
	MGF     pkix.AlgorithmIdentifier `asn1:"explicit,tag:1"`
	Salt    int                      `asn1:"explicit,tag:2,optional,default:20"`
	Trailer int                      `asn1:"explicit,tag:3,optional,default:1"`
}

// pack returns the Authentication Data for a signature.
func pack(a algorithm, sig []byte) ([]byte, error) {
	id, err := identifier(a)
	if err != nil {
		return nil, err
	}
	return append(append([]byte{byte(len(id))}, id...), sig...), nil
}

// identifier returns the AlgorithmIdentifier; none is longer than 255 octets.
func identifier(a algorithm) ([]byte, error) {
	if a.scheme == cred.RSAPSS {
		return pssIdentifier(a)
	}
	for _, k := range known {
		if k.algorithm == a {
			id := pkix.AlgorithmIdentifier{Algorithm: k.oid}
			if k.null {
				id.Parameters = asn1Null
			}
			return asn1.Marshal(id)
		}
	}
	return nil, fmt.Errorf("signature: %v has no AlgorithmIdentifier: %w", a, sdk.ErrUnsupported)
}

// pssIdentifier leaves the trailer out, which is at its default, as DER demands. RFC 7427 appendix A.4.3 shows it all the same; Libreswan
// compares octets, and knows the form of DER alone.
func pssIdentifier(a algorithm) ([]byte, error) {
	hash := pkix.AlgorithmIdentifier{Algorithm: digests[a.hash], Parameters: asn1Null}
	inner, err := asn1.Marshal(hash)
	if err != nil {
		return nil, err
	}
	params, err := asn1.Marshal(struct {
		Hash pkix.AlgorithmIdentifier `asn1:"explicit,tag:0"`
		MGF  pkix.AlgorithmIdentifier `asn1:"explicit,tag:1"`
		Salt int                      `asn1:"explicit,tag:2"`
	}{hash, pkix.AlgorithmIdentifier{Algorithm: oidMGF1, Parameters: asn1.RawValue{FullBytes: inner}}, a.salt})
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: oidPSS, Parameters: asn1.RawValue{FullBytes: params}})
}

// unpack takes Authentication Data apart.
func unpack(data []byte) (algorithm, []byte, error) {
	if len(data) < 1 || len(data) < 1+int(data[0]) {
		return noAlgorithm, nil, errors.New("the AUTH payload is shorter than its AlgorithmIdentifier")
	}
	der, sig := data[1:1+int(data[0])], data[1+int(data[0]):]
	var id pkix.AlgorithmIdentifier
	if rest, err := asn1.Unmarshal(der, &id); err != nil || len(rest) > 0 {
		return noAlgorithm, nil, errors.New("the AlgorithmIdentifier in the AUTH payload cannot be read")
	}
	if id.Algorithm.Equal(oidPSS) {
		a, err := readPSS(id.Parameters.FullBytes)
		return a, sig, err
	}
	for _, k := range known {
		if k.oid.Equal(id.Algorithm) && isEmpty(id.Parameters) {
			return k.algorithm, sig, nil
		}
	}
	return noAlgorithm, nil, fmt.Errorf("signature algorithm %v is not accepted: use RSA or ECDSA with SHA2-256, -384 or -512, or Ed25519", id.Algorithm)
}

// isEmpty accepts NULL and nothing at all alike, because peers confuse them.
func isEmpty(p asn1.RawValue) bool {
	return len(p.FullBytes) == 0 || p.Class == asn1.ClassUniversal && p.Tag == asn1.TagNull && len(p.Bytes) == 0
}

func readPSS(der []byte) (algorithm, error) {
	var p pssParameters
	rest, err := asn1.Unmarshal(der, &p)
	if err != nil || len(rest) > 0 {
		return noAlgorithm, errors.New("RSASSA-PSS without its hash (which then is SHA-1), or with parameters that cannot be read, is not accepted")
	}
	var mgf pkix.AlgorithmIdentifier
	_, err = asn1.Unmarshal(p.MGF.Parameters.FullBytes, &mgf)
	for hash, oid := range digests {
		if p.Hash.Algorithm.Equal(oid) && p.MGF.Algorithm.Equal(oidMGF1) && mgf.Algorithm.Equal(oid) && err == nil &&
			p.Trailer == 1 && p.Salt >= 0 && p.Salt <= maxSalt {
			return algorithm{scheme: cred.RSAPSS, hash: hash, salt: p.Salt}, nil
		}
	}
	return noAlgorithm, errors.New("RSASSA-PSS is accepted with SHA2-256, -384 or -512 as its hash and as that of MGF1")
}

// maxSalt is the largest salt length that is accepted, in octets: what fits beside SHA2-512 into an RSA key of 8192 bits.
const maxSalt = 1024 - 64 - 2
