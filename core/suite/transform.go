package suite

import (
	"fmt"

	"github.com/parley-ike/parley/core/wire/wire2"
)

// Numbers of the extended sequence numbers transform (RFC 7296 section 3.3.2).
const (
	esnNo  = 0
	esnYes = 1
)

// Transform is one algorithm in one role, as it is configured and proposed. KeyBits is zero when there is no key length
// attribute.
type Transform struct {
	Type    wire2.TransformType
	ID      uint16
	KeyBits int
}

// String returns the IANA name and the key length: "ENCR_AES_GCM_16 (256 bits)".
func (t Transform) String() string {
	name := t.name()
	if t.KeyBits != 0 {
		return fmt.Sprintf("%s (%d bits)", name, t.KeyBits)
	}
	return name
}

func (t Transform) name() string {
	switch t.Type {
	case wire2.TransformENCR:
		return EncrID(t.ID).String()
	case wire2.TransformPRF:
		return PRFID(t.ID).String()
	case wire2.TransformINTEG:
		return IntegID(t.ID).String()
	case wire2.TransformKE:
		return KEID(t.ID).String()
	case wire2.TransformESN:
		return esnName(t.ID)
	}
	return fmt.Sprintf("TRANSFORM_%d_%d", t.Type, t.ID)
}

func esnName(id uint16) string {
	switch id {
	case esnNo:
		return "NO_ESN"
	case esnYes:
		return "ESN"
	}
	return fmt.Sprintf("ESN_%d", id)
}
