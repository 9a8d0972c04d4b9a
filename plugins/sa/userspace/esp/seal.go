package esp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

func putUint32(b []byte, v uint32) { binary.BigEndian.PutUint32(b, v) }

// Sealer makes the packets of one outbound SA.
type Sealer struct {
	keys
	cbc ivSetter
	ivs cipher.Block // makes unpredictable IVs for CBC
	iv  [cbcBlock]byte
}

// NewSealer sets up the keys of an outbound SA. Errors are about sizes of keys, never about their bytes.
func NewSealer(p Params) (*Sealer, error) {
	k, err := newKeys(p)
	if err != nil {
		return nil, err
	}
	s := &Sealer{keys: *k}
	if !p.Suite.cbc() {
		return s, nil
	}
	s.cbc = cipher.NewCBCEncrypter(k.block, make([]byte, p.Suite.IV)).(ivSetter)
	s.ivs, err = aes.NewCipher(p.IVKey[:])
	return s, err
}

// Seal makes the ESP packet with sequence number seq that carries the n octets at buf[at:], of protocol next (4 or 41 in
// tunnel mode), and returns it as a part of buf. The payload is encrypted where it lies: buf needs MaxHeadroom octets before
// at and MaxTailroom after the payload. The caller never uses seq twice.
func (s *Sealer) Seal(buf []byte, at, n int, seq uint64, next uint8) []byte {
	clear(s.iv[:])
	binary.BigEndian.PutUint64(s.iv[:], seq) // RFC 4106 section 3.1: any way to be unique will do, so the counter itself
	if s.cbc != nil {
		s.ivs.Encrypt(s.iv[:], s.iv[:])
	}
	return s.seal(buf, at, n, seq, next, s.iv[:s.suite.IV])
}

func (s *Sealer) seal(buf []byte, at, n int, seq uint64, next uint8, iv []byte) []byte {
	pad := s.suite.padding(n)
	body := buf[at : at+n+pad+trailerLen]
	for i := range pad { // RFC 4303 section 2.4: 1, 2, 3, ...
		body[n+i] = byte(i + 1)
	}
	body[n+pad], body[n+pad+1] = byte(pad), next
	start := at - HeaderLen - s.suite.IV
	packet := buf[start : at+len(body)+s.suite.ICV]
	putUint32(packet, s.spi)
	putUint32(packet[4:], uint32(seq))
	copy(packet[HeaderLen:], iv)
	if s.aead != nil {
		copy(s.nonce[saltLen:], iv)
		s.aead.Seal(body[:0], s.nonce[:], body, s.additional(seq))
		return packet
	}
	s.cbc.SetIV(iv)
	s.cbc.CryptBlocks(body, body)
	covered := packet[:len(packet)-s.suite.ICV]
	copy(packet[len(covered):], s.icv(covered, seq))
	return packet
}
