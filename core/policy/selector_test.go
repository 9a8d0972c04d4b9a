package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-ike/parley/core/wire/wire2"
)

func selectors(t testing.TB, all ...string) []Selector {
	t.Helper()
	var out []Selector
	for _, s := range all {
		sel, err := ParseSelector(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, sel)
	}
	return out
}

func TestParseSelectorReadsAllForms(t *testing.T) {
	t.Parallel()
	ip := netip.MustParseAddr
	for _, tt := range []struct {
		in   string
		want Selector
		text string // "": as in
	}{
		{"10.1.0.0/16", Selector{0, 0, 65535, ip("10.1.0.0"), ip("10.1.255.255")}, ""},
		{"0.0.0.0/0", Selector{0, 0, 65535, ip("0.0.0.0"), ip("255.255.255.255")}, ""},
		{"fd00::/8", Selector{0, 0, 65535, ip("fd00::"), ip("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")}, ""},
		{"::/0", Selector{0, 0, 65535, ip("::"), ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")}, ""},
		{"10.1.2.3", Selector{0, 0, 65535, ip("10.1.2.3"), ip("10.1.2.3")}, ""},
		{"10.1.2.3/32", Selector{0, 0, 65535, ip("10.1.2.3"), ip("10.1.2.3")}, "10.1.2.3"},
		{"10.0.0.1 - 10.0.0.9", Selector{0, 0, 65535, ip("10.0.0.1"), ip("10.0.0.9")}, "10.0.0.1-10.0.0.9"},
		{"10.0.0.0-10.0.0.255", Selector{0, 0, 65535, ip("10.0.0.0"), ip("10.0.0.255")}, "10.0.0.0/24"},
		{"10.1.0.0/16[tcp/80]", Selector{6, 80, 80, ip("10.1.0.0"), ip("10.1.255.255")}, ""},
		{"10.1.0.0/16[udp/1000-2000]", Selector{17, 1000, 2000, ip("10.1.0.0"), ip("10.1.255.255")}, ""},
		{"10.1.0.0/16[TCP]", Selector{6, 0, 65535, ip("10.1.0.0"), ip("10.1.255.255")}, "10.1.0.0/16[tcp]"},
		{"10.1.0.0/16[47]", Selector{47, 0, 65535, ip("10.1.0.0"), ip("10.1.255.255")}, "10.1.0.0/16[gre]"},
		{"10.1.0.0/16[200]", Selector{200, 0, 65535, ip("10.1.0.0"), ip("10.1.255.255")}, ""},
		{"10.1.0.0/16[icmp/8]", Selector{1, 0x0800, 0x08ff, ip("10.1.0.0"), ip("10.1.255.255")}, ""},
		{"10.1.0.0/16[icmp/3.4]", Selector{1, 0x0304, 0x0304, ip("10.1.0.0"), ip("10.1.255.255")}, ""},
		{"fd00::/8[icmpv6/133-137]", Selector{58, 133 << 8, 137<<8 | 255, ip("fd00::"), ip("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")}, ""},
		{"10.1.0.0/16[icmp/3.4-5.6]", Selector{1, 0x0304, 0x0506, ip("10.1.0.0"), ip("10.1.255.255")}, ""},
		{"10.1.0.0/16[tcp/opaque]", Selector{6, 65535, 0, ip("10.1.0.0"), ip("10.1.255.255")}, ""}, // RFC7296-3.13.1-2
	} {
		got, err := ParseSelector(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("ParseSelector(%q) = %+v, %v, want %+v", tt.in, got, err, tt.want)
			continue
		}
		if tt.text == "" {
			tt.text = tt.in
		}
		if got.String() != tt.text {
			t.Errorf("ParseSelector(%q).String() = %s, want %s", tt.in, got, tt.text)
		}
	}
}

func TestParseSelectorRefusesWithTheRemedy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"", `policy: traffic selector "": it is no address: write a prefix such as "10.1.0.0/16"`},
		{"10.1.0.0/33", "it is no prefix: write a prefix such as"},
		{"10.1.2.3/16", "bits are set behind the prefix length: did you mean 10.1.0.0/16?"},
		{"10.0.0.9-10.0.0.1", "its end lies before its start: exchange them"},
		{"10.0.0.1-::1", "it goes from one address family to the other: make two selectors of it"},
		{"::ffff:10.0.0.1", "it is an IPv4 address in IPv6 form: write it as IPv4"},
		{"::ffff:10.0.0.0/104", "it is an IPv4 address in IPv6 form: write it as IPv4"},
		{"fe80::1%eth0", "it is no address"},
		{"10.0.0.1[tcp", `the bracket is not closed: end it with "]"`},
		{"10.0.0.1[tpc/80]", `"tpc" is no protocol: write a name such as tcp`},
		{"10.0.0.1[0]", `"0" is no protocol`},
		{"10.0.0.1[gre/1]", "protocol gre has no ports: write [gre]"},
		{"10.0.0.1[tcp/65536]", `"65536" is no port`},
		{"10.0.0.1[tcp/2-1]", `"2-1" is no port`},
		{"10.0.0.1[icmp/300]", `"300" is no ICMP type`},
	} {
		_, err := ParseSelector(tt.in)
		var se *SelectorError
		if !errors.As(err, &se) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ParseSelector(%q): %v, want %s", tt.in, err, tt.want)
		}
	}
}

// The universe of the properties below: 8 addresses in each family, 4 protocols, 4 ports and the OPAQUE one.
var (
	v4Base = netip.MustParseAddr("10.0.0.0")
	v6Base = netip.MustParseAddr("fd00::")
)

const opaquePort = -1

type point struct {
	protocol uint8
	port     int
	addr     netip.Addr
}

func addr(v6 bool, n int) netip.Addr {
	a := v4Base
	if v6 {
		a = v6Base
	}
	for range n {
		a = a.Next()
	}
	return a
}

func universe() (all []point) {
	for _, v6 := range []bool{false, true} {
		for n := range 8 {
			for _, protocol := range []uint8{6, 17, 47, 1} {
				for port := opaquePort; port < 4; port++ {
					all = append(all, point{protocol, port, addr(v6, n)})
				}
			}
		}
	}
	return all
}

// selects is the slow reference: what a selector is about.
func selects(s Selector, p point) bool {
	if s.Start.Is4() != p.addr.Is4() || p.addr.Less(s.Start) || s.End.Less(p.addr) || s.Protocol != 0 && s.Protocol != p.protocol {
		return false
	}
	all, opaque := s.StartPort == 0 && s.EndPort == 65535, s.StartPort == 65535 && s.EndPort == 0
	if p.port == opaquePort {
		return all || opaque
	}
	return !opaque && int(s.StartPort) <= p.port && p.port <= int(s.EndPort)
}

func selectsAny(all []Selector, p point) bool {
	return slices.ContainsFunc(all, func(s Selector) bool { return selects(s, p) })
}

func drawSelector(t *rapid.T) Selector {
	v6 := rapid.IntRange(0, 3).Draw(t, "family") == 0
	start := rapid.IntRange(0, 7).Draw(t, "start")
	s := Selector{Start: addr(v6, start), End: addr(v6, rapid.IntRange(start, 7).Draw(t, "end"))}
	s.Protocol = rapid.SampledFrom([]uint8{0, 0, 6, 17, 47}).Draw(t, "protocol")
	switch rapid.IntRange(0, 3).Draw(t, "ports") {
	case 0:
		s.StartPort, s.EndPort = 65535, 0
	case 1:
		s.StartPort = uint16(rapid.IntRange(0, 3).Draw(t, "first port"))
		s.EndPort = uint16(rapid.IntRange(int(s.StartPort), 3).Draw(t, "last port"))
	default:
		s.EndPort = 65535
	}
	return s
}

func TestIntersectAndContainsAgreeWithEnumeration(t *testing.T) {
	t.Parallel()
	all := universe()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawSelector(t), drawSelector(t)
		both, ok := Intersect(a, b)
		contained, common := true, false
		for _, p := range all {
			if got, want := ok && selects(both, p), selects(a, p) && selects(b, p); got != want {
				t.Fatalf("Intersect(%v, %v) = %v, %v: wrong about %+v", a, b, both, ok, p)
			}
			common = common || selects(a, p) && selects(b, p)
			contained = contained && (selects(a, p) || !selects(b, p))
		}
		if ok != common {
			t.Fatalf("Intersect(%v, %v): %v, want %v", a, b, ok, common)
		}
		// The universe is smaller than the ranges of ports and protocols: containment in it does not prove containment.
		if a.Contains(b) && !contained {
			t.Fatalf("%v does not contain %v", a, b)
		}
		if contained && b.Protocol != 0 && (b.allPorts() == a.allPorts() || a.allPorts()) && !a.Contains(b) {
			t.Fatalf("%v contains %v", a, b)
		}
	})
}

func TestNarrowSelectsExactlyWhatBothSidesSelect(t *testing.T) { // RFC 7296 section 2.9
	t.Parallel()
	all := universe()
	rapid.Check(t, func(t *rapid.T) {
		ours := rapid.SliceOfN(rapid.Custom(drawSelector), 0, 4).Draw(t, "ours")
		theirs := rapid.SliceOfN(rapid.Custom(drawSelector), 0, 4).Draw(t, "theirs")
		got := Narrow(ours, theirs)
		for _, p := range all {
			if selectsAny(got, p) != (selectsAny(ours, p) && selectsAny(theirs, p)) {
				t.Fatalf("Narrow(%v, %v) = %v: wrong about %+v", ours, theirs, got, p)
			}
		}
		for i, a := range got {
			for j, b := range got {
				if i != j && a.Contains(b) {
					t.Fatalf("Narrow(%v, %v) = %v: %v contains %v", ours, theirs, got, a, b)
				}
			}
		}
		order := func(s Selector) int { return slices.IndexFunc(ours, func(o Selector) bool { return o.Contains(s) }) }
		if !slices.IsSortedFunc(got, func(a, b Selector) int { return order(a) - order(b) }) {
			t.Fatalf("Narrow(%v, %v) = %v: not in our order", ours, theirs, got)
		}
	})
}

func TestNarrowFollowsTheExamples(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name               string
		ours, theirs, want []string
	}{
		{"the whole into a part", []string{"10.1.0.0/16"}, []string{"0.0.0.0/0"}, []string{"10.1.0.0/16"}},
		{"RFC7296-2.9-2: the packet's selector is kept by what contains it", []string{"10.1.0.0/16"}, []string{"10.1.0.5[tcp/80]", "10.0.0.0/8"}, []string{"10.1.0.0/16"}},
		{"RFC7296-2.9-2: the packet's selector alone", []string{"10.1.0.0/16"}, []string{"10.1.0.5[tcp/80]", "192.0.2.0/24"}, []string{"10.1.0.5[tcp/80]"}},
		{"our order", []string{"10.2.0.0/16", "10.1.0.0/16"}, []string{"10.1.0.0/16", "10.2.0.0/16"}, []string{"10.2.0.0/16", "10.1.0.0/16"}},
		{"no duplicates", []string{"10.1.0.0/16"}, []string{"10.1.0.0/16", "10.1.0.0/16"}, []string{"10.1.0.0/16"}},
		{"nothing in common", []string{"10.1.0.0/16"}, []string{"10.2.0.0/16", "fd00::/8"}, nil},
		{"ports", []string{"10.1.0.0/16[tcp/80-90]"}, []string{"10.1.1.0/24[tcp/85-100]"}, []string{"10.1.1.0/24[tcp/85-90]"}},
	} {
		if got, want := Narrow(selectors(t, tt.ours...), selectors(t, tt.theirs...)), selectors(t, tt.want...); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, want)
		}
	}
}

func TestNarrowIsBoundedAndKeepsThePeersFirstSelector(t *testing.T) {
	t.Parallel()
	var ours, theirs []Selector
	for i := range 255 {
		ours = append(ours, selectors(t, fmt.Sprintf("10.0.%d.0/24", i))...)
		theirs = append(theirs, selectors(t, fmt.Sprintf("10.0.%d.0/25", i))...)
	}
	slices.Reverse(theirs)
	got := Narrow(ours, theirs)
	if len(got) != maxNarrowed || got[0] != theirs[254] || !slices.Contains(got, theirs[0]) {
		t.Errorf("got %v, want %d in our order with %v among them", got, maxNarrowed, theirs[0])
	}
}

func TestSelectorsCrossTheWire(t *testing.T) { // RFC7296-3.13.1-1
	t.Parallel()
	all := selectors(t, "10.1.0.0/16", "fd00::/8[udp/500]", "10.0.0.1[tcp/opaque]")
	w := SelectorsToWire(all)
	if want := (wire2.TrafficSelector{Type: wire2.TSIPv4AddrRange, EndPort: 65535, StartAddr: []byte{10, 1, 0, 0}, EndAddr: []byte{10, 1, 255, 255}}); !reflect.DeepEqual(w[0], want) {
		t.Errorf("got %+v, want %+v", w[0], want)
	}
	if got := SelectorsFromWire(w); !reflect.DeepEqual(got, all) {
		t.Errorf("got %v, want %v", got, all)
	}
}

func TestSelectorsThatSelectNothingAreLeftOut(t *testing.T) {
	t.Parallel()
	mapped := netip.MustParseAddr("10.0.0.1").As16()
	got := SelectorsFromWire([]wire2.TrafficSelector{
		{Type: 9, Unknown: []byte{1, 2, 3}},
		{Type: wire2.TSIPv4AddrRange, EndPort: 65535, StartAddr: []byte{10, 0, 0, 2}, EndAddr: []byte{10, 0, 0, 1}},
		{Type: wire2.TSIPv4AddrRange, StartPort: 2, EndPort: 1, StartAddr: []byte{10, 0, 0, 1}, EndAddr: []byte{10, 0, 0, 1}},
		{Type: wire2.TSIPv4AddrRange, EndPort: 65535, StartAddr: make([]byte, 16), EndAddr: make([]byte, 16)},
		{Type: wire2.TSIPv6AddrRange, EndPort: 65535, StartAddr: make([]byte, 4), EndAddr: make([]byte, 16)},
		{Type: wire2.TSIPv4AddrRange, EndPort: 65535},
		{Type: wire2.TSIPv4AddrRange, StartPort: 80, EndPort: 80, StartAddr: []byte{10, 0, 0, 1}, EndAddr: []byte{10, 0, 0, 1}},
		{Type: wire2.TSIPv6AddrRange, EndPort: 65535, StartAddr: mapped[:], EndAddr: mapped[:]},
		{Type: wire2.TSIPv6AddrRange, EndPort: 65535, StartAddr: make([]byte, 16), EndAddr: mapped[:]},
	})
	if len(got) != 0 {
		t.Errorf("got %v, want none", got)
	}
	if _, ok := Intersect(Selector{}, Selector{}); ok {
		t.Error("zero selectors have something in common")
	}
}
