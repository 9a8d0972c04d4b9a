package suite

import (
	"crypto/hmac"
	"encoding/binary"
	"net/netip"

	"github.com/parley-ike/parley/core/wire/wire1"
)

// Digest returns the hash of data, its parts concatenated, with the hash beneath the HMAC: OutLen octets.
func (p *PRF) Digest(data ...[]byte) []byte {
	h := p.newHash()
	for _, d := range data {
		h.Write(d)
	}
	return h.Sum(nil)
}

// PhaseOne is what both sides have sent in phase 1 and HASH_I and HASH_R cover (RFC 2409 section 5).
type PhaseOne struct {
	PublicI, PublicR []byte // g^xi and g^xr: the bodies of the KE payloads
	CookieI, CookieR uint64
	SAi              []byte // body of the initiator's SA payload, with all that it offered
}

// HashI returns HASH_I = prf(SKEYID, g^xi | g^xr | CKY-I | CKY-R | SAi_b | IDii_b), where idii is the body of the
// initiator's ID payload (RFC 2409 section 5).
func (k *ISAKMPKeys) HashI(x PhaseOne, idii []byte) []byte {
	return k.prf.Sum(k.SKEYID, x.PublicI, x.PublicR, wire1.CookieSPI(x.CookieI, x.CookieR), x.SAi, idii)
}

// HashR returns HASH_R = prf(SKEYID, g^xr | g^xi | CKY-R | CKY-I | SAi_b | IDir_b), where idir is the body of the
// responder's ID payload (RFC 2409 section 5).
func (k *ISAKMPKeys) HashR(x PhaseOne, idir []byte) []byte {
	return k.prf.Sum(k.SKEYID, x.PublicR, x.PublicI, wire1.CookieSPI(x.CookieR, x.CookieI), x.SAi, idir)
}

// Hash1 returns HASH(1) = prf(SKEYID_a, M-ID | rest), where rest are all payloads after the HASH payload, generic headers
// included, as wire1.AppendPayloads gives them: of the first message of a quick mode and of messages of informational, new
// group and transaction exchanges (RFC 2409 sections 5.5 to 5.7, draft-dukes-ike-mode-cfg-02 section 3.1).
func (k *ISAKMPKeys) Hash1(messageID uint32, rest []byte) []byte {
	return k.prf.Sum(k.A, messageIDOctets(messageID), rest)
}

// Hash2 returns HASH(2) = prf(SKEYID_a, M-ID | Ni_b | rest), of the second message of a quick mode (RFC 2409 section 5.5).
func (k *ISAKMPKeys) Hash2(messageID uint32, ni, rest []byte) []byte {
	return k.prf.Sum(k.A, messageIDOctets(messageID), ni, rest)
}

// Hash3 returns HASH(3) = prf(SKEYID_a, 0 | M-ID | Ni_b | Nr_b), of the third message of a quick mode (RFC 2409 section
// 5.5).
func (k *ISAKMPKeys) Hash3(messageID uint32, ni, nr []byte) []byte {
	return k.prf.Sum(k.A, []byte{0}, messageIDOctets(messageID), ni, nr)
}

func messageIDOctets(id uint32) []byte { return binary.BigEndian.AppendUint32(nil, id) }

// EqualHash compares a hash that was received with ours in constant time.
func EqualHash(a, b []byte) bool { return hmac.Equal(a, b) }

// NATDHash returns the content of a NAT-D payload: HASH(CKY-I | CKY-R | IP | Port), with the negotiated hash (RFC 3947
// section 3.2); nil for a PRF that this package lacks. An IPv4 address mapped into IPv6 counts as IPv4, as it is on the
// wire; a zone does not count.
func NATDHash(prf PRFID, cookieI, cookieR uint64, addr netip.AddrPort) []byte {
	p, ok := LookupPRF(prf)
	if !ok {
		return nil
	}
	port := binary.BigEndian.AppendUint16(nil, addr.Port())
	return p.Digest(wire1.CookieSPI(cookieI, cookieR), addr.Addr().Unmap().AsSlice(), port)
}
