package suite

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/parley-ike/parley/sdk/secret"
)

// ErrNoSharedSecret is the cause when keys would follow from the nonces alone, which everyone on the path has seen.
var ErrNoSharedSecret = errors.New("suite: the key exchange gave an empty shared secret")

// IKEKeys are the keys of an IKE SA: SK_d, SK_ai, SK_ar, SK_ei, SK_er, SK_pi, SK_pr (RFC 7296 section 2.14). SK_e* ends
// in the salt where the cipher has one; SK_a* is empty where the cipher authenticates by itself (RFC 5282 section 7.1).
type IKEKeys struct{ D, AI, AR, EI, ER, PI, PR secret.Bytes }

// ChildKeys are the keys of a pair of ESP SAs: I from the initiator of the exchange to its responder, R back (RFC 7296
// section 2.17). Encr* ends in the salt where the cipher has one; Integ* is empty for an AEAD.
type ChildKeys struct{ EncrI, IntegI, EncrR, IntegR secret.Bytes }

// SKEYSEED returns prf(Ni | Nr, g^ir), the root of a new IKE SA's keys (RFC 7296 section 2.14).
func SKEYSEED(prf PRFID, ni, nr []byte, shared secret.Bytes) (secret.Bytes, error) {
	p, err := lookupPRF(prf)
	if err != nil {
		return nil, err
	}
	if len(shared) == 0 {
		return nil, ErrNoSharedSecret
	}
	return p.Sum(slices.Concat(ni, nr), shared), nil
}

// SKEYSEEDRekey returns prf(SK_d (old), g^ir (new) | Ni | Nr), the root of the keys of an IKE SA that replaces another.
// prf and skD are those of the old SA (RFC 7296 section 2.18).
func SKEYSEEDRekey(prf PRFID, skD, shared secret.Bytes, ni, nr []byte) (secret.Bytes, error) {
	p, err := lookupPRF(prf)
	if err != nil {
		return nil, err
	}
	if len(shared) == 0 {
		return nil, ErrNoSharedSecret
	}
	return p.Sum(skD, shared, ni, nr), nil
}

// DeriveIKE returns the seven keys of an IKE SA from its SKEYSEED, taken in order from
// prf+(SKEYSEED, Ni | Nr | SPIi | SPIr) (RFC 7296 section 2.14).
func DeriveIKE(s Suite, skeyseed secret.Bytes, ni, nr []byte, spii, spir uint64) (IKEKeys, error) {
	p, err := lookupPRF(s.PRF)
	if err != nil {
		return IKEKeys{}, err
	}
	encr, integ, err := s.lens()
	if err != nil {
		return IKEKeys{}, err
	}
	seed := slices.Concat(ni, nr)
	seed = binary.BigEndian.AppendUint64(seed, spii)
	seed = binary.BigEndian.AppendUint64(seed, spir)
	m, err := p.Plus(skeyseed, seed, 3*p.KeyLen+2*integ+2*encr)
	if err != nil {
		return IKEKeys{}, err
	}
	return IKEKeys{
		D:  take(&m, p.KeyLen),
		AI: take(&m, integ), AR: take(&m, integ),
		EI: take(&m, encr), ER: take(&m, encr),
		PI: take(&m, p.KeyLen), PR: take(&m, p.KeyLen),
	}, nil
}

// DeriveChild returns the keys of a pair of ESP SAs, from prf+(SK_d, g^ir (new) | Ni | Nr) (RFC 7296 section 2.17). prf
// and skD are those of the IKE SA, s is the ESP suite. shared is nil without a key exchange of its own; the caller
// answers for its presence where one was negotiated.
func DeriveChild(prf PRFID, s Suite, skD, shared secret.Bytes, ni, nr []byte) (ChildKeys, error) {
	p, err := lookupPRF(prf)
	if err != nil {
		return ChildKeys{}, err
	}
	encr, integ, err := s.lens()
	if err != nil {
		return ChildKeys{}, err
	}
	seed := slices.Concat(shared, ni, nr)
	defer clear(seed)
	m, err := p.Plus(skD, seed, 2*encr+2*integ)
	if err != nil {
		return ChildKeys{}, err
	}
	return ChildKeys{
		EncrI: take(&m, encr), IntegI: take(&m, integ),
		EncrR: take(&m, encr), IntegR: take(&m, integ),
	}, nil
}

// take cuts n octets off the front of m, so that an append to one key cannot run into the next.
func take(m *[]byte, n int) secret.Bytes {
	k := (*m)[:n:n]
	*m = (*m)[n:]
	return k
}

// Wipe overwrites all keys with zeros.
func (k *IKEKeys) Wipe() {
	for _, b := range []secret.Bytes{k.D, k.AI, k.AR, k.EI, k.ER, k.PI, k.PR} {
		b.Wipe()
	}
}

// Wipe overwrites all keys with zeros.
func (k *ChildKeys) Wipe() {
	for _, b := range []secret.Bytes{k.EncrI, k.IntegI, k.EncrR, k.IntegR} {
		b.Wipe()
	}
}
