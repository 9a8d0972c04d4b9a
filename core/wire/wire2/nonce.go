package wire2

import "github.com/parley-ike/parley/core/wire"

// Type returns TypeNonce.
func (Nonce) Type() wire.PayloadType { return TypeNonce }

func parseNonce(r *wire.Reader) Nonce {
	// Nonce Data: RFC 7296 section 3.9.
	if n := r.Len(); n < MinNonce || n > MaxNonce {
		r.Fail(r.Offset(), "a nonce has 16 to 256 octets (RFC 7296 section 3.9)")
	}
	return Nonce{Data: r.Rest()}
}

func (n Nonce) append(b []byte) []byte { return append(b, n.Data...) }
