package wire2

import (
	"encoding/binary"

	"github.com/parley-ike/parley/core/wire"
)

// Type returns TypeKE.
func (KE) Type() wire.PayloadType { return TypeKE }

func parseKE(r *wire.Reader) KE {
	// Key Exchange Method (2), RESERVED (2), Key Exchange Data: RFC 7296 section 3.4.
	ke := KE{Method: r.U16()}
	r.Skip(2)
	ke.Data = r.Rest()
	return ke
}

func (ke KE) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, ke.Method)
	b = append(b, 0, 0)
	return append(b, ke.Data...)
}
