package xfrm

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

// arrange gives a child's addresses to the machine and makes its routes.
func (p *Plugin) arrange(e *entry) error {
	if p.links == nil {
		return p.noLinks
	}
	for _, a := range e.Child.Addresses {
		if err := p.give(a); err != nil {
			return err
		}
	}
	return p.route(e.remotes())
}

// clear takes away what no child needs any more after e has gone from the journal.
func (p *Plugin) clear(e *entry) error {
	if p.links == nil {
		return nil
	}
	problems := []error{p.route(e.remotes())}
	for _, a := range e.Child.Addresses {
		if !p.journal.needs(a) && p.journal.given[a] {
			problems = append(problems, p.takeBack(a))
		}
	}
	return errors.Join(problems...)
}

// give gives the machine an address. One that it has already is not ours, and stays.
func (p *Plugin) give(a netip.Addr) error {
	if p.journal.given[a] {
		return nil
	}
	link, err := p.links.LinkByName(p.cfg.Interface)
	if err != nil {
		return fmt.Errorf("interface %s for the inner address %v: %w; set interface", p.cfg.Interface, a, err)
	}
	err = p.links.AddrAdd(link, hostAddress(a))
	switch {
	case errors.Is(err, unix.EEXIST):
		return nil
	case err != nil:
		return fmt.Errorf("giving %s the inner address %v: %w", p.cfg.Interface, a, err)
	}
	return p.journal.give(a, true)
}

func (p *Plugin) takeBack(a netip.Addr) error {
	if link, err := p.links.LinkByName(p.cfg.Interface); err == nil {
		if err := p.links.AddrDel(link, hostAddress(a)); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("taking the inner address %v from %s: %w", a, p.cfg.Interface, err)
		}
	}
	return p.journal.give(a, false)
}

func hostAddress(a netip.Addr) *netlink.Addr {
	return &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, a.BitLen())), Flags: unix.IFA_F_NODAD}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// route makes the routes of prefixes what the youngest child that reaches each wants.
func (p *Plugin) route(prefixes []netip.Prefix) error {
	if p.cfg.RouteTable < 0 {
		return nil
	}
	own, err := p.own()
	if err != nil {
		return err
	}
	for _, dst := range prefixes {
		r := &netlink.Route{Dst: ipNet(dst), Table: p.cfg.RouteTable, Protocol: routeProtocol}
		e := p.journal.reaches(dst)
		source := netip.Addr{}
		if e != nil {
			source = e.source(dst, own)
		}
		if !source.IsValid() {
			r.Scope = netlink.SCOPE_NOWHERE // of any scope
			if err := p.links.RouteDel(r); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("deleting the route to %v: %w", dst, err)
			}
			continue
		}
		if err := p.putRoute(r, e, dst, source); err != nil {
			return fmt.Errorf("route to %v from %v: %w", dst, source, err)
		}
	}
	return nil
}

// putRoute leads a prefix by the way that the outer packets take. As long as there is none, nothing can be sent in any case.
func (p *Plugin) putRoute(r *netlink.Route, e *entry, dst netip.Prefix, source netip.Addr) error {
	ways, err := p.links.RouteGet(e.Child.Remote.AsSlice())
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
	if err := p.rule(dst.Addr()); err != nil {
		return err
	}
	return p.links.RouteReplace(r)
}

// rule has our table asked before the main one.
func (p *Plugin) rule(a netip.Addr) error {
	rule := netlink.NewRule()
	rule.Priority, rule.Table, rule.Family = rulePriority, p.cfg.RouteTable, int(family(a))
	if err := p.links.RuleAdd(rule); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("rule for table %d: %w", p.cfg.RouteTable, err)
	}
	return nil
}

// own lists this machine's addresses that packets of its own may bear.
func (p *Plugin) own() (all []netip.Addr, err error) {
	known, err := p.links.AddrList(nil, netlink.FAMILY_ALL)
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
		if !slices.Contains(all, t.remote) {
			all = append(all, t.remote)
		}
	}
	return all
}
