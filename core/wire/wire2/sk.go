package wire2

import (
	"encoding/binary"

	"github.com/parley-ike/parley/core/wire"
)

// Type returns TypeSK.
func (SK) Type() wire.PayloadType { return TypeSK }

// Type returns TypeSKF.
func (SKF) Type() wire.PayloadType { return TypeSKF }

func parseSK(first wire.PayloadType, r *wire.Reader) SK {
	// Initialization Vector, Encrypted IKE Payloads, Padding, Pad Length, Integrity Checksum Data: RFC 7296 section
	// 3.14. Where one ends and the next begins depends on the algorithms. Next Payload is that of the first inside.
	return SK{First: first, Body: r.Rest()}
}

func (sk SK) append(b []byte) []byte { return append(b, sk.Body...) }

func parseSKF(first wire.PayloadType, r *wire.Reader) SKF {
	// Fragment Number (2), Total Fragments (2), then as SK: RFC 7383 section 2.5.
	at := r.Offset()
	f := SKF{First: first, Number: r.U16(), Total: r.U16()}
	if f.Number == 0 || f.Number > f.Total {
		r.Fail(at, "fragment number is from 1 to total fragments (RFC 7383 section 2.5)")
	}
	f.Body = r.Rest()
	return f
}

func (f SKF) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, f.Number)
	b = binary.BigEndian.AppendUint16(b, f.Total)
	return append(b, f.Body...)
}
