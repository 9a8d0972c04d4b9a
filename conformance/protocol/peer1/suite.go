package peer1

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// Suite is the algorithms of an ISAKMP SA: AES-CBC-256, SHA2-256 and this group.
type Suite struct{ Group uint16 }

// Life is an attribute pair of a lifetime, of phase 1 or phase 2: the duration is variable, in four octets.
func Life(kind, duration, unit uint16, amount uint32) []Attribute {
	return []Attribute{{Class: kind, Value: unit}, {Class: duration, Data: binary.BigEndian.AppendUint32(nil, amount)}}
}

// Transform returns the suite as a transform of phase 1 with a pre-shared key (RFC 2409 appendix A).
func (s Suite) Transform(number uint8) Transform {
	return Transform{Number: number, ID: 1, Attributes: append([]Attribute{{Class: Encryption, Value: 7}, {Class: KeyLength, Value: 256}, {Class: Hash, Value: 4},
		{Class: AuthMethod, Value: 1}, {Class: Group, Value: s.Group}}, Life(LifeType, LifeDuration, Seconds, 3600)...)}
}

// Proposal returns the suite as a proposal for an ISAKMP SA.
func (s Suite) Proposal() Proposal {
	return Proposal{Number: 1, Protocol: ProtoISAKMP, Transforms: []Transform{s.Transform(1)}}
}

// ESP returns a proposal for a tunnel with AES-GCM-128, which every daemon takes (RFC 4106 section 8); group 0 means no perfect forward
// secrecy.
func ESP(number uint8, spi []byte, group uint16) Proposal {
	as := []Attribute{{Class: SAKeyLength, Value: 128}, {Class: Encapsulation, Value: Tunnel}}
	if group != 0 {
		as = append(as, Attribute{Class: SAGroup, Value: group})
	}
	as = append(as, Life(SALifeType, SALifeDuration, Seconds, 1800)...)
	return Proposal{Number: number, Protocol: ProtoESP, SPI: spi, Transforms: []Transform{{Number: 1, ID: 20, Attributes: as}}}
}

// NATVendor is the vendor ID of RFC 3947 section 3.1: the MD5 of its name.
func NATVendor() peer.Payload {
	sum := md5.Sum([]byte("RFC 3947"))
	return peer.Payload{Type: TypeVendor, Body: sum[:]}
}

// DPDVendor is the vendor ID of RFC 3706 section 5.1, version 1.0.
func DPDVendor() peer.Payload {
	return peer.Payload{Type: TypeVendor, Body: []byte{0xaf, 0xca, 0xd7, 0x13, 0x68, 0xa1, 0xf1, 0xc9, 0x6b, 0x86, 0x96, 0xfc, 0x77, 0x57, 1, 0}}
}

func prf(key []byte, data ...[]byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(slices.Concat(data...))
	return m.Sum(nil)
}

func hash(data ...[]byte) []byte {
	sum := sha256.Sum256(slices.Concat(data...))
	return sum[:]
}

// SA is one ISAKMP SA from the side of the peer, and what goes into its hashes.
type SA struct {
	Suite            Suite
	Initiator        bool
	CookieI, CookieR uint64
	Ni, Nr           []byte
	GI, GR           []byte // public values
	SAi              []byte // body of the initiator's SA payload
	Keys             Keys

	iv   []byte            // running, of phase 1; then the last of it
	runs map[uint32][]byte // running, of the exchanges of phase 2
}

// Keys are those of RFC 2409 section 5. Encr is the key of the cipher.
type Keys struct{ ID, D, A, E, Encr []byte }

// Cookies returns both cookies: the SPI of an ISAKMP SA.
func (sa *SA) Cookies() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, sa.CookieI), sa.CookieR)
}

// Agreed derives the keys from a pre-shared key and the secret of the key exchange (RFC 2409 section 5, appendix B). SHA2-256 gives as
// much as the cipher wants.
func (sa *SA) Agreed(psk string, secret []byte) {
	sa.derive(prf([]byte(psk), sa.Ni, sa.Nr), secret)
}

// Keyed does so for authentication by signatures.
func (sa *SA) Keyed(secret []byte) {
	sa.derive(prf(slices.Concat(sa.Ni, sa.Nr), secret), secret)
}

func (sa *SA) derive(skeyid, secret []byte) {
	k, c := &sa.Keys, sa.Cookies()
	k.ID = skeyid
	k.D = prf(k.ID, secret, c, []byte{0})
	k.A = prf(k.ID, k.D, secret, c, []byte{1})
	k.E = prf(k.ID, k.A, secret, c, []byte{2})
	k.Encr = k.E
	sa.iv, sa.runs = hash(sa.GI, sa.GR)[:block], map[uint32][]byte{}
}

// Proof returns HASH_I or HASH_R over the body of an ID payload (RFC 2409 section 5).
func (sa *SA) Proof(ofInitiator bool, id []byte) []byte {
	c := sa.Cookies()
	if ofInitiator {
		return prf(sa.Keys.ID, sa.GI, sa.GR, c, sa.SAi, id)
	}
	return prf(sa.Keys.ID, sa.GR, sa.GI, c[8:], c[:8], sa.SAi, id)
}

// NATHash is the body of a NAT-D payload (RFC 3947 section 3.2).
func (sa *SA) NATHash(a netip.AddrPort) []byte {
	return hash(sa.Cookies(), a.Addr().Unmap().AsSlice(), binary.BigEndian.AppendUint16(nil, a.Port()))
}

// Keymat returns n octets of keying material of a child that receives by an SPI (RFC 2409 section 5.5).
func (sa *SA) Keymat(secret, spi, ni, nr []byte, n int) (out []byte) {
	var k []byte
	for len(out) < n {
		k = prf(sa.Keys.D, k, secret, []byte{ProtoESP}, spi, ni, nr)
		out = append(out, k...)
	}
	return out[:n]
}
