package suite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
	"github.com/parley-ike/parley/sdk/secret"
)

var (
	// ErrIntegrity is the cause when a message was not protected with the keys at hand. It may come from anyone: drop it
	// without an answer (RFC 7296 section 2.21.4).
	ErrIntegrity = errors.New("suite: message is not authentic")
	// ErrTooLong is the cause when a message would exceed wire2.MaxMessage, and with it the 16-bit length of its payload.
	ErrTooLong = errors.New("suite: message exceeds 65535 octets: send it in fragments")

	errWiped        = errors.New("suite: the keys of this protection were wiped")
	errNotProtected = fmt.Errorf("%w: no encrypted payload at its end", ErrIntegrity)
)

const (
	fragmentLen   = 4   // fragment number and total, RFC 7383 section 2.5
	lengthOffset  = 24  // of the length in an IKE header, RFC 7296 section 3.1
	typicalInside = 384 // room for payloads that spares most messages a second allocation
)

// Protection seals or opens the messages of one direction of one IKE SA (RFC 7296 section 3.14, RFC 5282, RFC 7634,
// RFC 7383). Make only one from a pair of keys: the IVs of an AEAD are a counter that starts with it, and an IV that
// comes twice under one key gives the plaintext away. It is not safe for concurrent use.
//
// It keeps the keys and not what ciphers make of them, which takes a microsecond to make and ten times the memory to keep: most SAs
// are idle.
type Protection struct {
	encr     *Encryption
	integ    *Integrity // nil with an AEAD
	ske, ska secret.Bytes
	icvLen   int
	sealed   uint64 // messages, for an AEAD: the next IV. An SA's message IDs and fragment numbers end long before 2^64.
}

// NewProtection returns the protection with SK_e (salt included) and SK_a of one direction. It copies them.
func NewProtection(s Suite, ske, ska secret.Bytes) (*Protection, error) {
	encr, integ, err := s.lens()
	if err != nil {
		return nil, err
	}
	if len(ske) != encr || len(ska) != integ {
		return nil, fmt.Errorf("suite: %v takes keys of %d and %d octets, got %d and %d", s, encr, integ, len(ske), len(ska))
	}
	p := &Protection{ske: ske.Clone(), ska: ska.Clone()}
	p.encr, _ = LookupEncryption(s.Encr)
	p.icvLen = p.encr.ICVLen
	if !p.encr.AEAD {
		p.integ, _ = LookupIntegrity(s.Integ)
		p.icvLen = p.integ.ICVLen
	}
	_, err = p.box()
	return p, err
}

// Wipe overwrites the keys. Seal and Open fail from then on. There is nothing to wipe of nil.
func (p *Protection) Wipe() {
	if p == nil {
		return
	}
	p.ske.Wipe()
	p.ska.Wipe()
	p.ske, p.ska = nil, nil
}

// box returns the cipher for one message.
func (p *Protection) box() (box, error) {
	switch {
	case p.ske == nil:
		return nil, errWiped
	case p.encr.AEAD:
		return newAEADBox(p.encr, p.ske, &p.sealed)
	default:
		return newCBCBox(p.encr, p.integ, p.ske, p.ska)
	}
}

// Overhead returns how many octets an SK payload adds to what is inside, the most padding included. SKF adds 4 more.
func (p *Protection) Overhead() int {
	return wire.PayloadHeaderLen + p.encr.IVLen + (p.encr.BlockLen - 1) + 1 + p.icvLen
}

// FragmentRoom returns how many octets a piece may have so that the message that SealFragment makes of it has at most limit
// octets: at least 1, whatever the limit.
func (p *Protection) FragmentRoom(limit int) int {
	sealed := limit - wire.HeaderLen - wire.PayloadHeaderLen - fragmentLen - p.encr.IVLen - p.icvLen
	return max(sealed&^(p.encr.BlockLen-1)-1, 1) // one octet is Pad Length
}

// Seal returns the whole message: header, and one SK payload around inner. It fills in NextPayload and Length of h. CBC
// takes its IV from rand, which must be unpredictable; an AEAD does not read it.
func (p *Protection) Seal(h wire.Header, inner []wire2.Payload, rand io.Reader) ([]byte, error) {
	h.NextPayload = wire2.TypeSK
	msg := make([]byte, 0, wire.HeaderLen+p.Overhead()+typicalInside)
	msg = append(h.Append(msg), byte(wire2.FirstType(inner)), 0, 0, 0)
	head := len(msg)
	msg = wire2.AppendPayloads(p.appendIV(msg), inner)
	return p.finish(msg, head, rand)
}

// SealFragment returns the whole message that carries piece, fragment number of total, in an SKF payload (RFC 7383
// section 2.5). first, the type of the first inner payload, goes into fragment 1 only.
func (p *Protection) SealFragment(h wire.Header, first wire.PayloadType, number, total uint16, piece []byte, rand io.Reader) ([]byte, error) {
	if number == 0 || number > total {
		return nil, fmt.Errorf("suite: fragment %d of %d: count from 1 to the total", number, total)
	}
	if number > 1 { // RFC 7383 section 2.5
		first = wire2.TypeNone
	}
	h.NextPayload = wire2.TypeSKF
	msg := make([]byte, 0, wire.HeaderLen+fragmentLen+p.Overhead()+len(piece))
	msg = append(h.Append(msg), byte(first), 0, 0, 0)
	msg = binary.BigEndian.AppendUint16(msg, number)
	msg = binary.BigEndian.AppendUint16(msg, total)
	head := len(msg)
	msg = append(p.appendIV(msg), piece...)
	return p.finish(msg, head, rand)
}

// appendIV makes room for the IV.
func (p *Protection) appendIV(msg []byte) []byte { return append(msg, make([]byte, p.encr.IVLen)...) }

// finish pads msg, writes both lengths and seals all behind the first head octets.
func (p *Protection) finish(msg []byte, head int, rand io.Reader) ([]byte, error) {
	plain := len(msg) - head - p.encr.IVLen
	pad := -(plain + 1) & (p.encr.BlockLen - 1) // minimal, RFC 7296 section 3.14; BlockLen is a power of two
	msg = append(msg, make([]byte, pad)...)
	msg = append(msg, byte(pad))
	total := len(msg) + p.icvLen
	if total > wire2.MaxMessage {
		return nil, ErrTooLong
	}
	binary.BigEndian.PutUint32(msg[lengthOffset:], uint32(total))
	binary.BigEndian.PutUint16(msg[wire.HeaderLen+2:], uint16(total-wire.HeaderLen))
	return p.seal(msg, head, rand)
}

func (p *Protection) seal(msg []byte, head int, rand io.Reader) ([]byte, error) {
	b, err := p.box()
	if err != nil {
		return nil, err
	}
	return b.seal(msg, head, rand)
}

// Open verifies and decrypts a message that ends in an SK payload and returns its header and the payloads inside; those
// before the SK payload, which no exchange defines, are covered by the checksum and left out. Whatever is not authentic
// gives ErrIntegrity. An authentic message whose inside is malformed gives a *wire2.Error, whose offset counts from the
// first octet inside. Open does not change packet.
func (p *Protection) Open(packet []byte) (wire2.Message, error) {
	h, sk, err := locate(packet, wire2.TypeSK)
	if err != nil {
		return wire2.Message{}, err
	}
	plain, err := p.open(packet, sk.Offset+wire.PayloadHeaderLen)
	if err != nil {
		return wire2.Message{}, err
	}
	inner, err := wire2.ParsePayloads(sk.Next, plain)
	if err != nil {
		return wire2.Message{}, err
	}
	return wire2.Message{Header: h, Payloads: inner}, nil
}

// OpenFragment verifies and decrypts a message that ends in an SKF payload; Body of the result is the plaintext piece.
// Whatever is not authentic, or breaks the rules on numbers in RFC 7383 section 2.5, gives ErrIntegrity.
func (p *Protection) OpenFragment(packet []byte) (wire2.SKF, error) {
	_, skf, err := locate(packet, wire2.TypeSKF)
	if err != nil {
		return wire2.SKF{}, err
	}
	plain, err := p.open(packet, skf.Offset+wire.PayloadHeaderLen+fragmentLen)
	if err != nil {
		return wire2.SKF{}, err
	}
	f := wire2.SKF{ // an IV lies behind the numbers, or open would have failed
		First:  skf.Next,
		Number: binary.BigEndian.Uint16(skf.Body),
		Total:  binary.BigEndian.Uint16(skf.Body[2:]),
		Body:   plain,
	}
	if f.Number == 0 || f.Number > f.Total || (f.Number > 1 && f.First != wire2.TypeNone) {
		return wire2.SKF{}, ErrIntegrity
	}
	return f, nil
}

// open returns what is inside without its padding, of any legal length and any content (RFC 7296 section 3.14). Padding
// longer than the plaintext gives the very error of a wrong checksum.
func (p *Protection) open(packet []byte, head int) ([]byte, error) {
	b, err := p.box()
	if err != nil {
		return nil, err
	}
	plain, ok := b.open(packet, head)
	if !ok || len(plain) == 0 {
		return nil, ErrIntegrity
	}
	end := len(plain) - 1 - int(plain[len(plain)-1])
	if end < 0 {
		return nil, ErrIntegrity
	}
	return plain[:end:end], nil
}

// locate returns the header of packet and its last payload, which must be of type want and reach to the end of the packet
// (RFC 7296 section 3.14, RFC 7383 section 2.5). It looks at generic headers only.
func locate(packet []byte, want wire.PayloadType) (wire.Header, wire.RawPayload, error) {
	h, err := wire.ParseHeader(packet)
	if err != nil || uint64(h.Length) != uint64(len(packet)) {
		return h, wire.RawPayload{}, errNotProtected
	}
	chain := wire.NewChain(h.NextPayload, packet[wire.HeaderLen:], wire.HeaderLen)
	for {
		switch p, ok := chain.Next(); {
		case !ok:
			return h, p, errNotProtected
		case p.Type == want && p.Offset+wire.PayloadHeaderLen+len(p.Body) == len(packet):
			return h, p, nil
		}
	}
}
