package wire2

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"strings"
)

// Kinds of Configuration payload (RFC 7296 section 3.15).
const (
	CFGRequest uint8 = 1
	CFGReply   uint8 = 2
	CFGSet     uint8 = 3
	CFGAck     uint8 = 4
)

// Types of configuration attribute (RFC 7296 section 3.15.1, RFC 8598 section 4). Others survive decoding and encoding.
const (
	InternalIP4Address  uint16 = 1
	InternalIP4Netmask  uint16 = 2
	InternalIP4DNS      uint16 = 3
	InternalIP4NBNS     uint16 = 4
	InternalIP4DHCP     uint16 = 6
	ApplicationVersion  uint16 = 7
	InternalIP6Address  uint16 = 8
	InternalIP6DNS      uint16 = 10
	InternalIP6DHCP     uint16 = 12
	InternalIP4Subnet   uint16 = 13
	SupportedAttributes uint16 = 14
	InternalIP6Subnet   uint16 = 15
	InternalDNSDomain   uint16 = 25
	InternalDNSSECTA    uint16 = 26
)

// CFGName returns the notation of a kind of Configuration payload: "CFG_REQUEST".
func CFGName(kind uint8) string { return nameOf(cfgNames, "CFG", kind) }

var cfgNames = map[uint8]string{CFGRequest: "CFG_REQUEST", CFGReply: "CFG_REPLY", CFGSet: "CFG_SET", CFGAck: "CFG_ACK"}

// AttributeName returns the IANA name of a configuration attribute type.
func AttributeName(t uint16) string { return nameOf(attributeNames, "ATTRIBUTE", t) }

var attributeNames = map[uint16]string{
	InternalIP4Address: "INTERNAL_IP4_ADDRESS", InternalIP4Netmask: "INTERNAL_IP4_NETMASK", InternalIP4DNS: "INTERNAL_IP4_DNS",
	InternalIP4NBNS: "INTERNAL_IP4_NBNS", InternalIP4DHCP: "INTERNAL_IP4_DHCP", ApplicationVersion: "APPLICATION_VERSION",
	InternalIP6Address: "INTERNAL_IP6_ADDRESS", InternalIP6DNS: "INTERNAL_IP6_DNS", InternalIP6DHCP: "INTERNAL_IP6_DHCP",
	InternalIP4Subnet: "INTERNAL_IP4_SUBNET", SupportedAttributes: "SUPPORTED_ATTRIBUTES", InternalIP6Subnet: "INTERNAL_IP6_SUBNET",
	InternalDNSDomain: "INTERNAL_DNS_DOMAIN", InternalDNSSECTA: "INTERNAL_DNSSEC_TA",
}

// AddressAttribute returns INTERNAL_IP4_ADDRESS or INTERNAL_IP6_ADDRESS, the latter with the prefix length of a host. An
// unspecified address becomes an empty attribute, which asks for any address (RFC 7296 section 3.15.1).
func AddressAttribute(a netip.Addr) CPAttribute {
	switch {
	case a.IsUnspecified() && a.Is4():
		return CPAttribute{Type: InternalIP4Address}
	case a.IsUnspecified():
		return CPAttribute{Type: InternalIP6Address}
	case a.Is4():
		return CPAttribute{Type: InternalIP4Address, Value: a.AsSlice()}
	}
	return CPAttribute{Type: InternalIP6Address, Value: append(a.AsSlice(), byte(a.BitLen()))}
}

// DNSAttribute returns INTERNAL_IP4_DNS or INTERNAL_IP6_DNS.
func DNSAttribute(a netip.Addr) CPAttribute {
	if a.Is4() {
		return CPAttribute{Type: InternalIP4DNS, Value: a.AsSlice()}
	}
	return CPAttribute{Type: InternalIP6DNS, Value: a.AsSlice()}
}

// SubnetAttribute returns INTERNAL_IP4_SUBNET, with a netmask, or INTERNAL_IP6_SUBNET, with a prefix length.
func SubnetAttribute(p netip.Prefix) CPAttribute {
	a := p.Masked().Addr().AsSlice()
	if p.Addr().Is4() {
		mask := ^uint32(0) << (32 - p.Bits())
		return CPAttribute{Type: InternalIP4Subnet, Value: binary.BigEndian.AppendUint32(a, mask)}
	}
	return CPAttribute{Type: InternalIP6Subnet, Value: append(a, byte(p.Bits()))}
}

// Address returns the address of an attribute that holds one; the unspecified one for an empty INTERNAL_IP4_ADDRESS or
// INTERNAL_IP6_ADDRESS. It is false for other types and for a value that is no address, which is to be ignored as an
// attribute that nobody knows (RFC 7296 section 3.15.1).
func (a CPAttribute) Address() (netip.Addr, bool) {
	switch a.Type {
	case InternalIP4Address:
		if len(a.Value) == 0 {
			return netip.IPv4Unspecified(), true
		}
		return address(a.Value, 4)
	case InternalIP6Address:
		switch len(a.Value) {
		case 0:
			return netip.IPv6Unspecified(), true
		case 17: // an address and a prefix length
			return address(a.Value[:16], 16)
		}
	case InternalIP4DNS, InternalIP4NBNS, InternalIP4DHCP:
		return address(a.Value, 4)
	case InternalIP6DNS, InternalIP6DHCP:
		return address(a.Value, 16)
	}
	return netip.Addr{}, false
}

// address reads an address of a family. IPv4 in IPv6 form is none that a packet could have.
func address(b []byte, size int) (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(b)
	return a, ok && len(b) == size && !a.Is4In6()
}

// Subnet returns the prefix of INTERNAL_IP4_SUBNET or INTERNAL_IP6_SUBNET; false for other types and bad values, such as a
// netmask with holes.
func (a CPAttribute) Subnet() (netip.Prefix, bool) {
	switch {
	case a.Type == InternalIP4Subnet && len(a.Value) == 8:
		addr, _ := netip.AddrFromSlice(a.Value[:4])
		mask := binary.BigEndian.Uint32(a.Value[4:])
		n := bits.LeadingZeros32(^mask)
		return netip.PrefixFrom(addr, n).Masked(), mask == ^uint32(0)<<(32-n)
	case a.Type == InternalIP6Subnet && len(a.Value) == 17 && a.Value[16] <= 128:
		addr, ok := address(a.Value[:16], 16)
		return netip.PrefixFrom(addr, int(a.Value[16])).Masked(), ok
	}
	return netip.Prefix{}, false
}

// maxDomain is the longest name in presentation format without escapes (RFC 1035 section 2.3.4).
const maxDomain = 253

// Domain returns the name of INTERNAL_DNS_DOMAIN in lower case without a final dot; false for other types, an empty value,
// and what is no host name of A-labels (RFC 8598 section 4.1): such a value goes nowhere near a resolver's configuration.
func (a CPAttribute) Domain() (string, bool) {
	if a.Type != InternalDNSDomain {
		return "", false
	}
	name := strings.ToLower(strings.TrimSuffix(string(a.Value), "."))
	if name == "" || len(name) > maxDomain {
		return "", false
	}
	for label := range strings.SplitSeq(name, ".") {
		if !isLabel(label) {
			return "", false
		}
	}
	return name, true
}

// isLabel reports whether a label has letters, digits, "-" and "_" only, and is neither empty nor too long.
func isLabel(s string) bool {
	other := func(c rune) bool {
		return !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_')
	}
	return s != "" && len(s) <= 63 && !strings.HasPrefix(s, "-") && !strings.HasSuffix(s, "-") && !strings.ContainsFunc(s, other)
}

// maxVersion bounds the version of a peer that we repeat, in octets.
const maxVersion = 256

// Version returns the text of APPLICATION_VERSION with everything that is not printable ASCII (RFC 7296 section 3.15.1)
// replaced, and bounded; false for other types and an empty value.
func (a CPAttribute) Version() (string, bool) {
	if a.Type != ApplicationVersion || len(a.Value) == 0 {
		return "", false
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, string(a.Value[:min(len(a.Value), maxVersion)])), true
}

// SupportedAttribute returns SUPPORTED_ATTRIBUTES with a list of types (RFC 7296 section 3.15.1).
func SupportedAttribute(types []uint16) CPAttribute {
	a := CPAttribute{Type: SupportedAttributes}
	for _, t := range types {
		a.Value = binary.BigEndian.AppendUint16(a.Value, t)
	}
	return a
}

// TrustAnchor is the content of INTERNAL_DNSSEC_TA: a DS record without its name (RFC 8598 section 4.2).
type TrustAnchor struct {
	KeyTag                uint16
	Algorithm, DigestType uint8
	Digest                []byte
}

// TrustAnchorAttribute returns INTERNAL_DNSSEC_TA.
func TrustAnchorAttribute(ta TrustAnchor) CPAttribute {
	b := binary.BigEndian.AppendUint16(nil, ta.KeyTag)
	return CPAttribute{Type: InternalDNSSECTA, Value: append(append(b, ta.Algorithm, ta.DigestType), ta.Digest...)}
}

// TrustAnchor returns the content of INTERNAL_DNSSEC_TA; false for other types and values without a digest.
func (a CPAttribute) TrustAnchor() (TrustAnchor, bool) {
	if a.Type != InternalDNSSECTA || len(a.Value) < 5 {
		return TrustAnchor{}, false
	}
	return TrustAnchor{KeyTag: binary.BigEndian.Uint16(a.Value), Algorithm: a.Value[2], DigestType: a.Value[3], Digest: a.Value[4:]}, true
}
