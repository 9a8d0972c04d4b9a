package ikev1

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// makeAddresses reads what nodes say of inner addresses: "a.virtual=ipv4,ipv6" asks, "b.pool=10.9.0.1,2001:db8:9::1" gives; "push=yes" has
// who gives begin. Children without selectors of their own are for what is assigned.
func (p *player) makeAddresses(conn *policy.Connection, get func(key, or string) string) *fakePool {
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
	f := &fakePool{conf: staff, held: map[event.UID][]netip.Addr{}}
	for _, word := range words(get("pool", "")) {
		f.all = append(f.all, netip.MustParseAddr(word))
	}
	for _, word := range words(get("subnets", "")) {
		f.conf.Subnets = append(f.conf.Subnets, netip.MustParsePrefix(word))
	}
	conn.Pools = []string{staff.Name}
	if get("remote-ts", "") == "" {
		child.RemoteTS, child.RemoteAssigned = nil, true
	}
	return f
}

func words(s string) []string { return strings.FieldsFunc(s, func(c rune) bool { return c == ',' }) }

// fakePool gives the addresses of one pool to one identity.
type fakePool struct {
	conf policy.Pool
	all  []netip.Addr
	held map[event.UID][]netip.Addr
}

// pick returns the address for one that is wanted: that itself, one that the identity has by an SA that this one succeeds, or a free one.
func (f *fakePool) pick(op machine.Lease, want netip.Addr) (netip.Addr, bool) {
	has := func(a netip.Addr) bool { return f.holders(a) > 0 }
	fits := func(a netip.Addr) bool { return a.Is4() == want.Is4() && !slices.Contains(f.held[op.Holder], a) }
	for _, good := range []func(netip.Addr) bool{
		func(a netip.Addr) bool { return a == want && (op.Succeeds || !has(a)) },
		func(a netip.Addr) bool { return has(a) && op.Succeeds },
		func(a netip.Addr) bool { return !has(a) },
	} {
		if i := slices.IndexFunc(f.all, func(a netip.Addr) bool { return fits(a) && good(a) }); i >= 0 {
			return f.all[i], true
		}
	}
	return netip.Addr{}, false
}

func (f *fakePool) holders(a netip.Addr) (n int) {
	for _, held := range f.held { // order does not matter
		if slices.Contains(held, a) {
			n++
		}
	}
	return n
}

// lease performs the operations of pools. Who asks again has what it had.
func (n *node) lease(op machine.Op) (machine.Result, *machine.CallError) {
	f := n.pools
	switch op := op.(type) {
	case machine.Lease:
		again := len(f.held[op.Holder]) > 0
		for _, want := range op.Want {
			if a, ok := f.pick(op, want); ok && !again {
				f.held[op.Holder] = append(f.held[op.Holder], a)
			}
		}
		if len(f.held[op.Holder]) == 0 {
			return nil, &machine.CallError{Kind: machine.Exhausted, Text: "pool staff has no such address"}
		}
		return machine.Leased{Pools: op.Pools, Addresses: slices.Clone(f.held[op.Holder]), DNS: f.conf.DNS, Subnets: f.conf.Subnets,
			Domains: f.conf.Domains, Banner: f.conf.Banner}, nil
	case machine.Release:
		delete(f.held, op.Holder)
		return machine.Released{}, nil
	}
	return nil, &machine.CallError{Kind: machine.Unsupported}
}

// leases lists the addresses that are given.
func (n *node) leases() (list []string) {
	if n.pools == nil {
		return nil
	}
	for _, a := range n.pools.all {
		if h := n.pools.holders(a); h > 0 {
			list = append(list, fmt.Sprintf("%v to %d", a, h))
		}
	}
	return list
}
