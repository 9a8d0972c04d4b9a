package userspace

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/parley-ike/parley/sdk/sa"
)

var (
	virtual4 = netip.MustParseAddr("10.9.0.7")
	virtual6 = netip.MustParseAddr("fd09::7")
)

// A client whose peer gives it addresses (RFC 7296 section 2.19).
func virtual(t *testing.T) [2]sa.Child {
	t.Helper()
	ends := tunnel{id: 1, seed: 1, encr: 20, bits: 128}.ends(t)
	own := []sa.Selector{selector(netip.PrefixFrom(virtual4, 32)), selector(netip.PrefixFrom(virtual6, 128))}
	ends[0].LocalTS, ends[1].RemoteTS = own, own
	ends[0].Addresses = []netip.Addr{virtual4, virtual6}
	return ends
}

func (l *lab) addresses(i int) (all []netip.Addr) {
	l.t.Helper()
	l.within(i, func() error {
		link, err := netlink.LinkByName(DefaultDevice)
		if err != nil {
			return err
		}
		known, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		for _, k := range known {
			a, _ := netip.AddrFromSlice(k.IP)
			all = append(all, a.Unmap())
		}
		return err
	})
	return all
}

func TestInnerAddressesAreThoseOfTheMachineAsLongAsAChildHasThem(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	ends := virtual(t)
	for i := range ends {
		l.node[i].must(request{Op: "install", Child: ends[i]})
	}
	for to, from := range map[netip.Addr]netip.Addr{inner4[1]: netip.IPv4Unspecified(), inner6[1]: netip.IPv6Unspecified()} {
		got := 0
		for try := 0; try < 5 && got != 2; try++ { // the first may be too early for an address that is new
			got = l.node[0].ping(from, to, 2, 100) // the source is the route's to say
		}
		if got != 2 {
			t.Errorf("%d of 2 probes to %v came back", got, to)
		}
	}
	next := tunnel{id: 2, seed: 2, encr: 20, bits: 128}.ends(t)[0]
	next.LocalTS, next.RemoteTS, next.Addresses = ends[0].LocalTS, ends[0].RemoteTS, ends[0].Addresses
	l.node[0].must(request{Op: "install", Child: next})
	l.node[0].must(request{Op: "remove", Child: ends[0]})
	if got := l.addresses(0); !slices.Contains(got, virtual4) || !slices.Contains(got, virtual6) {
		t.Errorf("after a rekeying the device has %v", got)
	}
	l.node[0].kill()
	l.start(0, Config{})
	l.node[0].must(request{Op: "install", Child: next}) // by reconciliation
	if got := l.addresses(0); len(got) != 2 {
		t.Errorf("after a restart the device has %v", got)
	}
	l.node[0].must(request{Op: "remove", Child: next})
	if got := l.addresses(0); len(got) != 0 {
		t.Errorf("without a child the device has %v", got)
	}
}
