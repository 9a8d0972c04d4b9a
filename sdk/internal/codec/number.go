package codec

import (
	"fmt"
	"net/netip"

	"github.com/parley-ike/parley/sdk"
)

// narrower converts the wide numbers of messages and remembers the first that does not fit.
type narrower struct{ err error }

func (n *narrower) fail(field string, value any) {
	if n.err == nil {
		n.err = fmt.Errorf("%w: field %s of the message has the impossible value %v", sdk.ErrInvalid, field, value)
	}
}

func (n *narrower) u8(field string, v uint32) uint8 {
	if v > 1<<8-1 {
		n.fail(field, v)
	}
	return uint8(v)
}

func (n *narrower) u16(field string, v uint32) uint16 {
	if v > 1<<16-1 {
		n.fail(field, v)
	}
	return uint16(v)
}

// addr accepts an empty address as none.
func (n *narrower) addr(field string, b []byte) netip.Addr {
	if len(b) == 0 {
		return netip.Addr{}
	}
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		n.fail(field, fmt.Sprintf("%x (an address has 4 or 16 octets)", b))
	}
	return a
}

func (n *narrower) u16s(field string, vs []uint32) []uint16 {
	var out []uint16
	for _, v := range vs {
		out = append(out, n.u16(field, v))
	}
	return out
}

func wide(vs []uint16) []uint32 {
	var out []uint32
	for _, v := range vs {
		out = append(out, uint32(v))
	}
	return out
}
