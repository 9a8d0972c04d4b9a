package sa_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-ike/parley/sdk/sa"
)

func TestPrefixesMakeUpExactlyTheRange(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Uint32().Draw(t, "a"), rapid.Uint32().Draw(t, "b")
		if rapid.Bool().Draw(t, "near") {
			b = a + b%1000
		}
		a, b = min(a, b), max(a, b)
		from := func(n uint32) netip.Addr {
			var raw [4]byte
			binary.BigEndian.PutUint32(raw[:], n)
			return netip.AddrFrom4(raw)
		}
		next, total := from(a), uint64(0)
		for _, p := range (sa.Selector{Start: from(a), End: from(b)}).Prefixes() {
			if p.Addr() != next || p.Masked() != p {
				t.Fatalf("%v does not follow, want %v", p, next)
			}
			next = sa.LastOf(p).Next()
			total += 1 << (32 - p.Bits())
		}
		if total != uint64(b)-uint64(a)+1 {
			t.Fatalf("%d addresses, want %d", total, uint64(b)-uint64(a)+1)
		}
	})
	if got := (sa.Selector{Start: netip.IPv6Unspecified(), End: sa.LastOf(netip.MustParsePrefix("::/0"))}).Prefixes(); len(got) != 1 || got[0].Bits() != 0 {
		t.Errorf("everything is %v", got)
	}
}

func TestWhatIsNoRangeHasNoPrefixes(t *testing.T) {
	t.Parallel()
	low, high, six := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("::1")
	for _, s := range []sa.Selector{{}, {Start: high, End: low}, {Start: low, End: six}, {Start: low}, {End: low}} {
		if got := s.Prefixes(); got != nil {
			t.Errorf("%v to %v: %d prefixes", s.Start, s.End, len(got))
		}
	}
}
