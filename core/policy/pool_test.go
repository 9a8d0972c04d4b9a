package policy_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/parley-ike/parley/core/policy"
)

func TestRangesOfAPoolAreRead(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]struct{ text, size string }{
		"10.9.0.0/24":            {"10.9.0.1-10.9.0.254", "254"},
		"10.9.0.0/30":            {"10.9.0.1-10.9.0.2", "2"},
		"10.9.0.0/31":            {"10.9.0.0-10.9.0.1", "2"}, // RFC 3021: both are hosts
		"10.9.0.7/32":            {"10.9.0.7", "1"},
		"10.9.0.10-10.9.0.99":    {"10.9.0.10-10.9.0.99", "90"},
		" 10.9.0.7 ":             {"10.9.0.7", "1"},
		"2001:db8:9::/64":        {"2001:db8:9::1-2001:db8:9:0:ffff:ffff:ffff:ffff", "18446744073709551615"},
		"2001:db8::1-2001:db8::": {},
	} {
		r, err := policy.ParseRange(in)
		if want.text == "" {
			if err == nil {
				t.Errorf("%q is %v", in, r)
			}
			continue
		}
		if err != nil || r.String() != want.text || r.Size().String() != want.size {
			t.Errorf("%q: %v with %v addresses, %v; want %+v", in, r, r.Size(), err, want)
		}
	}
}

func TestBadRangesAreExplained(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"10.9.0.1/24": "did you mean 10.9.0.0/24", "ten": "no address", "224.0.0.0/8": "no host can have", "127.0.0.0/8": "no host can have",
		"::": "no host can have", "10.9.0.1-2001:db8::1": "one address family to the other", "::ffff:10.9.0.1": "write it as IPv4",
	} {
		if _, err := policy.ParseRange(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

func TestRangesKnowWhatTheyContain(t *testing.T) {
	t.Parallel()
	r := func(s string) policy.Range {
		p, err := policy.ParseRange(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if !r("10.9.0.0/24").Contains(netip.MustParseAddr("10.9.0.254")) || r("10.9.0.0/24").Contains(netip.MustParseAddr("10.9.0.255")) ||
		r("10.9.0.0/24").Contains(netip.MustParseAddr("::a09:1")) {
		t.Error("Contains is wrong")
	}
	if !r("10.9.0.0/24").Overlaps(r("10.9.0.254-10.10.0.0")) || r("10.9.0.0/24").Overlaps(r("10.9.0.255-10.10.0.0")) ||
		r("10.9.0.0/24").Overlaps(r("2001:db8::/32")) {
		t.Error("Overlaps is wrong")
	}
}
