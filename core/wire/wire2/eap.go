package wire2

import (
	"encoding/binary"

	"github.com/parley-ike/parley/core/wire"
)

// eapHeaderLen is the size of Code, Identifier and Length in octets (RFC 7296 section 3.16).
const eapHeaderLen = 4

// Type returns TypeEAP.
func (EAP) Type() wire.PayloadType { return TypeEAP }

func parseEAP(r *wire.Reader) EAP {
	// EAP Message: Code (1), Identifier (1), Length (2), Type and Type_Data: RFC 7296 section 3.16.
	at := r.Offset()
	m := r.Rest()
	if len(m) < eapHeaderLen || int(binary.BigEndian.Uint16(m[2:])) != len(m) {
		r.Fail(at, "an EAP message's length is four less than the payload's (RFC 7296 section 3.16)")
	}
	return EAP{Message: m}
}

func (e EAP) append(b []byte) []byte { return append(b, e.Message...) }
