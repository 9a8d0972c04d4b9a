package pool

import (
	"container/list"
	"math/big"
	"net/netip"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/policy"
)

// maxEntries bounds the addresses of a space that are remembered: some 60 MB.
const maxEntries = 1 << 18

// space is the addresses of a pool that are of one family.
type space struct {
	pool    string
	keep    time.Duration
	ranges  []policy.Range
	size    uint64 // of all ranges, at most maxEntries+1: more makes no difference
	entries map[netip.Addr]*entry
	owned   map[who][]*entry // by identity
	idle    *list.List       // of entries that nobody holds, the longest rested first
	cursor  netip.Addr       // where the search for a fresh address goes on
}

// who is an identity as a key: its type, and its octets.
type who struct {
	kind uint8
	data string
}

// entry is an address that somebody has, or had.
type entry struct {
	space    *space
	addr     netip.Addr
	who      who
	from     netip.Addr  // outer address of the last holder
	holders  []event.UID // none: it rests
	since    time.Time   // when the last holder came
	released time.Time   // when the last holder left
	place    *list.Element
}

func newSpace(p policy.Pool, is4 bool) *space {
	s := &space{pool: p.Name, keep: p.Keep, entries: map[netip.Addr]*entry{}, owned: map[who][]*entry{}, idle: list.New()}
	size := new(big.Int)
	for _, r := range p.Ranges {
		if r.First.Is4() == is4 {
			s.ranges = append(s.ranges, r)
			size.Add(size, r.Size())
		}
	}
	if s.size = maxEntries + 1; size.IsUint64() {
		s.size = min(s.size, size.Uint64())
	}
	return s
}

func (s *space) contains(a netip.Addr) bool {
	return slices.ContainsFunc(s.ranges, func(r policy.Range) bool { return r.Contains(a) })
}

// fresh returns an address that nobody has or had. Among one more addresses than there are entries one is fresh, so that
// the search ends.
func (s *space) fresh() (netip.Addr, bool) {
	if uint64(len(s.entries)) >= min(s.size, maxEntries) {
		return netip.Addr{}, false
	}
	for {
		s.cursor = s.after(s.cursor)
		if s.entries[s.cursor] == nil {
			return s.cursor, true
		}
	}
}

// after returns the address behind a, in the order of the ranges; after the last, and after none, comes the first.
func (s *space) after(a netip.Addr) netip.Addr {
	for i, r := range s.ranges {
		switch {
		case !r.Contains(a):
		case a != r.Last:
			return a.Next()
		case i+1 < len(s.ranges):
			return s.ranges[i+1].First
		}
	}
	return s.ranges[0].First
}

// add makes an entry that rests.
func (s *space) add(a netip.Addr, w who, released time.Time) *entry {
	e := &entry{space: s, addr: a, who: w, released: released}
	s.entries[a] = e
	s.owned[w] = append(s.owned[w], e)
	e.place = s.idle.PushBack(e)
	return e
}

// drop forgets an entry.
func (s *space) drop(e *entry) {
	delete(s.entries, e.addr)
	s.owned[e.who] = slices.DeleteFunc(s.owned[e.who], func(o *entry) bool { return o == e })
	if len(s.owned[e.who]) == 0 {
		delete(s.owned, e.who)
	}
	s.idle.Remove(e.place)
}

// hold gives an entry to one more holder.
func (e *entry) hold(by event.UID, from netip.Addr, now time.Time) {
	if len(e.holders) == 0 {
		e.space.idle.Remove(e.place)
	}
	e.holders, e.from, e.since, e.released = append(e.holders, by), from, now, time.Time{}
}

// leave takes a holder away, and reports whether it was the last.
func (e *entry) leave(by event.UID, now time.Time) bool {
	e.holders = slices.DeleteFunc(e.holders, func(u event.UID) bool { return u == by })
	if len(e.holders) > 0 {
		return false
	}
	e.released = now
	e.place = e.space.idle.PushBack(e)
	return true
}

// over reports whether the time is over in which a resting entry waits for its identity.
func (e *entry) over(now time.Time) bool {
	return len(e.holders) == 0 && !now.Before(e.released.Add(e.space.keep))
}
