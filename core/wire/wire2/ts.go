package wire2

import (
	"encoding/binary"

	"github.com/parley-ike/parley/core/wire"
)

// selectorLen is the size in octets of the smallest selector: type, protocol and length (RFC 7296 section 3.13.1).
const selectorLen = 4

// Type returns TypeTSi.
func (TSi) Type() wire.PayloadType { return TypeTSi }

// Type returns TypeTSr.
func (TSr) Type() wire.PayloadType { return TypeTSr }

func parseSelectors(r *wire.Reader) []TrafficSelector {
	// Number of TSs (1), RESERVED (3), Traffic Selectors: RFC 7296 section 3.13.
	at := r.Offset()
	count := int(r.U8())
	r.Skip(3)
	switch {
	case count == 0:
		r.Fail(at, "a TS payload has at least one selector (RFC 7296 section 3.13)")
	case count*selectorLen > r.Len():
		r.Fail(at, "number of TSs agrees with the payload length (RFC 7296 section 3.13)")
	}
	if r.Failed() {
		return nil
	}
	ss := make([]TrafficSelector, count)
	for i := range ss {
		ss[i] = parseSelector(r)
	}
	return ss
}

func parseSelector(r *wire.Reader) TrafficSelector {
	// TS Type (1), IP Protocol ID (1), Selector Length (2), and for types 7 and 8 Start Port (2), End Port (2),
	// Starting Address, Ending Address: RFC 7296 section 3.13.1.
	s := TrafficSelector{Type: TSType(r.U8()), Protocol: r.U8()}
	outer := r.Enter(int(r.U16()) - selectorLen)
	if n := s.Type.addressLen(); n > 0 {
		s.StartPort, s.EndPort = r.U16(), r.U16()
		s.StartAddr, s.EndAddr = r.Bytes(n), r.Bytes(n)
	} else {
		s.Unknown = r.Rest()
	}
	r.Leave(outer)
	return s
}

// addressLen returns the size of an address in octets, 0 for types that have none we know.
func (t TSType) addressLen() int {
	switch t {
	case TSIPv4AddrRange:
		return 4
	case TSIPv6AddrRange:
		return 16
	}
	return 0
}

func (ts TSi) append(b []byte) []byte { return appendSelectors(b, ts.Selectors) }
func (ts TSr) append(b []byte) []byte { return appendSelectors(b, ts.Selectors) }

func appendSelectors(b []byte, ss []TrafficSelector) []byte {
	b = append(b, byte(len(ss)), 0, 0, 0)
	for _, s := range ss {
		b = s.append(b)
	}
	return b
}

func (s TrafficSelector) append(b []byte) []byte {
	start := len(b)
	b, length := wire.OpenLength16(append(b, byte(s.Type), s.Protocol), start)
	if s.Type.addressLen() > 0 {
		b = binary.BigEndian.AppendUint16(b, s.StartPort)
		b = binary.BigEndian.AppendUint16(b, s.EndPort)
		b = append(b, s.StartAddr...)
		b = append(b, s.EndAddr...)
	} else {
		b = append(b, s.Unknown...)
	}
	length.Close(b)
	return b
}
