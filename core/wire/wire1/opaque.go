package wire1

import "github.com/parley-ike/parley/core/wire"

// Type returns TypeKE.
func (KE) Type() wire.PayloadType { return TypeKE }

// Type returns TypeHash.
func (Hash) Type() wire.PayloadType { return TypeHash }

// Type returns TypeSig.
func (Sig) Type() wire.PayloadType { return TypeSig }

// Type returns TypeNonce.
func (Nonce) Type() wire.PayloadType { return TypeNonce }

// Type returns the payload's number.
func (u Unknown) Type() wire.PayloadType { return u.Number }

func (ke KE) append(b []byte) []byte     { return append(b, ke.Data...) }
func (h Hash) append(b []byte) []byte    { return append(b, h.Data...) }
func (s Sig) append(b []byte) []byte     { return append(b, s.Data...) }
func (n Nonce) append(b []byte) []byte   { return append(b, n.Data...) }
func (u Unknown) append(b []byte) []byte { return append(b, u.Body...) }

func parseNonce(r *wire.Reader) Nonce {
	if n := r.Len(); n < MinNonce || n > MaxEncryptedNonce {
		r.Fail(r.Offset(), "a nonce has 8 to 256 octets, an encrypted one at most 2048 (RFC 2409 section 5)")
	}
	return Nonce{r.Rest()}
}

// Plain reports whether this can be a nonce that is not encrypted: 8 to 256 octets (RFC 2409 section 5).
func (n Nonce) Plain() bool { return len(n.Data) >= MinNonce && len(n.Data) <= MaxNonce }
