package userspace

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// give gives the device the inner addresses that peers assigned to us (RFC 7296 section 2.19). The device is ours, and so is every
// address on it.
func (r *router) give(children []*child) error {
	have, err := r.given()
	if err != nil {
		return err
	}
	for _, a := range assigned(children) {
		if delete(r.oldAddrs, a); slices.Contains(have, a) {
			continue
		}
		if err := r.nl.AddrAdd(r.link, hostAddress(a)); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("giving %s the address %v: %w", r.link.Attrs().Name, a, err)
		}
	}
	return nil
}

// take takes away what no child has any more. What an earlier life of the plugin gave may be wanted again.
func (r *router) take(children []*child) {
	have, err := r.given()
	if err != nil {
		return
	}
	wanted := assigned(children)
	for _, a := range have {
		if !slices.Contains(wanted, a) && (!r.oldAddrs[a] || time.Since(r.born) > settleTime) {
			_ = r.nl.AddrDel(r.link, hostAddress(a))
		}
	}
}

// assigned lists the inner addresses of children, each once.
func assigned(children []*child) (all []netip.Addr) {
	for _, c := range children {
		for _, a := range c.Addresses {
			if a = a.Unmap(); !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all
}

// given lists the addresses of the device.
func (r *router) given() (all []netip.Addr, err error) {
	known, err := r.nl.AddrList(r.link, netlink.FAMILY_ALL)
	for _, k := range known {
		if a, ok := netip.AddrFromSlice(k.IP); ok && k.Scope == int(netlink.SCOPE_UNIVERSE) {
			all = append(all, a.Unmap())
		}
	}
	return all, err
}

func hostAddress(a netip.Addr) *netlink.Addr {
	return &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, a.BitLen())), Flags: unix.IFA_F_NODAD}
}
