package suite

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrUnsupported is the cause when a suite names an algorithm or a key length that this package does not implement, or
// combines algorithms that do not go together.
var ErrUnsupported = errors.New("suite: unsupported algorithms")

// Suite is the outcome of a negotiation. An IKE suite has a PRF and a key exchange; an ESP suite has no PRF and may have
// no key exchange. KeyBits is zero where the encryption key has a fixed length.
type Suite struct {
	Encr    EncrID
	KeyBits int
	PRF     PRFID
	Integ   IntegID
	KE      KEID
	ESN     bool // ESP with extended sequence numbers
}

// String lists the algorithms: "AES_GCM_16_256/PRF_HMAC_SHA2_384/CURVE25519" for IKE,
// "AES_CBC_256/HMAC_SHA2_256_128/ESN" for ESP.
func (s Suite) String() string {
	encr := strings.TrimPrefix(s.Encr.String(), "ENCR_")
	if s.KeyBits != 0 {
		encr += "_" + strconv.Itoa(s.KeyBits)
	}
	parts := []string{encr}
	if s.Integ != IntegNone {
		parts = append(parts, strings.TrimPrefix(s.Integ.String(), "AUTH_"))
	}
	if s.PRF != PRFNone {
		parts = append(parts, s.PRF.String())
	}
	if s.KE != KENone {
		parts = append(parts, s.KE.String())
	}
	if s.ESN {
		parts = append(parts, "ESN")
	}
	return strings.Join(parts, "/")
}

// lens returns how much keying material encryption (salt included) and integrity take in one direction, in octets.
func (s Suite) lens() (encr, integ int, err error) {
	e, ok := LookupEncryption(s.Encr)
	if !ok {
		return 0, 0, fmt.Errorf("%w: %v is not implemented", ErrUnsupported, s.Encr)
	}
	key, ok := e.KeyLen(s.KeyBits)
	if !ok {
		return 0, 0, fmt.Errorf("%w: %s has no key of %d bits", ErrUnsupported, e.Name, s.KeyBits)
	}
	if e.AEAD {
		if s.Integ != IntegNone { // RFC 5282 section 8
			return 0, 0, fmt.Errorf("%w: %s goes without %v", ErrUnsupported, e.Name, s.Integ)
		}
		return key + e.SaltLen, 0, nil
	}
	i, ok := LookupIntegrity(s.Integ)
	if !ok { // nothing is sent encrypted and not authenticated: RFC 7296 section 3.3.3, RFC 8221 section 4
		return 0, 0, fmt.Errorf("%w: %s needs an integrity algorithm, %v is none of ours", ErrUnsupported, e.Name, s.Integ)
	}
	return key + e.SaltLen, i.KeyLen, nil
}

func lookupPRF(id PRFID) (*PRF, error) {
	p, ok := LookupPRF(id)
	if !ok {
		return nil, fmt.Errorf("%w: %v is not implemented", ErrUnsupported, id)
	}
	return p, nil
}
