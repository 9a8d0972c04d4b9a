package esp

import (
	"crypto/cipher"
	"crypto/hmac"
	"encoding/binary"
	"errors"
)

// ErrIntegrity says that a packet is not authentic: forged, damaged, of another key, or malformed inside.
var ErrIntegrity = errors.New("esp: packet failed its integrity check")

// Header reads the SPI and the low 32 bits of the sequence number; false when the packet is too short for them.
func Header(packet []byte) (spi, seq uint32, ok bool) {
	if len(packet) < HeaderLen {
		return 0, 0, false
	}
	return binary.BigEndian.Uint32(packet), binary.BigEndian.Uint32(packet[4:]), true
}

// Opener opens the packets of one inbound SA.
type Opener struct {
	keys
	cbc ivSetter
}

// NewOpener sets up the keys of an inbound SA.
func NewOpener(p Params) (*Opener, error) {
	k, err := newKeys(p)
	if err != nil {
		return nil, err
	}
	o := &Opener{keys: *k}
	if p.Suite.cbc() {
		o.cbc = cipher.NewCBCDecrypter(k.block, make([]byte, p.Suite.IV)).(ivSetter)
	}
	return o, nil
}

// Open verifies and decrypts a packet whose full sequence number, by the window's guess, is seq. It appends the payload to
// dst, which must not overlap packet, and returns the payload alone with its next header. TFC padding (RFC 4303 section 2.7) is
// still at its end. Any failure is ErrIntegrity.
func (o *Opener) Open(dst, packet []byte, seq uint64) (payload []byte, next uint8, err error) {
	if len(packet) < o.suite.minPacket() {
		return nil, 0, ErrIntegrity
	}
	sealed := packet[HeaderLen+o.suite.IV:]
	if (len(sealed)-o.suite.ICV)%o.suite.align != 0 {
		return nil, 0, ErrIntegrity
	}
	var body []byte
	if o.aead != nil {
		copy(o.nonce[saltLen:], packet[HeaderLen:])
		body, err = o.aead.Open(dst, o.nonce[:], sealed, o.additional(seq))
	} else {
		body, err = o.openCBC(dst, packet, seq)
	}
	if err != nil {
		return nil, 0, ErrIntegrity
	}
	return trim(body[len(dst):])
}

// openCBC verifies before it decrypts (RFC 4303 section 3.4.4.1).
func (o *Opener) openCBC(dst, packet []byte, seq uint64) ([]byte, error) {
	covered, icv := packet[:len(packet)-o.suite.ICV], packet[len(packet)-o.suite.ICV:]
	if !hmac.Equal(o.icv(covered, seq), icv) {
		return nil, ErrIntegrity
	}
	n := len(dst)
	dst = append(dst, covered[HeaderLen+o.suite.IV:]...)
	o.cbc.SetIV(covered[HeaderLen : HeaderLen+o.suite.IV])
	o.cbc.CryptBlocks(dst[n:], dst[n:])
	return dst, nil
}

// trim cuts padding and trailer off a decrypted body, whose padding must be 1, 2, 3, ... (RFC 4303 section 2.4).
func trim(body []byte) ([]byte, uint8, error) {
	end := len(body) - trailerLen
	pad, next := int(body[end]), body[end+1]
	if pad > end {
		return nil, 0, ErrIntegrity
	}
	for i, b := range body[end-pad : end] {
		if b != byte(i+1) {
			return nil, 0, ErrIntegrity
		}
	}
	return body[:end-pad], next, nil
}
