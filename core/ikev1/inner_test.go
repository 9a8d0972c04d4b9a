package ikev1

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/pool"
)

// makeAddresses reads what nodes say of inner addresses: "a.virtual=ipv4,ipv6" asks, "b.pool=10.9.0.1,2001:db8:9::1" gives; "push=yes" has
// who gives begin. Children without selectors of their own are for what is assigned.
func (p *player) makeAddresses(conn *policy.Connection, get func(key, or string) string) *pool.Allocator {
	p.t.Helper()
	child := conn.Children[0]
	conn.Push, conn.RequireRequest, conn.ApplicationVersion = get("push", "") != "", get("require", "") != "", get("version", "")
	for _, word := range words(get("virtual", "")) {
		word = strings.NewReplacer("ipv4", "0.0.0.0", "ipv6", "::").Replace(word)
		conn.Virtual = append(conn.Virtual, netip.MustParseAddr(word))
	}
	if get("local-ts", "") == "" && conn.Virtual != nil {
		child.LocalTS, child.LocalAssigned = nil, true
	}
	if get("pool", "") == "" {
		return nil
	}
	staff := policy.Pool{Name: "staff", DNS: []netip.Addr{netip.MustParseAddr("10.2.0.53")}, Domains: words(get("domains", "")), Banner: get("banner", "")}
	for _, word := range words(get("pool", "")) {
		staff.Ranges = append(staff.Ranges, policy.Range{First: netip.MustParseAddr(word), Last: netip.MustParseAddr(word)})
	}
	for _, word := range words(get("subnets", "")) {
		staff.Subnets = append(staff.Subnets, netip.MustParsePrefix(word))
	}
	conn.Pools = []string{staff.Name}
	if get("remote-ts", "") == "" {
		child.RemoteTS, child.RemoteAssigned = nil, true
	}
	return pool.NewAllocator([]policy.Pool{staff})
}

func words(s string) []string { return strings.FieldsFunc(s, func(c rune) bool { return c == ',' }) }

// lease performs the operations of pools.
func (n *node) lease(op machine.Op) (machine.Result, *machine.CallError) {
	switch op := op.(type) {
	case machine.Lease:
		l, err := n.pools.Lease(n.w.now, op)
		if err != nil {
			return nil, err
		}
		return l, nil
	case machine.Release:
		n.pools.Release(n.w.now, op.Holder)
		return machine.Released{}, nil
	}
	return nil, &machine.CallError{Kind: machine.Unsupported}
}

// leases lists the addresses that are given.
func (n *node) leases() (list []string) {
	if n.pools == nil {
		return nil
	}
	for _, s := range n.pools.Stats() {
		for _, l := range s.Leases {
			if len(l.Holders) > 0 {
				list = append(list, fmt.Sprintf("%v to %d", l.Addr, len(l.Holders)))
			}
		}
	}
	return list
}
