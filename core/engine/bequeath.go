package engine

import (
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
)

// This file is how children go from one SA to another that is not its own offspring, as those of IKEv1 do.

// bequeath gives the children of e to another SA, or back to e when that is not there. Until they have arrived they are on their way,
// as those of an SA that was spawned.
func (s *Shard) bequeath(e *sa, fx machine.Bequeath) {
	for _, b := range fx.Children {
		s.hand(e.owner, []machine.ChildSA{b.Child})
	}
	to, there := s.c.Roster.owner(fx.To)
	if !there {
		to = e.owner
	}
	in := machine.Inherit{From: e.uid, Children: fx.Children, Wanted: fx.Wanted, Inner: fx.Inner}
	s.c.Counters.spawned.Add(1)
	if uint64(to)%uint64(s.c.Count) == uint64(s.c.Index) {
		s.later = append(s.later, func(now time.Time) { s.inherit(now, to, in) })
		return
	}
	s.c.Elsewhere(to, func(other *Shard, now time.Time) { other.inherit(now, to, in) })
}

// inherit steps the SA that children come to, also one that is about to end: it removes them. Of one that is gone reconciliation finds
// what it should have had.
func (s *Shard) inherit(now time.Time, to machine.Owner, in machine.Inherit) {
	if e := s.sas[to]; e != nil && e.phase < gone {
		s.step(now, e, in)
		s.own(e)
	} else {
		machine.WipeBequests(in.Children)
	}
	s.c.Counters.adopted.Add(1)
}

// owner returns the SA with a UID, if it is established.
func (r *Roster) owner(uid event.UID) (machine.Owner, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for owner, m := range r.members {
		if m.uid == uid {
			return owner, true
		}
	}
	return 0, false
}

// answerHeir answers the question which SA children may go to.
func (s *Shard) answerHeir(e *sa, t machine.Ticket) {
	answer := machine.Heir{UID: s.c.Roster.heir(e.owner)}
	s.later = append(s.later, func(now time.Time) {
		s.Return(now, machine.Return{Owner: e.owner, Reply: machine.Reply{Ticket: t, Result: answer}})
	})
}

// heir returns the latest other SA between the same identities, by the same connection and to the same address; zero for none.
func (r *Roster) heir(owner machine.Owner) (uid event.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[owner]
	if m == nil {
		return uid
	}
	var latest time.Time
	for _, other := range r.peers[m.pair] {
		same := other != m && other.conn == m.conn && other.ike.Remote.Addr() == m.ike.Remote.Addr()
		if same && !other.goes() && other.up.After(latest) {
			latest, uid = other.up, other.uid
		}
	}
	return uid
}
