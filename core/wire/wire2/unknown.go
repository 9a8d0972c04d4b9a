package wire2

import "github.com/parley-ike/parley/core/wire"

// Type returns the payload's number.
func (u Unknown) Type() wire.PayloadType { return u.Number }

// parseUnknown keeps what a payload of another time says: implementations skip such payloads, unless they are critical
// (RFC 7296 section 2.5).
func parseUnknown(raw wire.RawPayload, r *wire.Reader) Unknown {
	return Unknown{Number: raw.Type, Critical: raw.Critical, Body: r.Rest()}
}

func (u Unknown) append(b []byte) []byte { return append(b, u.Body...) }
