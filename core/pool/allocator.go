package pool

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// maxWanted bounds how many addresses one request may ask for; clients ask for one of each family.
const maxWanted = 8

// Allocator gives addresses of pools to identities. It is not safe for concurrent use.
type Allocator struct {
	pools   []*pool
	holders map[event.UID][]*entry
	missing map[event.UID]bool // holders that Retain did not find
	changed []Record           // since they were last taken
}

// pool is a pool of the configuration with its spaces, nil where it has no addresses of a family.
type pool struct {
	policy.Pool
	v4, v6 *space
}

// Record is what is to be remembered of an address.
type Record struct {
	Pool     string     `json:"pool"`
	Addr     netip.Addr `json:"addr"`
	Type     uint8      `json:"type,omitempty"` // of the identity, RFC 7296 section 3.5
	Identity []byte     `json:"id,omitempty"`
	Released *time.Time `json:"released,omitempty"` // nil: in use
	Gone     bool       `json:"gone,omitempty"`     // it is nobody's any more
}

// NewAllocator returns an allocator of pools, none of whose addresses is in use.
func NewAllocator(pools []policy.Pool) *Allocator {
	a := &Allocator{holders: map[event.UID][]*entry{}}
	a.SetPools(pools)
	return a
}

// SetPools puts other pools in force. What lies in a pool of the same name goes on, and so does what is in use and lies in
// any pool. The rest is forgotten: an address that is in use and in no pool stays with its SA, and is nobody's after that.
func (a *Allocator) SetPools(pools []policy.Pool) {
	before := a.all()
	a.pools = nil
	for _, p := range pools {
		a.pools = append(a.pools, &pool{p, familyOf(p, true), familyOf(p, false)})
	}
	for _, e := range before {
		a.note(e, true)
		if s := a.heir(e); s != nil {
			e.move(s)
			a.note(e, false)
		}
	}
}

// heir returns the space that takes an entry over, nil for none. No two pools have an address in common.
func (a *Allocator) heir(e *entry) *space {
	for _, s := range a.spaces() {
		if s.contains(e.addr) && (s.pool == e.space.pool || len(e.holders) > 0) {
			return s
		}
	}
	return nil
}

func familyOf(p policy.Pool, is4 bool) *space {
	if s := newSpace(p, is4); len(s.ranges) > 0 {
		return s
	}
	return nil
}

// move puts an entry into a new space, which replaces its own.
func (e *entry) move(to *space) {
	e.space = to
	to.entries[e.addr] = e
	to.owned[e.who] = append(to.owned[e.who], e)
	if len(e.holders) == 0 {
		e.place = to.idle.PushBack(e)
	}
}

// all returns the entries: those that rest first, in the order in which they were given back.
func (a *Allocator) all() (list []*entry) {
	for _, s := range a.spaces() {
		for at := s.idle.Front(); at != nil; at = at.Next() {
			list = append(list, at.Value.(*entry))
		}
		var held []*entry
		for _, e := range s.entries {
			if len(e.holders) > 0 {
				held = append(held, e)
			}
		}
		slices.SortFunc(held, func(x, y *entry) int { return x.addr.Compare(y.addr) })
		list = append(list, held...)
	}
	return list
}

func (a *Allocator) spaces() (list []*space) {
	for _, p := range a.pools {
		for _, s := range []*space{p.v4, p.v6} {
			if s != nil {
				list = append(list, s)
			}
		}
	}
	return list
}

// space returns the space that an address of a pool lies in, nil for none.
func (a *Allocator) space(name string, addr netip.Addr) *space {
	for _, s := range a.spaces() {
		if s.pool == name && s.contains(addr) {
			return s
		}
	}
	return nil
}

// Restore takes over what was remembered. All of it rests: who held it is gone.
func (a *Allocator) Restore(records []Record, now time.Time) {
	slices.SortStableFunc(records, func(x, y Record) int { return releasedAt(x, now).Compare(releasedAt(y, now)) })
	for _, r := range records {
		if s := a.space(r.Pool, r.Addr); s != nil && s.entries[r.Addr] == nil && len(s.entries) < maxEntries {
			s.add(r.Addr, who{r.Type, string(r.Identity)}, releasedAt(r, now))
		}
	}
}

func releasedAt(r Record, now time.Time) time.Time {
	if r.Released == nil {
		return now
	}
	return *r.Released
}

// Lease performs the operation.
func (a *Allocator) Lease(now time.Time, op machine.Lease) (machine.Leased, *machine.CallError) {
	if had := a.holders[op.Holder]; had != nil {
		return a.answer(op, had), nil
	}
	var got []*entry
	for _, want := range op.Want[:min(len(op.Want), maxWanted)] {
		if e := a.choose(now, op, want.Unmap(), got); e != nil {
			e.hold(op.Holder, op.From, now)
			a.note(e, false)
			got = append(got, e)
		}
	}
	if len(got) == 0 {
		return machine.Leased{}, &machine.CallError{Kind: machine.Exhausted, Text: a.refusal(op)}
	}
	a.holders[op.Holder] = got
	return a.answer(op, got), nil
}

// choose returns an address for one that is wanted, nil when there is none. What the peer asks for, or had, in any pool
// comes before what is merely free in the first.
func (a *Allocator) choose(now time.Time, op machine.Lease, want netip.Addr, got []*entry) *entry {
	w := who{op.Identity.Type, string(op.Identity.Data)}
	spaces := a.named(op.Pools, want.Is4())
	for _, pick := range []func(*space) *entry{
		func(s *space) *entry { return s.pickWanted(now, want, w, op, got) },
		func(s *space) *entry { return s.pickOwn(w, op.Succeeds, got) },
		func(s *space) *entry { return s.pickInterface(now, want, w) },
		func(s *space) *entry { return s.pickFresh(now, w) },
		func(s *space) *entry { return a.pickRested(now, s, w) },
	} {
		for _, s := range spaces {
			if e := pick(s); e != nil {
				return e
			}
		}
	}
	return nil
}

// named returns the spaces of some pools that have addresses of a family, in the order in which the pools are named.
func (a *Allocator) named(names []string, is4 bool) (list []*space) {
	for _, name := range names {
		for _, p := range a.pools {
			if s := p.family(is4); p.Name == name && s != nil {
				list = append(list, s)
			}
		}
	}
	return list
}

func (p *pool) family(is4 bool) *space {
	if is4 {
		return p.v4
	}
	return p.v6
}

// pickWanted takes the very address that a peer asks for (RFC 7296 section 3.15.1) when it is free or its own. It may share
// it with an SA of its own that comes from the same place: a reauthentication makes the new SA before it breaks the old.
func (s *space) pickWanted(now time.Time, want netip.Addr, w who, op machine.Lease, got []*entry) *entry {
	e := s.entries[want]
	switch {
	case want.IsUnspecified() || !s.contains(want) || e != nil && slices.Contains(got, e):
		return nil
	case e == nil && len(s.entries) < maxEntries:
		return s.add(want, w, now)
	case e == nil:
		return nil
	case e.who == w && (len(e.holders) == 0 || e.from == op.From || op.Succeeds):
		return e
	case e.over(now):
		s.drop(e)
		return s.add(want, w, now)
	}
	return nil
}

// pickOwn takes the address that an identity gave back last, or that which the SAs have that are succeeded.
func (s *space) pickOwn(w who, succeeds bool, got []*entry) (best *entry) {
	for _, e := range s.owned[w] {
		switch held := len(e.holders) > 0; {
		case slices.Contains(got, e) || held && !succeeds:
		case held:
			return e
		case best == nil || e.released.After(best.released):
			best = e
		}
	}
	return best
}

// interfaceBits is the size of an interface identifier (RFC 4291 section 2.5.4).
const interfaceBits = 64

// pickInterface tries the interface identifier that a peer wants with a prefix of ours (RFC 7296 section 3.15.3).
func (s *space) pickInterface(now time.Time, want netip.Addr, w who) *entry {
	if want.Is4() || want.IsUnspecified() {
		return nil
	}
	id := want.As16()
	for _, r := range s.ranges {
		b := r.First.As16()
		copy(b[interfaceBits/8:], id[interfaceBits/8:])
		if e := s.pickWanted(now, netip.AddrFrom16(b), w, machine.Lease{}, nil); e != nil && len(e.holders) == 0 {
			return e
		}
	}
	return nil
}

func (s *space) pickFresh(now time.Time, w who) *entry {
	addr, ok := s.fresh()
	if !ok {
		return nil
	}
	return s.add(addr, w, now)
}

// pickRested takes the address that has rested longest, whosoever it was.
func (a *Allocator) pickRested(now time.Time, s *space, w who) *entry {
	front := s.idle.Front()
	if front == nil {
		return nil
	}
	e := front.Value.(*entry)
	s.drop(e)
	return s.add(e.addr, w, now)
}

// answer says what a holder has, and what its pools tell with it.
func (a *Allocator) answer(op machine.Lease, held []*entry) machine.Leased {
	var l machine.Leased
	for _, e := range held {
		l.Addresses = append(l.Addresses, e.addr)
		if slices.Contains(l.Pools, e.space.pool) {
			continue
		}
		l.Pools = append(l.Pools, e.space.pool)
		for _, p := range a.pools {
			if p.Name == e.space.pool {
				l.DNS = append(l.DNS, p.DNS...)
				l.Subnets = append(l.Subnets, p.Subnets...)
				l.Domains = append(l.Domains, p.Domains...)
				l.Banner = cmp.Or(l.Banner, p.Banner)
			}
		}
	}
	return l
}

// refusal says why nothing could be given.
func (a *Allocator) refusal(op machine.Lease) string {
	var reasons []string
	for _, family := range []struct {
		name string
		is4  bool
	}{{"IPv4", true}, {"IPv6", false}} {
		if !slices.ContainsFunc(op.Want, func(w netip.Addr) bool { return w.Unmap().Is4() == family.is4 }) {
			continue
		}
		spaces := a.named(op.Pools, family.is4)
		for _, s := range spaces {
			reasons = append(reasons, fmt.Sprintf("all %d %s addresses of pool %q are in use: add addresses to it", len(s.entries), family.name, s.pool))
		}
		if len(spaces) == 0 {
			reasons = append(reasons, fmt.Sprintf("the peer asks for %s, of which pool %s has none", family.name, strings.Join(op.Pools, ", ")))
		}
	}
	if len(reasons) == 0 {
		return "the peer asks for no address"
	}
	return strings.Join(reasons, "; ")
}

// Release performs the operation, and returns how many addresses nobody holds any more.
func (a *Allocator) Release(now time.Time, holder event.UID) int {
	n := 0
	for _, e := range a.holders[holder] {
		if !e.leave(holder, now) {
			continue
		}
		n++
		if e.space.entries[e.addr] == e && slices.Contains(a.spaces(), e.space) {
			a.note(e, false)
		}
	}
	delete(a.holders, holder)
	a.Expire(now)
	return n
}

// Expire forgets what has been kept for long enough.
func (a *Allocator) Expire(now time.Time) {
	for _, s := range a.spaces() {
		for at := s.idle.Front(); at != nil && at.Value.(*entry).over(now); at = s.idle.Front() {
			e := at.Value.(*entry)
			s.drop(e)
			a.note(e, true)
		}
	}
}

// note adds to the changes what is to be remembered of an entry.
func (a *Allocator) note(e *entry, gone bool) {
	if gone {
		a.changed = append(a.changed, Record{Pool: e.space.pool, Addr: e.addr, Gone: true})
		return
	}
	a.changed = append(a.changed, e.record())
}

func (e *entry) record() Record {
	r := Record{Pool: e.space.pool, Addr: e.addr, Type: e.who.kind, Identity: []byte(e.who.data)}
	if len(e.holders) == 0 {
		released := e.released
		r.Released = &released
	}
	return r
}

// Changes returns what changed since it was last called.
func (a *Allocator) Changes() []Record {
	list := a.changed
	a.changed = nil
	return list
}

// Len returns how many addresses are in use or kept.
func (a *Allocator) Len() int {
	n := 0
	for _, s := range a.spaces() {
		n += len(s.entries)
	}
	return n
}

// Records returns what is to be remembered of all addresses.
func (a *Allocator) Records() []Record {
	var list []Record
	for _, e := range a.all() {
		list = append(list, e.record())
	}
	return list
}
