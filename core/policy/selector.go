package policy

import (
	"fmt"
	"net/netip"

	"github.com/parley-ike/parley/core/wire/wire2"
)

// Selector is one traffic selector: an address range, a protocol and a port range (RFC 7296 section 3.13.1). Protocol 0 is
// any. All ports are 0 to 65535; OPAQUE ports, which packets hide, are 65535 to 0. For ICMP and MIPv6 the ports hold the type
// in the upper and the code in the lower octet.
type Selector struct {
	Protocol           uint8
	StartPort, EndPort uint16
	Start, End         netip.Addr
}

const maxPort = 65535

// SelectorOf returns the selector for all traffic of a prefix.
func SelectorOf(p netip.Prefix) Selector {
	p = p.Masked()
	return Selector{EndPort: maxPort, Start: p.Addr(), End: lastAddr(p)}
}

// lastAddr returns the highest address of a masked prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// valid reports whether the addresses are of one family and in order, and the ports in order or OPAQUE.
func (s Selector) valid() bool {
	return s.Start.IsValid() && s.Start.BitLen() == s.End.BitLen() && s.Start.Zone() == "" && s.End.Zone() == "" &&
		s.Start.Compare(s.End) <= 0 && (s.StartPort <= s.EndPort || s.opaque())
}

func (s Selector) opaque() bool   { return s.StartPort == maxPort && s.EndPort == 0 }
func (s Selector) allPorts() bool { return s.StartPort == 0 && s.EndPort == maxPort }

// Intersect returns the traffic that both select, and whether there is any.
func Intersect(a, b Selector) (Selector, bool) {
	if !a.valid() || !b.valid() || a.Start.BitLen() != b.Start.BitLen() {
		return Selector{}, false
	}
	both := Selector{Protocol: max(a.Protocol, b.Protocol), Start: later(a.Start, b.Start), End: earlier(a.End, b.End)}
	if a.Protocol != b.Protocol && a.Protocol != 0 && b.Protocol != 0 || both.Start.Compare(both.End) > 0 {
		return Selector{}, false
	}
	var ok bool
	both.StartPort, both.EndPort, ok = commonPorts(a, b)
	if !ok {
		return Selector{}, false
	}
	return both, true
}

// commonPorts intersects port ranges. OPAQUE, whose end lies before its start, is part of all ports and of no other range
// (RFC 4301 section 4.4.1.1).
func commonPorts(a, b Selector) (start, end uint16, ok bool) {
	if a.opaque() && (b.opaque() || b.allPorts()) || b.opaque() && a.allPorts() {
		return maxPort, 0, true
	}
	start, end = max(a.StartPort, b.StartPort), min(a.EndPort, b.EndPort)
	return start, end, start <= end
}

func later(a, b netip.Addr) netip.Addr {
	if a.Compare(b) > 0 {
		return a
	}
	return b
}

func earlier(a, b netip.Addr) netip.Addr {
	if a.Compare(b) < 0 {
		return a
	}
	return b
}

// Contains reports whether s selects all that other selects.
func (s Selector) Contains(other Selector) bool {
	both, ok := Intersect(s, other)
	return ok && both == other
}

// SelectorsFromWire returns the selectors of a TS payload. Left out is what selects nothing: selectors of an unknown type,
// with ends in the wrong order, with ports of no protocol (RFC 7296 section 3.13.1), and with IPv4 addresses in IPv6 form,
// which no packet has and a kernel may take for IPv4.
func SelectorsFromWire(all []wire2.TrafficSelector) []Selector {
	var out []Selector
	for _, w := range all {
		if s, ok := selectorFromWire(w); ok {
			out = append(out, s)
		}
	}
	return out
}

func selectorFromWire(w wire2.TrafficSelector) (Selector, bool) {
	if w.Type != wire2.TSIPv4AddrRange && w.Type != wire2.TSIPv6AddrRange {
		return Selector{}, false
	}
	s := Selector{Protocol: w.Protocol, StartPort: w.StartPort, EndPort: w.EndPort}
	s.Start, _ = netip.AddrFromSlice(w.StartAddr)
	s.End, _ = netip.AddrFromSlice(w.EndAddr)
	return s, s.valid() && s.Start.Is4() == (w.Type == wire2.TSIPv4AddrRange) && !s.Start.Is4In6() && !s.End.Is4In6() &&
		(s.Protocol != 0 || s.allPorts())
}

// SelectorsToWire returns the selectors as they are sent.
func SelectorsToWire(all []Selector) []wire2.TrafficSelector {
	var out []wire2.TrafficSelector
	for _, s := range all {
		w := wire2.TrafficSelector{Type: wire2.TSIPv6AddrRange, Protocol: s.Protocol, StartPort: s.StartPort, EndPort: s.EndPort,
			StartAddr: s.Start.AsSlice(), EndAddr: s.End.AsSlice()}
		if s.Start.Is4() {
			w.Type = wire2.TSIPv4AddrRange
		}
		out = append(out, w)
	}
	return out
}

// String returns the selector as ParseSelector reads it: "10.1.0.0/16", "10.0.0.1-10.0.0.9[tcp/80]".
func (s Selector) String() string { return s.addresses() + s.ports() }

func (s Selector) addresses() string {
	if s.Start == s.End {
		return s.Start.String()
	}
	if p, ok := s.Prefix(); ok {
		return p.String()
	}
	return fmt.Sprintf("%v-%v", s.Start, s.End)
}

// Prefix returns the addresses of a selector if they are those of a prefix.
func (s Selector) Prefix() (netip.Prefix, bool) {
	for bits := 0; s.valid() && bits <= s.Start.BitLen(); bits++ {
		if p := netip.PrefixFrom(s.Start, bits); p.Masked() == p && lastAddr(p) == s.End {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

func (s Selector) ports() string {
	protocol := protocolWord(s.Protocol)
	switch {
	case s.Protocol == 0 && s.allPorts():
		return ""
	case s.allPorts():
		return fmt.Sprintf("[%s]", protocol)
	case s.opaque():
		return fmt.Sprintf("[%s/opaque]", protocol)
	case hasTypes(s.Protocol):
		return fmt.Sprintf("[%s/%s]", protocol, s.types())
	case s.StartPort == s.EndPort:
		return fmt.Sprintf("[%s/%d]", protocol, s.StartPort)
	}
	return fmt.Sprintf("[%s/%d-%d]", protocol, s.StartPort, s.EndPort)
}

// types returns "8" for all codes of a type, "3.4" for one code, and ranges of them.
func (s Selector) types() string {
	first, last := fmt.Sprint(s.StartPort>>8), fmt.Sprint(s.EndPort>>8)
	if s.StartPort&0xff != 0 || s.EndPort&0xff != 0xff {
		first, last = fmt.Sprintf("%s.%d", first, s.StartPort&0xff), fmt.Sprintf("%s.%d", last, s.EndPort&0xff)
	}
	if first == last {
		return first
	}
	return first + "-" + last
}
