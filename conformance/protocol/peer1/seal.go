package peer1

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

const block = 16 // of AES

// Oddities is how an encrypted message departs from the usual. The zero value is the usual.
type Oddities struct {
	IV    []byte // instead of the running one
	Pad   []byte // instead of zeros to a whole block
	Inner []byte // instead of the encoded payloads, padding included
	First *uint8 // instead of the type of the first payload
	Keep  bool   // the running IV stays, as if the message had not been sent
}

// Seal encrypts the payloads of a message and moves the running IV of its exchange on (RFC 2409 appendix B).
func (sa *SA) Seal(m peer.Message, odd Oddities) []byte {
	plain, first := m.Inner()
	plain = append(plain, make([]byte, (block-len(plain)%block)%block)...)
	if odd.Pad != nil {
		inner, _ := m.Inner()
		plain = append(inner, odd.Pad...)
	}
	if odd.Inner != nil {
		plain = slices.Clone(odd.Inner)
	}
	if odd.First != nil {
		first = *odd.First
	}
	iv := odd.IV
	if iv == nil {
		iv = sa.running(m.ID)
	}
	cipher.NewCBCEncrypter(sa.cipher(), iv).CryptBlocks(plain, plain)
	if !odd.Keep {
		sa.move(m.ID, plain)
	}
	return Frame(m, first, plain)
}

// Frame returns a message of a header and ciphertext.
func Frame(m peer.Message, first uint8, ciphertext []byte) []byte {
	m.Payloads, m.Flags = nil, m.Flags|FlagEncryption
	if m.Lie == nil {
		m.Lie = peer.Lie(uint32(headerLen + len(ciphertext)))
	}
	b := m.Encode()
	b[16] = first
	return append(b, ciphertext...)
}

func (sa *SA) cipher() cipher.Block {
	c, err := aes.NewCipher(sa.Keys.Encr)
	if err != nil {
		panic(err)
	}
	return c
}

// running is the IV of the next message with a message ID, from whichever side.
func (sa *SA) running(id uint32) []byte {
	if id == 0 {
		return sa.iv
	}
	if sa.runs[id] == nil {
		sa.runs[id] = sa.FirstIV(id)
	}
	return sa.runs[id]
}

// FirstIV is the IV of the first message of an exchange after phase 1.
func (sa *SA) FirstIV(id uint32) []byte {
	return hash(sa.iv, binary.BigEndian.AppendUint32(nil, id))[:block]
}

// move makes the last block of ciphertext the running IV.
func (sa *SA) move(id uint32, ciphertext []byte) {
	if len(ciphertext) < block {
		return
	}
	last := slices.Clone(ciphertext[len(ciphertext)-block:])
	if id == 0 {
		sa.iv = last
		return
	}
	sa.runs[id] = last
}

// ErrOpen says that a message does not make sense under our keys.
var ErrOpen = errors.New("peer1: a message does not open with our keys")

// Open reads an encrypted message: whole blocks, payloads, and less than a block of zeros behind them (RFC 2409 appendix B).
func (sa *SA) Open(b []byte) (peer.Message, error) {
	m, err := Decode(b)
	if err != nil {
		return m, err
	}
	text := slices.Clone(b[headerLen:])
	if !Encrypted(m) || len(text) == 0 || len(text)%block != 0 {
		return m, fmt.Errorf("%w: %d octets, flags %#02x", ErrOpen, len(text), m.Flags)
	}
	cipher.NewCBCDecrypter(sa.cipher(), sa.running(m.ID)).CryptBlocks(text, text)
	var pad []byte
	if m.Payloads, pad, err = parseChain(b[16], text); err != nil {
		return m, fmt.Errorf("%w: %w", ErrOpen, err)
	}
	if len(pad) >= block || len(bytes.Trim(pad, "\x00")) > 0 {
		return m, fmt.Errorf("%w: the padding is % x", ErrOpen, pad)
	}
	sa.move(m.ID, b[headerLen:])
	return m, nil
}

// Hash1 is HASH(1) over the payloads behind it (RFC 2409 section 5.5), Hash2 HASH(2), Hash3 HASH(3).
func (sa *SA) Hash1(id uint32, ps []peer.Payload) []byte {
	return prf(sa.Keys.A, binary.BigEndian.AppendUint32(nil, id), encode(ps))
}

// Hash2 is HASH(2).
func (sa *SA) Hash2(id uint32, ni []byte, ps []peer.Payload) []byte {
	return prf(sa.Keys.A, binary.BigEndian.AppendUint32(nil, id), ni, encode(ps))
}

// Hash3 is HASH(3).
func (sa *SA) Hash3(id uint32, ni, nr []byte) []byte {
	return prf(sa.Keys.A, []byte{0}, binary.BigEndian.AppendUint32(nil, id), ni, nr)
}

func encode(ps []peer.Payload) []byte {
	b, _ := peer.Message{Payloads: ps}.Inner()
	return b
}

// Hashed returns payloads with a HASH payload in front.
func Hashed(hash []byte, ps ...peer.Payload) []peer.Payload {
	return append([]peer.Payload{{Type: TypeHash, Body: hash}}, ps...)
}
