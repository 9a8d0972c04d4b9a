package suite

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/parley-ike/parley/core/wire/wire1"
	"github.com/parley-ike/parley/sdk/secret"
)

// ISAKMPKeys are the keys of an ISAKMP SA (RFC 2409 section 5): SKEYID and what is derived from it. Encr is the key of the
// cipher, SKEYID_e cut or expanded (RFC 2409 appendix B).
type ISAKMPKeys struct {
	SKEYID, D, A, E secret.Bytes
	Encr            secret.Bytes

	prf *PRF
}

// SKEYIDSignatures returns SKEYID for authentication with signatures: prf(Ni_b | Nr_b, g^xy) (RFC 2409 section 5).
func SKEYIDSignatures(prf PRFID, ni, nr []byte, shared secret.Bytes) (secret.Bytes, error) {
	return SKEYSEED(prf, ni, nr, shared) // IKEv2 has kept the formula
}

// DeriveISAKMP returns the keys of an ISAKMP SA from its SKEYID (RFC 2409 section 5). Of s it takes Encr, KeyBits and PRF.
// skeyid becomes part of the result.
func DeriveISAKMP(s Suite, skeyid, shared secret.Bytes, cookieI, cookieR uint64) (ISAKMPKeys, error) {
	p, err := lookupPRF(s.PRF)
	if err != nil {
		return ISAKMPKeys{}, err
	}
	n, err := s.isakmpKeyLen()
	if err != nil {
		return ISAKMPKeys{}, err
	}
	if len(shared) == 0 {
		return ISAKMPKeys{}, ErrNoSharedSecret
	}
	cookies := wire1.CookieSPI(cookieI, cookieR)
	k := ISAKMPKeys{SKEYID: skeyid, prf: p}
	k.D = p.Sum(skeyid, shared, cookies, []byte{0})
	k.A = p.Sum(skeyid, k.D, shared, cookies, []byte{1})
	k.E = p.Sum(skeyid, k.A, shared, cookies, []byte{2})
	k.Encr = expandKey(p, k.E, n)
	return k, nil
}

// isakmpKeyLen returns the size in octets of the key of a cipher that IKEv1 can use to protect its messages: a block
// cipher in CBC mode.
func (s Suite) isakmpKeyLen() (int, error) {
	e, ok := LookupEncryption(s.Encr)
	if !ok || e.newBlock == nil {
		return 0, fmt.Errorf("%w: %v does not protect IKEv1 messages", ErrUnsupported, s.Encr)
	}
	n, ok := e.KeyLen(s.KeyBits)
	if !ok {
		return 0, fmt.Errorf("%w: %s has no key of %d bits", ErrUnsupported, e.Name, s.KeyBits)
	}
	return n, nil
}

// expandKey returns the first n octets of key, or of Ka = K1 | K2 | ... with K1 = prf(key, 0) and K2 = prf(key, K1) when
// it is too short (RFC 2409 appendix B).
func expandKey(p *PRF, key secret.Bytes, n int) secret.Bytes {
	if len(key) >= n {
		return slices.Clone(key[:n])
	}
	block := p.Sum(key, []byte{0})
	ka := block
	for len(ka) < n {
		block = p.Sum(key, block)
		ka = append(ka, block...)
	}
	clear(ka[n:])
	return ka[:n:n]
}

// DeriveChild returns the keys of a pair of IPsec SAs from quick mode's KEYMAT = prf(SKEYID_d, [g(qm)^xy |] protocol | SPI |
// Ni_b | Nr_b) (RFC 2409 section 5.5). shared is nil without perfect forward secrecy; the caller answers for its presence
// where it was negotiated. The SA from the initiator of the quick mode to its responder has the SPI that the responder
// chose, and the reverse.
func (k *ISAKMPKeys) DeriveChild(s Suite, shared secret.Bytes, spiI, spiR uint32, ni, nr []byte) (ChildKeys, error) {
	encr, integ, err := s.lens()
	if err != nil {
		return ChildKeys{}, err
	}
	toR := k.keymat(shared, wire1.ProtoESP, spiR, ni, nr, encr+integ)
	toI := k.keymat(shared, wire1.ProtoESP, spiI, ni, nr, encr+integ)
	return ChildKeys{
		EncrI: take(&toR, encr), IntegI: take(&toR, integ),
		EncrR: take(&toI, encr), IntegR: take(&toI, integ),
	}, nil
}

// keymat returns n octets of KEYMAT, expanded where prf gives fewer: K1 = prf(SKEYID_d, seed), K2 = prf(SKEYID_d, K1 |
// seed), and so on (RFC 2409 section 5.5).
func (k *ISAKMPKeys) keymat(shared secret.Bytes, protocol wire1.ProtocolID, spi uint32, ni, nr []byte, n int) []byte {
	seed := append(slices.Clone([]byte(shared)), byte(protocol))
	seed = binary.BigEndian.AppendUint32(seed, spi)
	seed = slices.Concat(seed, ni, nr)
	defer clear(seed)
	out := make([]byte, 0, n+k.prf.OutLen)
	var last []byte
	for len(out) < n {
		last = k.prf.Sum(k.D, last, seed)
		out = append(out, last...)
	}
	clear(out[n:]) // keying material that nobody asked for
	return out[:n:n]
}

// Wipe overwrites all keys with zeros.
func (k *ISAKMPKeys) Wipe() {
	for _, b := range []secret.Bytes{k.SKEYID, k.D, k.A, k.E, k.Encr} {
		b.Wipe()
	}
}
