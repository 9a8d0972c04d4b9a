package ikev2

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// fakePool gives addresses of a list, the first that fits.
type fakePool struct {
	free []netip.Addr
	held map[event.UID][]netip.Addr
}

// makeAddresses reads what nodes say of inner addresses: "a.virtual=ipv4,ipv6" asks, "b.pool=10.9.0.1,2001:db8:9::1" gives.
func (p *player) makeAddresses(conn *policy.Connection, get func(key, or string) string) (pool *fakePool) {
	p.t.Helper()
	list := func(key string) (all []netip.Addr) {
		for _, w := range strings.FieldsFunc(get(key, ""), func(c rune) bool { return c == ',' }) {
			w = strings.NewReplacer("ipv4", "0.0.0.0", "ipv6", "::").Replace(w)
			all = append(all, netip.MustParseAddr(w))
		}
		return all
	}
	conn.ApplicationVersion, conn.RequireRequest = get("version", ""), get("require", "") != ""
	conn.Virtual = list("virtual")
	if given := list("pool"); get("pool", "") != "" {
		pool = &fakePool{free: given, held: map[event.UID][]netip.Addr{}}
		conn.Pools = []string{"staff"}
	}
	assign(conn, conn.Children[0], get)
	return pool
}

// assign leaves the selectors of a child to be assigned, where addresses are and none are given.
func assign(conn *policy.Connection, child *policy.Child, get func(key, or string) string) {
	if get("local-ts", "") == "" && conn.Virtual != nil {
		child.LocalTS, child.LocalAssigned = nil, true
	}
	if get("remote-ts", "") == "" && conn.Pools != nil {
		child.RemoteTS, child.RemoteAssigned = nil, true
	}
}

// do performs Lease and Release, and reports whether an operation is one of them.
func (f *fakePool) do(op machine.Op) (machine.Result, *machine.CallError, bool) {
	switch op := op.(type) {
	case machine.Lease:
		r, err := f.lease(op)
		return r, err, true
	case machine.Release:
		for _, a := range f.held[op.Holder] {
			if delete(f.held, op.Holder); !f.has(a) {
				f.free = append(f.free, a)
			}
		}
		return machine.Released{}, nil, true
	}
	return nil, nil, false
}

// has reports whether somebody holds an address.
func (f *fakePool) has(a netip.Addr) bool {
	for _, held := range f.held { // order does not matter
		if slices.Contains(held, a) {
			return true
		}
	}
	return false
}

func (f *fakePool) lease(op machine.Lease) (machine.Result, *machine.CallError) {
	if f.held[op.Holder] == nil {
		for _, want := range op.Want {
			i := slices.IndexFunc(f.free, func(a netip.Addr) bool { return a == want || want.IsUnspecified() && a.Is4() == want.Is4() })
			switch {
			case i >= 0:
				f.held[op.Holder] = append(f.held[op.Holder], f.free[i])
				f.free = slices.Delete(f.free, i, i+1)
			case f.has(want): // by an SA that this one succeeds: there is one identity
				f.held[op.Holder] = append(f.held[op.Holder], want)
			}
		}
	}
	if f.held[op.Holder] == nil {
		return nil, &machine.CallError{Kind: machine.Exhausted, Text: `all 1 IPv4 addresses of pool "staff" are in use`}
	}
	return machine.Leased{Pools: op.Pools, Addresses: f.held[op.Holder], DNS: []netip.Addr{netip.MustParseAddr("10.2.0.53")},
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")}, Domains: []string{"west.example"}}, nil
}

// checkPool: when no SA is left, neither is a lease.
func (w *world) checkPool(n *node) {
	w.t.Helper()
	if n.pool != nil && len(n.pool.held) > 0 {
		w.t.Errorf("%s has no SA, but %d leases", n.name, len(n.pool.held))
	}
}

func renderCP(cp wire2.CP) string {
	words := []string{wire2.CFGName(cp.Kind)}
	for _, a := range cp.Attributes {
		name := strings.TrimPrefix(wire2.AttributeName(a.Type), "INTERNAL_")
		value := fmt.Sprintf("%x", a.Value)
		if addr, ok := a.Address(); ok && len(a.Value) > 0 {
			value = addr.String()
		} else if p, ok := a.Subnet(); ok {
			value = p.String()
		} else if d, ok := a.Domain(); ok {
			value = d
		} else if v, ok := a.Version(); ok {
			value = v
		}
		words = append(words, name+"("+value+")")
	}
	return "CP(" + strings.Join(words, " ") + ")"
}

// cpPayload makes a Configuration payload for "seal": "cp:reply:IP4_ADDRESS=10.9.0.7,IP4_ADDRESS,DNS_DOMAIN=example".
func (p *player) cpPayload(value string) wire2.Payload {
	p.t.Helper()
	kind, list, _ := strings.Cut(value, ":")
	cp := wire2.CP{Kind: map[string]uint8{"request": wire2.CFGRequest, "reply": wire2.CFGReply, "set": wire2.CFGSet, "ack": wire2.CFGAck}[kind]}
	for _, word := range strings.FieldsFunc(list, func(c rune) bool { return c == ',' }) {
		name, v, has := strings.Cut(word, "=")
		a := wire2.CPAttribute{Type: p.attribute(name)}
		addr, err := netip.ParseAddr(v)
		prefix, noPrefix := netip.ParsePrefix(v)
		switch {
		case err == nil && strings.HasSuffix(name, "ADDRESS"):
			a = wire2.AddressAttribute(addr)
		case err == nil:
			a.Value = addr.AsSlice()
		case noPrefix == nil:
			a = wire2.SubnetAttribute(prefix)
		case has:
			a.Value = []byte(v)
		}
		cp.Attributes = append(cp.Attributes, a)
	}
	return cp
}

func (p *player) attribute(name string) uint16 {
	p.t.Helper()
	for t := range uint16(100) {
		if n := wire2.AttributeName(t); n == name || n == "INTERNAL_"+name {
			return t
		}
	}
	p.t.Fatalf("no attribute %q", name)
	return 0
}

func renderAddresses(all []netip.Addr) string {
	if all == nil {
		return ""
	}
	return fmt.Sprintf(" addresses %v", all)
}
