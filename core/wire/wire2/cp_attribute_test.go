package wire2_test

import (
	"bytes"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/parley-ike/parley/core/wire/wire2"
)

func TestConfigurationAttributesHaveTheirFormOnTheWire(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		got   wire2.CPAttribute
		typ   uint16
		value string
	}{
		{"IPv4 address", wire2.AddressAttribute(netip.MustParseAddr("192.0.2.202")), 1, "c00002ca"},
		{"any IPv4 address", wire2.AddressAttribute(netip.IPv4Unspecified()), 1, ""},
		{"IPv6 address", wire2.AddressAttribute(netip.MustParseAddr("2001:db8::5")), 8, "20010db8000000000000000000000005 80"},
		{"any IPv6 address", wire2.AddressAttribute(netip.IPv6Unspecified()), 8, ""},
		{"IPv4 DNS", wire2.DNSAttribute(netip.MustParseAddr("192.0.2.1")), 3, "c0000201"},
		{"IPv6 DNS", wire2.DNSAttribute(netip.MustParseAddr("2001:db8::1")), 10, "20010db8000000000000000000000001"},
		{"IPv4 subnet", wire2.SubnetAttribute(netip.MustParsePrefix("198.51.100.0/26")), 13, "c6336400 ffffffc0"},
		{"all of IPv4", wire2.SubnetAttribute(netip.MustParsePrefix("0.0.0.0/0")), 13, "00000000 00000000"},
		{"IPv6 subnet", wire2.SubnetAttribute(netip.MustParsePrefix("2001:db8::/32")), 15, "20010db8000000000000000000000000 20"},
		{"supported attributes", wire2.SupportedAttribute([]uint16{1, 25}), 14, "0001 0019"},
		{"trust anchor", wire2.TrustAnchorAttribute(wire2.TrustAnchor{KeyTag: 43547, Algorithm: 8, DigestType: 1, Digest: []byte{0xb6}}), 26, "aa1b 08 01 b6"},
	} {
		if want := unhex(t, c.value); c.got.Type != c.typ || !bytes.Equal(c.got.Value, want) || c.got.Reserved {
			t.Errorf("%s: %d %x, want %d %x", c.name, c.got.Type, c.got.Value, c.typ, want)
		}
	}
}

func TestWhatAnAttributeSaysIsReadBack(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"192.0.2.202", "0.0.0.0", "2001:db8::5", "::"} {
		if got, ok := wire2.AddressAttribute(netip.MustParseAddr(s)).Address(); !ok || got.String() != s {
			t.Errorf("%s: %v %v", s, got, ok)
		}
	}
	for _, s := range []string{"192.0.2.1", "2001:db8::1"} {
		if got, ok := wire2.DNSAttribute(netip.MustParseAddr(s)).Address(); !ok || got.String() != s {
			t.Errorf("DNS %s: %v %v", s, got, ok)
		}
	}
	for _, s := range []string{"198.51.100.0/26", "0.0.0.0/0", "192.0.2.1/32", "2001:db8::/32", "::/0"} {
		if got, ok := wire2.SubnetAttribute(netip.MustParsePrefix(s)).Subnet(); !ok || got.String() != s {
			t.Errorf("%s: %v %v", s, got, ok)
		}
	}
	ta := wire2.TrustAnchor{KeyTag: 31406, Algorithm: 8, DigestType: 2, Digest: []byte{1, 2}}
	if got, ok := wire2.TrustAnchorAttribute(ta).TrustAnchor(); !ok || !reflect.DeepEqual(got, ta) {
		t.Errorf("%+v %v", got, ok)
	}
}

// RFC7296-3.15.1-5: what cannot be understood is ignored; it must not be taken for something else.
func TestAttributesOfAnotherLengthSayNothing(t *testing.T) {
	t.Parallel()
	for _, typ := range []uint16{1, 3, 8, 10, 13, 15, 25, 26, 99} {
		for n := range 20 {
			a := wire2.CPAttribute{Type: typ, Value: bytes.Repeat([]byte{1}, n)}
			_, address := a.Address()
			_, subnet := a.Subnet()
			_, domain := a.Domain()
			_, anchor := a.TrustAnchor()
			want := map[uint16][]int{1: {0, 4}, 3: {4}, 8: {0, 17}, 10: {16}}[typ]
			if address != slices.Contains(want, n) {
				t.Errorf("type %d with %d octets is an address: %v", typ, n, address)
			}
			if subnet != (typ == 15 && n == 17) || domain || anchor != (typ == 26 && n >= 5) {
				t.Errorf("type %d with %d octets: subnet %v, domain %v, trust anchor %v", typ, n, subnet, domain, anchor)
			}
		}
	}
}

func TestHostileValuesSayNothing(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]wire2.CPAttribute{
		"IPv4 in IPv6 form":     {Type: wire2.InternalIP6Address, Value: unhex(t, "00000000000000000000ffffc0000201 80")},
		"IPv4 DNS in IPv6 form": {Type: wire2.InternalIP6DNS, Value: unhex(t, "00000000000000000000ffffc0000201")},
	} {
		if got, ok := a.Address(); ok {
			t.Errorf("%s is the address %v", name, got)
		}
	}
	for name, a := range map[string]wire2.CPAttribute{
		"netmask with a hole":   {Type: wire2.InternalIP4Subnet, Value: unhex(t, "0a000000 ff00ff00")},
		"prefix length of 129":  {Type: wire2.InternalIP6Subnet, Value: unhex(t, "20010db8000000000000000000000000 81")},
		"IPv4 in IPv6 form /96": {Type: wire2.InternalIP6Subnet, Value: unhex(t, "00000000000000000000ffffc0000201 60")},
	} {
		if got, ok := a.Subnet(); ok {
			t.Errorf("%s is the subnet %v", name, got)
		}
	}
}

// RFC 8598 section 4.1: a name in presentation format with A-labels. It ends up in files that resolvers read.
func TestOnlyHostNamesAreDomains(t *testing.T) {
	t.Parallel()
	domain := func(s string) (string, bool) {
		return wire2.CPAttribute{Type: wire2.InternalDNSDomain, Value: []byte(s)}.Domain()
	}
	for in, want := range map[string]string{"Example.COM": "example.com", "city.other.test.": "city.other.test", "xn--bcher-kva.example": "xn--bcher-kva.example", "_tcp.example": "_tcp.example"} {
		if got, ok := domain(in); !ok || got != want {
			t.Errorf("%q: %q %v", in, got, ok)
		}
	}
	for _, in := range []string{"", ".", "..", "a..b", "-a.b", "a-.b", "a b", "a\nnameserver 192.0.2.66", "a;b", "bücher.example", "a\x00",
		strings.Repeat("a", 64) + ".b", strings.Repeat("abcdefg.", 32)} {
		if got, ok := domain(in); ok {
			t.Errorf("%q is the domain %q", in, got)
		}
	}
}

func TestAVersionIsPrintableAndBounded(t *testing.T) {
	t.Parallel()
	version := func(s string) (string, bool) {
		return wire2.CPAttribute{Type: wire2.ApplicationVersion, Value: []byte(s)}.Version()
	}
	if got, ok := version("foobar v1.3beta\x1b[2J\n"); !ok || got != "foobar v1.3beta?[2J?" {
		t.Errorf("%q %v", got, ok)
	}
	if got, _ := version(strings.Repeat("v", 5000)); len(got) != 256 {
		t.Errorf("%d octets", len(got))
	}
	if _, ok := version(""); ok {
		t.Error("an empty version says something")
	}
}

func TestKindsAndAttributesHaveNames(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{"CFG_REQUEST": wire2.CFGName(1), "CFG_ACK": wire2.CFGName(4), "CFG_9": wire2.CFGName(9),
		"INTERNAL_IP6_SUBNET": wire2.AttributeName(15), "INTERNAL_DNSSEC_TA": wire2.AttributeName(26), "ATTRIBUTE_99": wire2.AttributeName(99)} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
