package kernel

import (
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

func TestSelectorsBecomePolicies(t *testing.T) {
	t.Parallel()
	c := lan(1)
	got, err := Policies(&c)
	if err != nil || len(got) != 2 || got[0].Local.String() != nets4[0] || got[0].Remote.String() != nets4[1] {
		t.Errorf("%v, %v", got, err)
	}
	c.RemoteTS = []sa.Selector{{Protocol: 6, StartPort: 443, EndPort: 443, Start: netip.MustParseAddr("10.0.0.1"), End: netip.MustParseAddr("10.0.0.6")}}
	got, err = Policies(&c)
	if err != nil || len(got) != 4 || got[0].RemotePort != 443 || got[0].Proto != 6 { // .1 .2/31 .4/31 .6
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []sa.Selector{
		{Protocol: 6, StartPort: 1, EndPort: 2, Start: c.RemoteTS[0].Start, End: c.RemoteTS[0].End},
		{Protocol: 1, StartPort: 0x800, EndPort: 0x800, Start: c.RemoteTS[0].Start, End: c.RemoteTS[0].End},
		subnet("2001:db8::/32"),
	} {
		c.RemoteTS, c.LocalTS = []sa.Selector{bad}, []sa.Selector{subnet(nets4[0])}
		if _, err := Policies(&c); !errors.Is(err, sdk.ErrUnsupported) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	narrow, wide := got[0].Priority(), Traffic{Local: netip.MustParsePrefix("0.0.0.0/0"), Remote: netip.MustParsePrefix("0.0.0.0/0")}.Priority()
	if narrow >= wide {
		t.Error("a wide policy wins over a narrow one")
	}
}

// Each pair of these would make 254 x 254 policies, all pairs together hundreds of MB.
func TestSelectorsOfTooManyPoliciesAreRefusedEarly(t *testing.T) {
	t.Parallel()
	odd := sa.Selector{EndPort: 65535, Start: netip.MustParseAddr("::1"), End: netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe")}
	c := sa.Child{LocalTS: slices.Repeat([]sa.Selector{odd}, 6), RemoteTS: slices.Repeat([]sa.Selector{odd}, 6)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Policies(&c)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, sdk.ErrUnsupported) || after.TotalAlloc-before.TotalAlloc > 128<<20 {
		t.Errorf("%v, %d octets", err, after.TotalAlloc-before.TotalAlloc)
	}
}
