package wire1

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/parley-ike/parley/core/wire"
)

// attributeTV is the AF bit: a two-octet value stands where the length would (RFC 2408 section 3.3).
const attributeTV = 0x8000

// parseAttributes reads attributes to the end of the reader's structure, at the end of pool.
func parseAttributes(r *wire.Reader, pool []Attribute, most int) (as, grown []Attribute) {
	start := len(pool)
	for r.Len() > 0 {
		if len(pool)-start == most {
			r.Fail(r.Offset(), "a transform has at most 32 attributes, an Attributes payload 512")
			break
		}
		pool = append(pool, parseAttribute(r))
	}
	if n := len(pool); n > start {
		as = pool[start:n:n]
	}
	return as, pool
}

func parseAttribute(r *wire.Reader) Attribute {
	// AF (1 bit), Attribute Type (15 bits), Attribute Value (2) or Attribute Length (2) and Attribute Value: RFC 2408
	// section 3.3.
	head, word := r.U16(), r.U16()
	if head&attributeTV != 0 {
		return Attribute{Type: head &^ attributeTV, TV: true, Value: word}
	}
	return Attribute{Type: head, Data: r.Bytes(int(word))}
}

func appendAttributes(b []byte, as []Attribute) []byte {
	for _, a := range as {
		b = a.append(b)
	}
	return b
}

func (a Attribute) append(b []byte) []byte {
	if a.TV {
		b = binary.BigEndian.AppendUint16(b, a.Type|attributeTV)
		return binary.BigEndian.AppendUint16(b, a.Value)
	}
	b = binary.BigEndian.AppendUint16(b, a.Type&^attributeTV)
	b, length := wire.OpenLength16(b, len(b)+2)
	b = append(b, a.Data...)
	length.Close(b)
	return b
}

// NumberAttribute returns an attribute with a number in the shortest form: basic in two octets, as RFC 2407 section 4.5
// demands of basic attributes, or else variable in four or eight, which only lifetimes need.
func NumberAttribute(t uint16, v uint64) Attribute {
	switch {
	case v <= math.MaxUint16:
		return Attribute{Type: t, TV: true, Value: uint16(v)}
	case v <= math.MaxUint32:
		return Attribute{Type: t, Data: binary.BigEndian.AppendUint32(nil, uint32(v))}
	}
	return Attribute{Type: t, Data: binary.BigEndian.AppendUint64(nil, v)}
}

// Number returns the number in an attribute of either form; false when there is none or 64 bits do not hold it.
func (a Attribute) Number() (uint64, bool) {
	if a.TV {
		return uint64(a.Value), true
	}
	var word [8]byte
	digits := bytes.TrimLeft(a.Data, "\x00")
	if len(a.Data) == 0 || len(digits) > len(word) {
		return 0, false
	}
	copy(word[len(word)-len(digits):], digits)
	return binary.BigEndian.Uint64(word[:]), true
}

// FindAttribute returns the first attribute of a type.
func FindAttribute(as []Attribute, t uint16) (Attribute, bool) {
	for _, a := range as {
		if a.Type == t {
			return a, true
		}
	}
	return Attribute{}, false
}

// FindNumber returns the number in the first attribute of a type; false when it is missing or holds none.
func FindNumber(as []Attribute, t uint16) (uint64, bool) {
	a, ok := FindAttribute(as, t)
	if !ok {
		return 0, false
	}
	return a.Number()
}
