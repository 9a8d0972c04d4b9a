package peer

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Oddities is how an Encrypted payload departs from the usual. The zero value is the usual.
type Oddities struct {
	IV         []byte    // instead of a random one
	Pad        []byte    // instead of the shortest padding; must align
	LiePad     bool      // the Pad Length is 255
	Forge      bool      // the checksum is wrong
	Before     []Payload // unprotected payloads in front of it
	After      []Payload // unprotected payloads behind it, which must not be
	Flags      uint8     // of its generic header
	Inner      []byte    // instead of the encoded payloads
	InnerFirst *uint8    // instead of the type of the first inner payload
	LieLen     *uint16   // instead of its Payload Length
}

const (
	block  = 16 // of AES
	icvLen = 16 // of both suites
	gcmIV  = 8
)

// Seal protects the payloads of a message (RFC 7296 section 3.14, RFC 5282).
func (sa *SA) Seal(m Message, odd Oddities) []byte {
	inner, first := chain(m.Payloads, 0), next(m.Payloads)
	if odd.Inner != nil {
		inner = odd.Inner
	}
	if odd.InnerFirst != nil {
		first = *odd.InnerFirst
	}
	return sa.sealAs(m, TypeSK, first, nil, inner, odd)
}

// Fragment protects the payloads of a message in fragments whose plaintext has at most size octets (RFC 7383 section 2.5).
func (sa *SA) Fragment(m Message, size int) (all [][]byte) {
	parts := slices.Collect(slices.Chunk(chain(m.Payloads, 0), size))
	for i, part := range parts {
		first := uint8(0)
		if i == 0 {
			first = next(m.Payloads)
		}
		all = append(all, sa.SealFragment(m, i+1, len(parts), first, part, Oddities{}))
	}
	return all
}

// SealFragment protects one fragment with whatever numbers.
func (sa *SA) SealFragment(m Message, number, total int, first uint8, part []byte, odd Oddities) []byte {
	numbers := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, uint16(number)), uint16(total))
	return sa.sealAs(m, TypeSKF, first, numbers, part, odd)
}

// Inner returns the octets of the payloads of a message and the type of the first, to be sent in fragments.
func (m Message) Inner() ([]byte, uint8) { return chain(m.Payloads, 0), next(m.Payloads) }

// sealAs builds header, unprotected payloads, and an Encrypted payload whose body begins with prefix.
func (sa *SA) sealAs(m Message, kind, first uint8, prefix, inner []byte, odd Oddities) []byte {
	size, iv := gcmIV, odd.IV
	if !sa.Suite.AEAD {
		size = block
	}
	if iv == nil {
		iv = Random(size)
	}
	plain := sa.padded(inner, odd)
	length := genericLen + len(prefix) + len(iv) + len(plain) + icvLen
	sk := []byte{first, odd.Flags}
	if odd.LieLen != nil {
		sk = binary.BigEndian.AppendUint16(sk, *odd.LieLen)
	} else {
		sk = binary.BigEndian.AppendUint16(sk, uint16(length))
	}
	sk = append(sk, prefix...)
	tail := chain(odd.After, 0)
	clear := m
	clear.Payloads = nil
	if clear.Lie == nil {
		clear.Lie = Lie(uint32(headerLen + len(chain(odd.Before, 0)) + length + len(tail)))
	}
	outer := kind
	if len(odd.Before) > 0 {
		outer = odd.Before[0].Type
	}
	head := clear.seal(outer, append(chain(odd.Before, kind), sk...))
	sealed := sa.encrypt(head, iv, plain)
	if odd.Forge {
		sealed[len(sealed)-1] ^= 1
	}
	return append(sealed, tail...)
}

// padded appends padding and Pad Length.
func (sa *SA) padded(inner []byte, odd Oddities) []byte {
	pad := odd.Pad
	if pad == nil && !sa.Suite.AEAD {
		pad = make([]byte, (block-(len(inner)+1)%block)%block)
	}
	length := byte(len(pad))
	if odd.LiePad {
		length = 255
	}
	return append(slices.Concat(inner, pad), length)
}

// encrypt returns head, IV, ciphertext and checksum.
func (sa *SA) encrypt(head, iv, plain []byte) []byte {
	ek, ak := sa.outKeys()
	if sa.Suite.AEAD {
		return must(gcm(ek)).Seal(slices.Concat(head, iv), slices.Concat(ek[32:], iv), plain, head)
	}
	out := slices.Concat(head, iv, plain)
	cipher.NewCBCEncrypter(must(aes.NewCipher(ek)), iv).CryptBlocks(out[len(head)+len(iv):], plain)
	return append(out, checksum(ak, out)...)
}

func gcm(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key[:32])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

func checksum(key, data []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(data)
	return m.Sum(nil)[:icvLen]
}

// outKeys are the keys of what we send.
func (sa *SA) outKeys() (encryption, integrity []byte) {
	if sa.Initiator {
		return sa.Keys.Ei, sa.Keys.Ai
	}
	return sa.Keys.Er, sa.Keys.Ar
}

func (sa *SA) inKeys() (encryption, integrity []byte) {
	if sa.Initiator {
		return sa.Keys.Er, sa.Keys.Ar
	}
	return sa.Keys.Ei, sa.Keys.Ai
}

// Sealed is what the outside of a received Encrypted payload showed.
type Sealed struct {
	Fragment, Total int // 0 for an Encrypted payload
	First           uint8
	IV              []byte
	PadLen          int
	Flags           uint8
	plain           []byte
}

// Open reads a protected message: the payloads are those inside. A fragment is returned without payloads; Reassemble takes
// it. An error of kind ErrChecksum says that it is not authentic.
func (sa *SA) Open(b []byte) (Message, Sealed, error) {
	m, err := Decode(b)
	if err != nil {
		return m, Sealed{}, err
	}
	if n := len(m.Payloads); n != 1 || m.Payloads[0].Type != TypeSK && m.Payloads[0].Type != TypeSKF {
		return m, Sealed{}, fmt.Errorf("peer: not one Encrypted payload: %v", m)
	}
	s, err := sa.open(b, m.Payloads[0])
	if err != nil {
		return m, s, err
	}
	m.Payloads = nil
	if s.Fragment == 0 {
		m.Payloads, err = parseChain(s.First, s.plain)
	}
	return m, s, err
}

// ErrChecksum says that a message is not authentic under the keys that we have.
var ErrChecksum = errors.New("peer: the checksum is wrong")

func (sa *SA) open(b []byte, sk Payload) (Sealed, error) {
	s := Sealed{First: b[headerLen], Flags: sk.Flags}
	body := sk.Body
	if sk.Type == TypeSKF {
		if len(body) < 4 {
			return s, errors.New("peer: a fragment is cut off")
		}
		s.Fragment, s.Total = int(binary.BigEndian.Uint16(body)), int(binary.BigEndian.Uint16(body[2:]))
		body = body[4:]
	}
	size := block
	if sa.Suite.AEAD {
		size = gcmIV
	}
	if len(body) < size+1+icvLen {
		return s, errors.New("peer: an Encrypted payload is cut off")
	}
	s.IV = body[:size]
	plain, err := sa.decrypt(b, body, size)
	if err != nil {
		return s, err
	}
	s.PadLen = int(plain[len(plain)-1])
	if s.PadLen+1 > len(plain) {
		return s, errors.New("peer: the padding is longer than what it pads")
	}
	s.plain = plain[:len(plain)-1-s.PadLen]
	return s, nil
}

func (sa *SA) decrypt(b, body []byte, size int) ([]byte, error) {
	ek, ak := sa.inKeys()
	if sa.Suite.AEAD {
		plain, err := must(gcm(ek)).Open(nil, slices.Concat(ek[32:], body[:size]), body[size:], b[:len(b)-len(body)])
		if err != nil {
			return nil, ErrChecksum
		}
		return plain, nil
	}
	end := len(b) - icvLen
	if !bytes.Equal(checksum(ak, b[:end]), b[end:]) {
		return nil, ErrChecksum
	}
	plain := slices.Clone(body[size : len(body)-icvLen])
	if len(plain)%block != 0 || len(plain) == 0 {
		return nil, errors.New("peer: the ciphertext is no multiple of the block size")
	}
	cipher.NewCBCDecrypter(must(aes.NewCipher(ek)), body[:size]).CryptBlocks(plain, plain)
	return plain, nil
}

// Reassemble puts opened fragments together; they must be in order and all there.
func Reassemble(m Message, parts []Sealed) (Message, error) {
	var plain []byte
	for i, p := range parts {
		if p.Fragment != i+1 || p.Total != len(parts) || i > 0 && p.First != 0 {
			return m, fmt.Errorf("peer: fragment %d of %d, Next Payload %d, at place %d of %d", p.Fragment, p.Total, p.First, i+1, len(parts))
		}
		plain = append(plain, p.plain...)
	}
	var err error
	m.Payloads, err = parseChain(parts[0].First, plain)
	return m, err
}

// Len is how many octets of payloads are inside.
func (s Sealed) Len() int { return len(s.plain) }
