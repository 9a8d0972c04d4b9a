package policy

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-ike/parley/core/wire/wire2"
)

func identity(t testing.TB, s string) Identity {
	t.Helper()
	id, err := ParseIdentity(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestParseIdentityTellsTheType(t *testing.T) { // RFC7296-3.5-3, RFC7296-3.5-5
	t.Parallel()
	for _, tt := range []struct {
		in   string
		typ  wire2.IDType
		data string
		text string
	}{
		{"east.example.net", wire2.IDFQDN, "east.example.net", "fqdn:east.example.net"},
		{"east", wire2.IDFQDN, "east", "fqdn:east"},
		{"*.example.net", wire2.IDFQDN, "*.example.net", "fqdn:*.example.net"},
		{"fqdn:192.0.2.1", wire2.IDFQDN, "192.0.2.1", "fqdn:192.0.2.1"},
		{"a@b.c", wire2.IDRFC822Addr, "a@b.c", "email:a@b.c"},
		{"192.0.2.1", wire2.IDIPv4Addr, "\xc0\x00\x02\x01", "ipv4:192.0.2.1"},
		{"ipv4:192.0.2.1", wire2.IDIPv4Addr, "\xc0\x00\x02\x01", "ipv4:192.0.2.1"},
		{"2001:db8::1", wire2.IDIPv6Addr, "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", "ipv6:2001:db8::1"},
		{"keyid:0x01ab", wire2.IDKeyID, "\x01\xab", "keyid:0x01ab"},
		{"keyid:text", wire2.IDKeyID, "text", "keyid:0x74657874"},
		{"%any", 0, "", "%any"},
		{"null:", wire2.IDNull, "", "null:"},
	} {
		id := identity(t, tt.in)
		if id != (Identity{tt.typ, tt.data}) || id.String() != tt.text {
			t.Errorf("%q: %v %x, %s; want %v %x, %s", tt.in, id.Type, id.Data, id, tt.typ, tt.data, tt.text)
		}
		if back := identity(t, id.String()); back != id {
			t.Errorf("%s read back is %v", id, back)
		}
	}
}

func TestADistinguishedNameHasTheDEROfRFC4514(t *testing.T) {
	t.Parallel()
	// SEQUENCE { SET { SEQUENCE { O, PrintableString Example } }, SET { SEQUENCE { CN, PrintableString gw } } }
	want := "301f3110300e060355040a13074578616d706c65310b300906035504031302" + "6777"
	for _, s := range []string{"CN=gw, O=Example", "dn:cn=gw,o=Example", "CN = gw ; O=Example"} {
		if got := hex.EncodeToString([]byte(identity(t, s).Data)); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
	for _, tt := range []struct{ in, text string }{
		{"CN=gw, O=Example", "dn:CN=gw,O=Example"},
		{`CN=gw\, first\2b, O=A\\B, C=CH`, `dn:CN=gw\, first\+,O=A\\B,C=CH`},
		{"UID=u+CN=gw, DC=example, DC=net", "dn:CN=gw+UID=u,DC=example,DC=net"}, // DER sorts sets
		{"emailAddress=a@b.c, CN=x", "dn:EMAIL=a@b.c,CN=x"},
		{"CN=Gerät", `dn:CN=Ger\xc3\xa4t`},
	} {
		if got := identity(t, tt.in).String(); got != tt.text {
			t.Errorf("%q: %s, want %s", tt.in, got, tt.text)
		}
	}
}

func TestParseIdentityRefusesWithTheRemedy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"", `policy: identity "": it is empty: write a name such as "east.example.net", an address, or "%any"`},
		{"@east", "nothing stands before the \"@\": write fqdn:east for a name"},
		{"fqdn:@east", `a name has no "@" in front here: write east`},
		{"a..b", `the label "" has 0 characters: it may have 1 to 63`},
		{"a.*.b", `'*' cannot be in a name: use letters, digits and "-"`},
		{"gerät.example.net", `'ä' cannot be in a name`},
		{"my gateway", `' ' cannot be in a name`},
		{"a@*.b.c", "there are no wildcards for mail addresses"},
		{"ipv4:2001:db8::1", "the address is of the other family: write ipv6:2001:db8::1"},
		{"ipv4:300.1.1.1", "it is no address"},
		{"keyid:0x1", "after 0x an even number of hex digits must follow"},
		{"keyid:", "it is empty"},
		{"CN=", `the value in "CN=" is empty`},
		{"CN=a, gw", `"gw" is no attribute`},
		{"XY=a", `unknown attribute type "XY": use one of CN, `},
		{"gn:text", "write its octets in hex after 0x"},
		{"keyid:" + strings.Repeat("x", 3000), "it has 3000 octets: use at most 2048"},
	} {
		id, err := ParseIdentity(tt.in)
		var ie *IdentityError
		if !errors.As(err, &ie) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ParseIdentity(%.40q) = %v, %v, want %s", tt.in, id, err, tt.want)
		}
	}
}

func TestMatchesComparesByTheRulesOfEachType(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, claimed string
		want             bool
	}{
		{"%any", "east.example.net", true},
		{"east.example.net", "EAST.example.NET", true},
		{"east.example.net", "west.example.net", false},
		{"east.example.net", "keyid:east.example.net", false},
		{"*.example.net", "east.Example.net", true},
		{"*.example.net", "example.net", false},
		{"*.example.net", "a.b.example.net", false},
		{"*.example.net", "east.example.org", false},
		{"*.example.net", "*.example.net", false}, // a claim is no pattern
		{"east.example.net", "*.example.net", false},
		{"Bob@example.net", "Bob@EXAMPLE.net", true},
		{"Bob@example.net", "bob@example.net", false},
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "fqdn:192.0.2.1", false},
		{"192.0.2.1", "192.0.2.2", false},
		{"keyid:ab", "keyid:AB", false},
		{"CN=gw, O=Example", "CN=GW, O=example", true},
		{"CN=gw, O=Example", "O=Example, CN=gw", false},
		{"CN=gw, O=Example", "CN=gw", false},
	} {
		if got := identity(t, tt.pattern).Matches(identity(t, tt.claimed)); got != tt.want {
			t.Errorf("%s matches %s: %v, want %v", tt.pattern, tt.claimed, got, tt.want)
		}
	}
}

func TestNamesMatchWhateverTheirStringType(t *testing.T) {
	t.Parallel()
	utf8 := identity(t, "dn:0x300d310b3009060355040313026777") // CN=gw as PrintableString
	printable := identity(t, "dn:0x300d310b300906035504030c026777")
	if utf8 == printable || !utf8.Matches(printable) {
		t.Error("one name in two string types does not match")
	}
}

func TestAClaimedIdentityIsCheckedBeforeItIsUsed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		id   wire2.ID
		ok   bool
	}{
		{"FQDN", wire2.ID{IDType: wire2.IDFQDN, Data: []byte("a")}, true},
		{"type 0, which would match as any", wire2.ID{}, false},
		{"type 0 with data", wire2.ID{Data: []byte("a")}, false},
		{"empty FQDN", wire2.ID{IDType: wire2.IDFQDN}, false},
		{"IPv4 address of 3 octets", wire2.ID{IDType: wire2.IDIPv4Addr, Data: []byte{1, 2, 3}}, false},
		{"IPv6 address of 4 octets", wire2.ID{IDType: wire2.IDIPv6Addr, Data: []byte{1, 2, 3, 4}}, false},
		{"too long", wire2.ID{IDType: wire2.IDKeyID, Data: make([]byte, maxIdentity+1)}, false},
		{"NULL", wire2.ID{IDType: wire2.IDNull}, true},
		{"a type of the future", wire2.ID{IDType: 99, Data: []byte{1}}, true},
	} {
		id, err := IdentityFromWire(tt.id)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v, %v", tt.name, id, err)
		}
		if tt.ok && (id.Wire().IDType != tt.id.IDType || string(id.Wire().Data) != string(tt.id.Data)) {
			t.Errorf("%s: back on the wire it is %v", tt.name, id.Wire())
		}
	}
}

func TestStringIsShortPrintableASCII(t *testing.T) {
	t.Parallel()
	types := []wire2.IDType{0, 1, 2, 3, 5, 9, 10, 11, 13, 99}
	rapid.Check(t, func(t *rapid.T) {
		id := Identity{rapid.SampledFrom(types).Draw(t, "type"), string(rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "data"))}
		s := id.String()
		if len(s) > maxShown || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Fatalf("%q", s)
		}
		id.Matches(id)
	})
	for _, typ := range types[1:] {
		if s := (Identity{typ, strings.Repeat("x", maxIdentity)}).String(); len(s) > maxShown {
			t.Errorf("type %d: %d octets", typ, len(s))
		}
	}
	if got, want := (Identity{wire2.IDFQDN, "a\nb\x00\\x41"}).String(), `fqdn:a\x0ab\x00\x5cx41`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzParseIdentity(f *testing.F) {
	for _, s := range []string{"east.example.net", "CN=gw+O=a\\2c, C=CH", "keyid:0x01", "dn:0x3000", "a@b", "%any", "ipv6:::1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseIdentity(s)
		if err != nil {
			return
		}
		id.Matches(id)
		if text := id.String(); len(text) < maxShown && !strings.Contains(text, `\x`) {
			back, err := ParseIdentity(text)
			if err != nil || !id.Matches(back) && !strings.Contains(s, "*") {
				t.Errorf("%q gives %q, which gives %v, %v", s, text, back, err)
			}
		}
	})
}
