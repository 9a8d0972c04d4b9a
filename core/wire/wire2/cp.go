package wire2

import (
	"encoding/binary"

	"github.com/parley-ike/parley/core/wire"
)

// cpReserved is the R bit of a configuration attribute (RFC 7296 section 3.15.1).
const cpReserved = 0x8000

// Type returns TypeCP.
func (CP) Type() wire.PayloadType { return TypeCP }

func parseCP(r *wire.Reader) CP {
	// CFG Type (1), RESERVED (3), Configuration Attributes: RFC 7296 section 3.15.
	cp := CP{Kind: r.U8()}
	r.Skip(3)
	for r.Len() > 0 {
		if len(cp.Attributes) == MaxCPAttributes {
			r.Fail(r.Offset(), "a CP payload has at most 512 attributes")
			break
		}
		cp.Attributes = append(cp.Attributes, parseCPAttribute(r))
	}
	return cp
}

func parseCPAttribute(r *wire.Reader) CPAttribute {
	// R (1 bit), Attribute Type (15 bits), Length (2), Value: RFC 7296 section 3.15.1.
	head := r.U16()
	return CPAttribute{Reserved: head&cpReserved != 0, Type: head &^ cpReserved, Value: r.Bytes(int(r.U16()))}
}

func (cp CP) append(b []byte) []byte {
	b = append(b, cp.Kind, 0, 0, 0)
	for _, a := range cp.Attributes {
		b = a.append(b)
	}
	return b
}

func (a CPAttribute) append(b []byte) []byte {
	head := a.Type &^ cpReserved
	if a.Reserved {
		head |= cpReserved
	}
	b = binary.BigEndian.AppendUint16(b, head)
	b, length := wire.OpenLength16(b, len(b)+2)
	b = append(b, a.Value...)
	length.Close(b)
	return b
}
