package pool

import (
	"cmp"
	"math/big"
	"net/netip"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// Stat describes a pool at one time.
type Stat struct {
	Name   string
	Ranges []policy.Range
	Size   *big.Int // addresses of both families
	Used   int      // addresses that IKE SAs hold
	Kept   int      // addresses that wait for their identities
	Leases []LeaseStat
}

// LeaseStat describes an address that somebody has, or had.
type LeaseStat struct {
	Addr     netip.Addr
	Identity machine.Identity
	Holders  []event.UID // none: it is kept
	From     netip.Addr  // outer address of the last holder
	Since    time.Time   // when the last holder came; zero when it is kept since before the daemon started
	Until    time.Time   // till when it is kept; zero while it is held
}

// Stats describes all pools, in the order of the configuration; leases by address.
func (a *Allocator) Stats() []Stat {
	list := make([]Stat, len(a.pools))
	for i, p := range a.pools {
		list[i] = Stat{Name: p.Name, Ranges: p.Ranges, Size: new(big.Int)}
		for _, r := range p.Ranges {
			list[i].Size.Add(list[i].Size, r.Size())
		}
	}
	for _, e := range a.all() {
		i := slices.IndexFunc(list, func(s Stat) bool { return s.Name == e.space.pool })
		list[i].count(e)
	}
	for _, s := range list {
		slices.SortFunc(s.Leases, func(x, y LeaseStat) int {
			return cmp.Or(cmp.Compare(x.Addr.BitLen(), y.Addr.BitLen()), x.Addr.Compare(y.Addr))
		})
	}
	return list
}

func (s *Stat) count(e *entry) {
	l := LeaseStat{Addr: e.addr, Identity: machine.Identity{Type: e.who.kind, Data: []byte(e.who.data)}, Holders: slices.Clone(e.holders),
		From: e.from, Since: e.since}
	if s.Used++; len(e.holders) == 0 {
		s.Used--
		s.Kept++
		l.Until = e.released.Add(e.space.keep)
	}
	s.Leases = append(s.Leases, l)
}

// Retain releases what is held by others than the holders that are alive, and was so when it was last called, too: an SA on its
// way from one place to another may be missed once. It returns how many holders were none.
func (a *Allocator) Retain(now time.Time, alive map[event.UID]bool) int {
	missing := map[event.UID]bool{}
	n := 0
	for holder := range a.holders {
		switch {
		case alive[holder]:
		case a.missing[holder]:
			a.Release(now, holder)
			n++
		default:
			missing[holder] = true
		}
	}
	a.missing = missing
	return n
}
