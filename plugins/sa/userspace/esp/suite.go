package esp

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
)

// Encryption transforms (IANA, IKEv2 transform type 1).
const (
	Encr3DES             uint16 = 3  // RFC 2451
	EncrAESCBC           uint16 = 12 // RFC 3602
	EncrAESGCM16         uint16 = 20 // RFC 4106
	EncrChaCha20Poly1305 uint16 = 28 // RFC 7634
)

// Integrity transforms (IANA, IKEv2 transform type 3).
const (
	IntegNone           uint16 = 0
	IntegHMACSHA1_96    uint16 = 2  // RFC 2404
	IntegHMACSHA256_128 uint16 = 12 // RFC 4868
	IntegHMACSHA384_192 uint16 = 13 // RFC 4868
	IntegHMACSHA512_256 uint16 = 14 // RFC 4868
)

// Sizes in octets.
const (
	HeaderLen  = 8  // SPI and sequence number (RFC 4303 section 2)
	trailerLen = 2  // pad length and next header
	saltLen    = 4  // at the end of an AEAD cipher's keying material (RFC 4106 section 8.1, RFC 7634 section 2)
	aeadAlign  = 4  // the trailer ends on a 4-octet boundary (RFC 4303 section 2.4)
	cbcBlock   = 16 // AES block, and size of its IV (RFC 3602 section 3)
	desBlock   = 8  // the same of 3DES (RFC 2451 section 2.2)

	// MaxHeadroom is what Seal writes before a payload at most: the header and the largest IV.
	MaxHeadroom = HeaderLen + cbcBlock
	// MaxTailroom is what Seal writes after a payload at most: 15 octets of padding, the trailer and the largest ICV.
	MaxTailroom = cbcBlock - 1 + trailerLen + 32
)

// ErrUnsupported says that a combination of transforms is not one that this package can do.
var ErrUnsupported = errors.New("esp: transforms not supported")

// Suite is a combination of an encryption and an integrity transform with all its sizes, in octets.
type Suite struct {
	Encr, Integ     uint16
	EncrKey         int // of the keying material, the salt included
	IntegKey        int
	IV, ICV         int
	align           int
	hash            func() hash.Hash
	aesKey, hasSalt bool
}

type integrity struct {
	key, icv int
	hash     func() hash.Hash
}

var integrities = map[uint16]integrity{
	IntegHMACSHA1_96:    {20, 12, sha1.New},
	IntegHMACSHA256_128: {32, 16, sha256.New},
	IntegHMACSHA384_192: {48, 24, sha512.New384},
	IntegHMACSHA512_256: {64, 32, sha512.New},
}

// Lookup finds the suite of two IANA transform IDs and a key length in bits, which is 0 for ciphers of one size. The error
// wraps ErrUnsupported and names what is not supported.
func Lookup(encr, keyBits, integ uint16) (Suite, error) {
	s := Suite{Encr: encr, Integ: integ, IV: 8, ICV: 16, align: aeadAlign, hasSalt: true}
	switch encr {
	case EncrAESGCM16:
		s.aesKey, s.EncrKey = true, int(keyBits)/8+saltLen
	case EncrChaCha20Poly1305:
		s.EncrKey = 32 + saltLen
	case EncrAESCBC:
		s.aesKey, s.EncrKey, s.hasSalt = true, int(keyBits)/8, false
		s.IV, s.align = cbcBlock, cbcBlock
	case Encr3DES:
		s.EncrKey, s.hasSalt = 24, false
		s.IV, s.align = desBlock, desBlock
	default:
		return Suite{}, fmt.Errorf("%w: encryption transform %d; propose AES-GCM-16 (20), AES-CBC (12), ChaCha20-Poly1305 (28) or 3DES (3)", ErrUnsupported, encr)
	}
	if s.aesKey && keyBits != 128 && keyBits != 192 && keyBits != 256 || !s.aesKey && keyBits != 0 && int(keyBits) != 8*(s.EncrKey-s.salt()) {
		return Suite{}, fmt.Errorf("%w: encryption transform %d with a key of %d bits", ErrUnsupported, encr, keyBits)
	}
	return s.withIntegrity()
}

// cbc reports whether the cipher runs in CBC mode, which takes an integrity transform beside it.
func (s Suite) cbc() bool { return !s.hasSalt }

func (s Suite) salt() int {
	if s.hasSalt {
		return saltLen
	}
	return 0
}

// withIntegrity adds the integrity transform: none beside an AEAD cipher (RFC 8221 section 4), one of the table beside CBC.
func (s Suite) withIntegrity() (Suite, error) {
	if s.hasSalt {
		if s.Integ != IntegNone {
			return Suite{}, fmt.Errorf("%w: integrity transform %d beside AEAD cipher %d", ErrUnsupported, s.Integ, s.Encr)
		}
		return s, nil
	}
	i, ok := integrities[s.Integ]
	if !ok {
		return Suite{}, fmt.Errorf("%w: integrity transform %d beside a cipher in CBC mode; propose 2, 12, 13 or 14", ErrUnsupported, s.Integ)
	}
	s.IntegKey, s.ICV, s.hash = i.key, i.icv, i.hash
	return s, nil
}

// PacketLen returns the size of the ESP packet, from its SPI to its ICV, that carries n octets of payload.
func (s Suite) PacketLen(n int) int { return HeaderLen + s.IV + n + s.padding(n) + trailerLen + s.ICV }

// MaxPayload returns the size of the largest payload whose ESP packet fits in space octets; at least 0.
func (s Suite) MaxPayload(space int) int {
	room := space - HeaderLen - s.IV - s.ICV
	return max(room/s.align*s.align-trailerLen, 0)
}

// padding is the number of padding octets that align the trailer (RFC 4303 section 2.4).
func (s Suite) padding(n int) int { return (s.align - (n+trailerLen)%s.align) % s.align }

// minPacket is the size of the shortest packet that can be one of this suite.
func (s Suite) minPacket() int { return s.PacketLen(0) }
