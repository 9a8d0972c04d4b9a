package policy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// SelectorError says what is wrong with a traffic selector of the configuration.
type SelectorError struct {
	Selector string
	Reason   string // a clause that ends with the remedy
}

func (e *SelectorError) Error() string {
	return fmt.Sprintf("policy: traffic selector %q: %s", e.Selector, e.Reason)
}

// ParseSelector reads a traffic selector: a prefix "10.1.0.0/16", an address "10.1.2.3" or a range "10.0.0.1-10.0.0.9", and
// after it in brackets, optionally, protocol and ports: "[tcp]", "[tcp/80]", "[udp/1000-2000]", "[icmp/8]" (a type),
// "[icmp/3.4]" (type and code), "[tcp/opaque]", "[47]". The error is a *SelectorError.
func ParseSelector(s string) (Selector, error) {
	addrs, brackets, has := strings.Cut(s, "[")
	sel, reason := parseAddresses(strings.TrimSpace(addrs))
	if reason == "" && has {
		inner, closed := strings.CutSuffix(strings.TrimSpace(brackets), "]")
		if !closed {
			reason = "the bracket is not closed: end it with \"]\""
		} else {
			reason = sel.parseProtocol(inner)
		}
	}
	if reason != "" {
		return Selector{}, &SelectorError{Selector: s, Reason: reason}
	}
	return sel, nil
}

const addressForms = `write a prefix such as "10.1.0.0/16", an address, or a range such as "10.1.0.1-10.1.0.9"`

func parseAddresses(s string) (sel Selector, reason string) {
	if first, last, ok := strings.Cut(s, "-"); ok {
		return parseRange(strings.TrimSpace(first), strings.TrimSpace(last))
	}
	if !strings.Contains(s, "/") {
		return parseRange(s, s)
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return sel, "it is no prefix: " + addressForms
	}
	if p.Masked() != p {
		return sel, fmt.Sprintf("bits are set behind the prefix length: did you mean %v?", p.Masked())
	}
	if p.Addr().Is4In6() {
		return sel, "it is an IPv4 address in IPv6 form: write it as IPv4"
	}
	return SelectorOf(p), ""
}

func parseRange(first, last string) (sel Selector, reason string) {
	start, err1 := netip.ParseAddr(first)
	end, err2 := netip.ParseAddr(last)
	switch {
	case err1 != nil || err2 != nil || start.Zone() != "" || end.Zone() != "":
		return sel, "it is no address: " + addressForms
	case start.Is4In6() || end.Is4In6():
		return sel, "it is an IPv4 address in IPv6 form: write it as IPv4"
	case start.BitLen() != end.BitLen():
		return sel, "it goes from one address family to the other: make two selectors of it"
	case start.Compare(end) > 0:
		return sel, "its end lies before its start: exchange them"
	}
	return Selector{EndPort: maxPort, Start: start, End: end}, ""
}

// protocols names what selectors commonly name; any number works as well.
var protocols = []struct {
	number uint8
	word   string
}{
	{1, "icmp"}, {6, "tcp"}, {17, "udp"}, {33, "dccp"}, {47, "gre"}, {50, "esp"}, {51, "ah"}, {58, "icmpv6"}, {89, "ospf"},
	{103, "pim"}, {112, "vrrp"}, {115, "l2tp"}, {132, "sctp"}, {135, "mipv6"}, {136, "udplite"},
}

func protocolWord(n uint8) string {
	for _, p := range protocols {
		if p.number == n {
			return p.word
		}
	}
	return strconv.Itoa(int(n))
}

func protocolNumber(w string) (uint8, bool) {
	for _, p := range protocols {
		if p.word == strings.ToLower(w) {
			return p.number, true
		}
	}
	n, err := strconv.ParseUint(w, 10, 8)
	return uint8(n), err == nil && n != 0
}

// hasPorts and hasTypes tell what the port fields of a protocol's selectors hold (RFC 7296 section 3.13.1).
func hasPorts(p uint8) bool { return p == 6 || p == 17 || p == 33 || p == 132 || p == 136 }
func hasTypes(p uint8) bool { return p == 1 || p == 58 || p == 135 }

func (s *Selector) parseProtocol(in string) (reason string) {
	word, ports, has := strings.Cut(in, "/")
	n, ok := protocolNumber(strings.TrimSpace(word))
	if !ok {
		return fmt.Sprintf("%q is no protocol: write a name such as tcp, udp or icmp, or a number from 1 to 255, or leave the brackets out for all", word)
	}
	s.Protocol = n
	switch ports = strings.TrimSpace(ports); {
	case !has:
		return ""
	case !hasPorts(n) && !hasTypes(n):
		return fmt.Sprintf("protocol %s has no ports: write [%s]", protocolWord(n), protocolWord(n))
	case ports == "opaque":
		s.StartPort, s.EndPort = maxPort, 0
		return ""
	case hasTypes(n):
		return s.parseTypes(ports)
	}
	return s.parsePorts(ports)
}

func (s *Selector) parsePorts(in string) (reason string) {
	first, last, ok := strings.Cut(in, "-")
	if !ok {
		last = first
	}
	start, err1 := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
	end, err2 := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
	if err1 != nil || err2 != nil || start > end {
		return fmt.Sprintf("%q is no port: write one such as 80, or a range such as 1000-2000", in)
	}
	s.StartPort, s.EndPort = uint16(start), uint16(end)
	return ""
}

// parseTypes reads "8" (all codes of a type), "3.4" (a type and a code), or a range of either.
func (s *Selector) parseTypes(in string) (reason string) {
	first, last, ok := strings.Cut(in, "-")
	if !ok {
		last = first
	}
	start, _, ok1 := parseType(strings.TrimSpace(first))
	_, end, ok2 := parseType(strings.TrimSpace(last))
	if !ok1 || !ok2 || start > end {
		return fmt.Sprintf("%q is no ICMP type: write one such as 8, or type and code such as 3.4", in)
	}
	s.StartPort, s.EndPort = start, end
	return ""
}

func parseType(in string) (lowest, highest uint16, ok bool) {
	typ, code, has := strings.Cut(in, ".")
	t, err := strconv.ParseUint(typ, 10, 8)
	if err != nil {
		return 0, 0, false
	}
	lowest = uint16(t) << 8
	if !has {
		return lowest, lowest | 0xff, true
	}
	c, err := strconv.ParseUint(code, 10, 8)
	return lowest | uint16(c), lowest | uint16(c), err == nil
}
