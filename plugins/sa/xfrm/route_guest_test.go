package xfrm

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/parley-ike/parley/plugins/sa/internal/guestlab"
	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/sdk/sa"
)

var virtual = []netip.Addr{netip.MustParseAddr("10.9.0.7"), netip.MustParseAddr("fd09::7")}

// has tells how many of the virtual addresses the end has, and how many routes of ours.
func (e *end) has() (addresses, routes int) {
	e.T.Helper()
	e.Do(func() error {
		known, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
		for _, k := range known {
			for _, v := range virtual {
				if a, _ := netip.AddrFromSlice(k.IP); a.Unmap() == v {
					addresses++
				}
			}
		}
		if err != nil {
			return err
		}
		all, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: kernel.DefaultRouteTable}, netlink.RT_FILTER_TABLE)
		routes = len(all)
		return err
	})
	return addresses, routes
}

func (e *end) wantHas(what string, addresses, routes int) {
	e.T.Helper()
	if a, r := e.has(); a != addresses || r != routes {
		e.T.Errorf("%s: %d addresses and %d routes, want %d and %d", what, a, r, addresses, routes)
	}
}

// A client whose peer gives it addresses (RFC 7296 section 2.19).
func TestGuestInnerAddressesAreThoseOfTheMachineAsLongAsAChildHasThem(t *testing.T) {
	guestlab.Need(t)
	ctx := context.Background()
	ends := newLab(t)
	make := func(id byte) [2]sa.Child {
		cs := children(id, suite{20, 128, 0}, true, false, false)
		own := []sa.Selector{guestlab.Subnet("10.9.0.7/32"), guestlab.Subnet("fd09::7/128")}
		cs[0].LocalTS, cs[1].RemoteTS, cs[0].Addresses = own, own, virtual
		return cs
	}
	old, next := make(1), make(2)
	for i, e := range ends {
		e.Start()
		if err := e.Plugin.Install(ctx, old[i]); err != nil {
			t.Fatal(err)
		}
	}
	ends[1].Do(func() error { // the way back, which a gateway has
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		for i, v := range virtual {
			gw := netip.MustParseAddr([]string{guestlab.Outer4[0], guestlab.Outer6[0]}[i])
			if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: &net.IPNet{IP: v.AsSlice(), Mask: net.CIDRMask(v.BitLen(), v.BitLen())}, Gw: gw.AsSlice()}); err != nil {
				return err
			}
		}
		return nil
	})
	ends[0].wantHas("installed", 2, 2)
	stop := ends[0].Wire()
	if a, b := ping(ends[0], ends[1], "0.0.0.0", guestlab.Inner4[1], 2), ping(ends[0], ends[1], "::", guestlab.Inner6[1], 2); a != 2 || b != 2 { // the source is the route's to say
		t.Errorf("%d of 2 IPv4 and %d of 2 IPv6 probes came back", a, b)
	}
	if n := guestlab.OnlyESP(t, stop(), false); n != 4 {
		t.Errorf("%d ESP packets were sent, want 4", n)
	}
	if err := ends[0].Plugin.Install(ctx, next[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := ends[0].Plugin.Remove(ctx, old[0]); err != nil {
		t.Fatal(err)
	}
	ends[0].wantHas("rekeyed", 2, 2)
	ends[0].Plugin.Close()
	ends[0].Start()
	if _, err := ends[0].Plugin.Remove(ctx, next[0]); err != nil {
		t.Fatal(err)
	}
	ends[0].wantHas("removed after a restart", 0, 0)
	ends[0].nothingLeft(0, 0)
}

// What the machine has already is not ours.
func TestGuestAnAddressOfTheMachineStays(t *testing.T) {
	guestlab.Need(t)
	e := newLab(t)[0]
	e.Start()
	e.Do(func() error { return addAddress("lo", "10.9.0.7/32") })
	c := children(1, suite{20, 128, 0}, true, false, false)[0]
	c.LocalTS, c.Addresses = []sa.Selector{guestlab.Subnet("10.9.0.7/32")}, virtual[:1]
	if err := e.Plugin.Install(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Plugin.Remove(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	e.wantHas("removed", 1, 0)
}
