package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/sdk/sa"
)

// Defaults of Config, and marks of what is ours.
const (
	DefaultInterface  = "lo"
	DefaultRouteTable = 80
	rulePriority      = 80 // before the main table
	routeProtocol     = 80 // "proto 80" in ip route
)

// The kernel finds the SA by the packet, so that most children need no route: what leaves by any device is caught. A route is needed
// for the source: a packet of this machine must have an address that the child's selectors take. Such routes stand in a table of
// their own, which is asked before the main one.

// arrange makes a child's interface, gives its addresses to the machine and makes its routes.
func (b *Backend) arrange(e *entry) error {
	if b.links == nil {
		return b.noLinks
	}
	on := deviceOf(&e.Child)
	if err := b.makeDevice(on, e.Child.Handling.IfID); err != nil {
		return err
	}
	for _, a := range e.Child.Addresses {
		if err := b.give(spot{a, on}); err != nil {
			return err
		}
	}
	return b.route(e.ways())
}

// clear takes away what no child needs any more after e has gone from the journal.
func (b *Backend) clear(e *entry) error {
	if b.links == nil {
		return nil
	}
	on := deviceOf(&e.Child)
	problems := []error{b.route(e.ways())}
	for _, a := range e.Child.Addresses {
		if at := (spot{a, on}); !b.journal.needs(at) && b.journal.given[at] {
			problems = append(problems, b.takeBack(at))
		}
	}
	return errors.Join(append(problems, b.dropDevice(on))...)
}

// holding finds the interface that has inner addresses.
func (b *Backend) holding(d device) (links *netlink.Handle, link netlink.Link, done func(), err error) {
	name := d.Name
	if d.none() {
		name = b.cfg.Interface
	}
	if links, done, err = b.in(d); err != nil {
		return nil, nil, nil, err
	}
	if link, err = links.LinkByName(name); err != nil {
		done()
		return nil, nil, nil, fmt.Errorf("interface %s: %w; set interface", name, err)
	}
	return links, link, done, nil
}

// give gives the machine an address. One that it has already is not ours, and stays.
func (b *Backend) give(a spot) error {
	if b.journal.given[a] {
		return nil
	}
	links, link, done, err := b.holding(a.on)
	if err != nil {
		return fmt.Errorf("inner address %v: %w", a.Addr, err)
	}
	defer done()
	err = links.AddrAdd(link, hostAddress(a.Addr))
	switch {
	case errors.Is(err, unix.EEXIST):
		return nil
	case err != nil:
		return fmt.Errorf("giving %s the inner address %v: %w", link.Attrs().Name, a.Addr, err)
	}
	return b.journal.give(a, true)
}

func (b *Backend) takeBack(a spot) error {
	if links, link, done, err := b.holding(a.on); err == nil {
		defer done()
		if err := links.AddrDel(link, hostAddress(a.Addr)); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("taking the inner address %v from %s: %w", a.Addr, link.Attrs().Name, err)
		}
	}
	return b.journal.give(a, false)
}

func hostAddress(a netip.Addr) *netlink.Addr {
	return &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, a.BitLen())), Flags: unix.IFA_F_NODAD}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// route makes the routes of ways what the youngest child that goes each wants.
func (b *Backend) route(ways []way) error {
	if b.cfg.RouteTable < 0 || len(ways) == 0 {
		return nil
	}
	if !ways[0].through.none() {
		for _, w := range ways {
			if err := b.routeThrough(w); err != nil {
				return err
			}
		}
		return nil
	}
	own, err := b.own()
	if err != nil {
		return err
	}
	for _, w := range ways {
		if err := b.routeFrom(w, own); err != nil {
			return err
		}
	}
	return nil
}

// routeFrom makes one route that names a source, or none where no child wants one.
func (b *Backend) routeFrom(w way, own []netip.Addr) error {
	r := &netlink.Route{Dst: ipNet(w.Prefix), Table: b.cfg.RouteTable, Protocol: routeProtocol}
	e := b.journal.reaches(w)
	source := netip.Addr{}
	if e != nil {
		source = e.source(w.Prefix, own)
	}
	if !source.IsValid() {
		r.Scope = netlink.SCOPE_NOWHERE // of any scope
		if err := b.links.RouteDel(r); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("deleting the route to %v: %w", w.Prefix, err)
		}
		return nil
	}
	if err := b.putRoute(r, e, w.Prefix, source); err != nil {
		return fmt.Errorf("route to %v from %v: %w", w.Prefix, source, err)
	}
	return nil
}

// putRoute leads a prefix by the way that the outer packets take. As long as there is none, nothing can be sent in any case.
func (b *Backend) putRoute(r *netlink.Route, e *entry, dst netip.Prefix, source netip.Addr) error {
	ways, err := b.links.RouteGet(e.Child.Remote.AsSlice())
	if err != nil || len(ways) == 0 {
		return nil
	}
	r.LinkIndex, r.Src = ways[0].LinkIndex, source.AsSlice()
	if dst.Addr().BitLen() == e.Child.Remote.BitLen() {
		r.Gw = ways[0].Gw
	}
	if r.Gw == nil && dst.Addr().Is4() {
		r.Scope = netlink.SCOPE_LINK
	}
	if err := b.rule(b.links, dst.Addr()); err != nil {
		return err
	}
	return b.links.RouteReplace(r)
}

// rule has our table asked before the main one.
func (b *Backend) rule(links *netlink.Handle, a netip.Addr) error {
	rule := netlink.NewRule()
	rule.Priority, rule.Table, rule.Family = rulePriority, b.cfg.RouteTable, family(a)
	if err := links.RuleAdd(rule); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("rule for table %d: %w", b.cfg.RouteTable, err)
	}
	return nil
}

func family(a netip.Addr) int {
	if a.Is4() {
		return netlink.FAMILY_V4
	}
	return netlink.FAMILY_V6
}

// own lists this machine's addresses that packets of its own may bear.
func (b *Backend) own() (all []netip.Addr, err error) {
	known, err := b.links.AddrList(nil, netlink.FAMILY_ALL)
	for _, k := range known {
		if a, ok := netip.AddrFromSlice(k.IP); ok && k.Scope == int(netlink.SCOPE_UNIVERSE) {
			all = append(all, a.Unmap())
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all, err
}

// source is the address that this machine's packets to a prefix should have: one that the peer assigned, else one of ours within the
// selectors; none when that is the outer address, which they have anyway.
func (e *entry) source(dst netip.Prefix, own []netip.Addr) netip.Addr {
	c := &e.Child
	if c.Mode != sa.Tunnel {
		return netip.Addr{}
	}
	for _, a := range append(c.Addresses[:len(c.Addresses):len(c.Addresses)], own...) {
		if a.BitLen() == dst.Addr().BitLen() && a != c.Local && slices.ContainsFunc(c.LocalTS, func(s sa.Selector) bool {
			return s.Start.BitLen() == a.BitLen() && !a.Less(s.Start) && !s.End.Less(a)
		}) {
			return a
		}
	}
	return netip.Addr{}
}

// remotes lists the prefixes that a child reaches.
func (e *entry) remotes() (all []netip.Prefix) {
	for _, t := range e.traffic {
		if !slices.Contains(all, t.Remote) {
			all = append(all, t.Remote)
		}
	}
	return all
}
