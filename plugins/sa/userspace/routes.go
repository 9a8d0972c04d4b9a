package userspace

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/sdk/sa"
)

const (
	// routeProtocol marks our routes ("proto 80" in ip route), so that we never touch another's.
	routeProtocol = 80
	// priority6 is the best metric that IPv6 routes can have; 0 would become 1024. IPv4 routes have 0.
	priority6 = 1
	// settleTime is how long routes of an earlier life of the plugin wait for their children to be installed again.
	settleTime = 30 * time.Second
	// fallbackMTU is the path's when there is no route to the peer.
	fallbackMTU = 1500
)

// halves replaces a default route by its two halves, which win over the machine's own without touching it.
func halves(p netip.Prefix) []netip.Prefix {
	if p.Bits() > 0 {
		return []netip.Prefix{p}
	}
	b := p.Addr().AsSlice()
	b[0] = 0x80
	upper, _ := netip.AddrFromSlice(b)
	return []netip.Prefix{netip.PrefixFrom(p.Addr(), 1), netip.PrefixFrom(upper, 1)}
}

// router keeps the routes that lead into the device, and those of peers that would fall into it.
type router struct {
	nl   *netlink.Handle
	link netlink.Link
	have map[netip.Prefix]netlink.Route
	old  map[netip.Prefix]bool // those of an earlier life that nobody wanted yet
	born time.Time

	oldAddrs map[netip.Addr]bool // of the device, as old
}

// newRouter takes stock of what an earlier life left.
func newRouter(nl *netlink.Handle, link netlink.Link) (*router, error) {
	r := &router{nl: nl, link: link, have: map[netip.Prefix]netlink.Route{}, old: map[netip.Prefix]bool{}, oldAddrs: map[netip.Addr]bool{}, born: time.Now()}
	routes, err := nl.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Protocol: routeProtocol}, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return nil, fmt.Errorf("listing routes: %w", err)
	}
	for _, route := range routes {
		if p, ok := prefixOf(route.Dst); ok {
			r.have[p], r.old[p] = route, true
		}
	}
	addrs, err := r.given()
	if err != nil {
		return nil, fmt.Errorf("listing addresses: %w", err)
	}
	for _, a := range addrs {
		r.oldAddrs[a] = true
	}
	return r, nil
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), ones), ok
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// apply makes the routes those of the children, peers' first. What fails is told and nothing is undone: the caller
// applies the old children again.
func (r *router) apply(children []*child) error {
	slices.SortFunc(children, func(a, b *child) int { return int(int64(a.born) - int64(b.born)) }) // the newest has the last word
	if err := r.give(children); err != nil {                                                       // routes name them as their source
		return err
	}
	peers, inner, err := r.wanted(children)
	if err != nil {
		return err
	}
	for _, want := range []map[netip.Prefix]netlink.Route{peers, inner} {
		for p, route := range want {
			if err := r.put(p, route); err != nil {
				return err
			}
		}
	}
	for p, route := range r.have {
		_, a := peers[p]
		_, b := inner[p]
		if !a && !b && (!r.old[p] || time.Since(r.born) > settleTime) {
			r.remove(p, route)
		}
	}
	r.take(children)
	return nil
}

// wanted computes the routes of the children into the device, and of the peers whose outer address they cover: also of
// another child's peer.
func (r *router) wanted(children []*child) (peers, inner map[netip.Prefix]netlink.Route, err error) {
	peers, inner = map[netip.Prefix]netlink.Route{}, map[netip.Prefix]netlink.Route{}
	own := r.addresses()
	remotes := map[netip.Addr]bool{}
	for _, c := range children {
		remotes[c.Remote] = true
		for i := range c.RemoteTS {
			for _, p := range c.RemoteTS[i].Prefixes() {
				for _, h := range halves(p) {
					inner[h] = r.inner(h, c, own)
				}
			}
		}
	}
	for remote := range remotes {
		host := netip.PrefixFrom(remote, remote.BitLen())
		if _, ok := inner[host]; ok {
			return nil, nil, fmt.Errorf("the remote selector %v is the peer's outer address itself; tunnel mode cannot carry it", host)
		}
		if !covered(remote, inner) {
			continue
		}
		if peers[host], err = r.peer(host); err != nil {
			return nil, nil, err
		}
	}
	return peers, inner, nil
}

func covered(a netip.Addr, in map[netip.Prefix]netlink.Route) bool {
	for p := range in {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// inner is the route of a prefix into the device.
func (r *router) inner(p netip.Prefix, c *child, own []netip.Addr) netlink.Route {
	route := netlink.Route{LinkIndex: r.link.Attrs().Index, Dst: ipNet(p), Protocol: routeProtocol, Scope: netlink.SCOPE_LINK, MTU: c.full}
	if p.Addr().Is6() {
		route.Priority, route.MTU, route.Scope = priority6, max(c.full, ipv6MinMTU), netlink.SCOPE_UNIVERSE
	}
	for _, a := range own { // the outer address only when no other fits
		if a.BitLen() == p.Addr().BitLen() && c.speaksFor(a) && (route.Src == nil || a != c.Local) {
			route.Src = a.AsSlice()
		}
	}
	return route
}

// speaksFor tells whether an address lies within the child's local selectors.
func (c *child) speaksFor(a netip.Addr) bool {
	return slices.ContainsFunc(c.LocalTS, func(s sa.Selector) bool {
		return s.Start.BitLen() == a.BitLen() && !a.Less(s.Start) && !s.End.Less(a)
	})
}

// addresses lists this machine's addresses that packets of its own may bear.
func (r *router) addresses() (out []netip.Addr) {
	known, _ := r.nl.AddrList(nil, netlink.FAMILY_ALL)
	for _, k := range known {
		if a, ok := netip.AddrFromSlice(k.IP); ok && k.Scope == int(netlink.SCOPE_UNIVERSE) {
			out = append(out, a.Unmap())
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// peer is the route to a peer by the way that it has now.
func (r *router) peer(host netip.Prefix) (netlink.Route, error) {
	if old, ok := r.have[host]; ok && old.LinkIndex != r.link.Attrs().Index {
		return old, nil
	}
	routes, err := r.nl.RouteGet(host.Addr().AsSlice())
	if err != nil || len(routes) == 0 || routes[0].LinkIndex == r.link.Attrs().Index {
		return netlink.Route{}, fmt.Errorf("no route to the peer %v outside the tunnel, whose remote selector covers it: %w", host.Addr(), errors.Join(err))
	}
	route := netlink.Route{LinkIndex: routes[0].LinkIndex, Dst: ipNet(host), Gw: routes[0].Gw, Protocol: routeProtocol}
	if route.Gw == nil && host.Addr().Is4() {
		route.Scope = netlink.SCOPE_LINK
	}
	if host.Addr().Is6() {
		route.Priority = priority6
	}
	return route, nil
}

// put makes a route exist. Another's route is left alone: that is an error when it would swallow a child's packets.
func (r *router) put(p netip.Prefix, route netlink.Route) error {
	delete(r.old, p)
	old, ours := r.have[p]
	if ours && old.LinkIndex == route.LinkIndex && old.MTU == route.MTU && old.Src.Equal(route.Src) && old.Gw.Equal(route.Gw) {
		return nil
	}
	add := r.nl.RouteAdd
	if ours {
		add = r.nl.RouteReplace // in one step, so that nothing leaks in between
	}
	err := add(&route)
	switch {
	case err == nil:
		r.have[p] = route
		return nil
	case errors.Is(err, unix.EEXIST) && route.LinkIndex != r.link.Attrs().Index:
		return nil // the peer has a host route of somebody's already
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("a route to %v is there already and would keep its traffic out of the tunnel; remove it (ip route show %v) or narrow the remote selector: %w", p, p, err)
	}
	return fmt.Errorf("adding the route to %v: %w", p, err)
}

func (r *router) remove(p netip.Prefix, route netlink.Route) {
	_ = r.nl.RouteDel(&route)
	delete(r.have, p)
}

// pathMTU asks the kernel for the MTU of the way to a peer, with what it learned from ICMP.
func (r *router) pathMTU(peer netip.Addr) int {
	routes, err := r.nl.RouteGet(peer.AsSlice())
	if err != nil || len(routes) == 0 {
		return fallbackMTU
	}
	link, err := r.nl.LinkByIndex(routes[0].LinkIndex)
	switch {
	case routes[0].MTU > 0:
		return routes[0].MTU
	case err != nil:
		return fallbackMTU
	}
	return link.Attrs().MTU
}
