package engine

import (
	"slices"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// RFC 7296 section 2.8.3: a new SA with its child is there before the old one goes, whatever the policy of uniqueness on either
// side, and that again and again.
func TestReauthenticationMakesBeforeItBreaks(t *testing.T) {
	t.Parallel()
	for _, east := range []policy.Unique{policy.UniqueReplace, policy.UniqueKeep, policy.UniqueNever} {
		for _, west := range []policy.Unique{policy.UniqueReplace, policy.UniqueNever} {
			w := newNeighbours(t, east, west)
			w.reconfigure(1, east, 10*time.Minute)
			first := w.initiate(w.east, "west", us, them)
			w.settle()
			for range 30 {
				w.pass(time.Minute)
				if len(w.east.children) == 0 || len(w.west.children) == 0 {
					t.Fatalf("%v, %v: there is no child after %v", east, west, w.now.Sub(epoch))
				}
			}
			got := w.east.up()
			if len(got) != 1 || got[0] == first || len(w.west.up()) != 1 || len(w.east.children) != 1 || len(w.west.children) != 1 {
				t.Errorf("%v, %v: %d and %d SAs, %d and %d children", east, west, len(got), len(w.west.up()), len(w.east.children), len(w.west.children))
			}
			if n := w.east.told("ike_sa.reauthenticated"); n != 3 {
				t.Errorf("%v, %v: reauthenticated %d times in half an hour, want 3", east, west, n)
			}
			if n := w.east.told("ike_sa.uniqueness") + w.west.told("ike_sa.uniqueness"); n != 0 {
				t.Errorf("%v, %v: uniqueness took %d SAs for duplicates", east, west, n)
			}
		}
	}
}

// reconfigure gives east a lifetime of the authentication, before it has SAs.
func (w *peers) reconfigure(seed byte, u policy.Unique, reauth time.Duration) {
	c := connection("west", us, them)
	c.Unique, c.Reauth = u, reauth
	w.east = newPeer(w, seed, c, nil, Limits{})
}

// An SA whose successor cannot come up asks again and again, but there is one attempt at a time.
func TestOneSuccessorAtATime(t *testing.T) {
	t.Parallel()
	w := newNeighbours(t, policy.UniqueReplace, policy.UniqueReplace)
	w.initiate(w.east, "west", us, them)
	w.settle()
	for range 3 {
		w.east.Command(w.now, Selector{All: true}, machine.Reauthenticate{})
		w.east.Shard.Flush(w.now)
	}
	if n := w.east.Len(); n != 2 {
		t.Errorf("there are %d SAs, want the old one and one successor", n)
	}
}

// The old SA is rekeyed while it is reauthenticated: what has its place goes (RFC 7296 sections 2.8 and 2.8.3), whatever the policy
// of uniqueness.
func TestReauthenticationEndsWhatTheOldSABecame(t *testing.T) {
	t.Parallel()
	for _, unique := range []policy.Unique{policy.UniqueReplace, policy.UniqueKeep, policy.UniqueNever} {
		r := NewRoster()
		old := addMember(r, 1, event.UID{1}, unique, event.UID{})
		r.inherit(epoch, 1, 2, machine.Info{UID: event.UID{2}, Conn: "west", IKE: old.IKE})
		addMember(r, 3, event.UID{3}, unique, event.UID{1})
		r.inherit(epoch, 3, 4, machine.Info{UID: event.UID{4}, Conn: "west", IKE: old.IKE})
		got := r.reauthenticated(4, event.UID{1})
		if !slices.ContainsFunc(got, func(s summons) bool { return s.to == 2 }) {
			t.Errorf("%v: summoned were %v, and not the SA that has the place of the old one", unique, got)
		}
	}
}

// addMember puts an SA into a roster as an initiator does, and fails to where a side that keeps refuses it.
func addMember(r *Roster, owner machine.Owner, uid event.UID, unique policy.Unique, replaces event.UID) event.IKEEstablished {
	up := event.IKEEstablished{IKE: event.IKESA{Role: initiator, LocalID: "east", RemoteID: "west"}}
	if unique != policy.UniqueNever {
		answer, _ := r.admit(owner, machine.Admit{Conn: "west", IKE: up.IKE, UID: uid, Begun: epoch, Keep: unique == policy.UniqueKeep, Replaces: replaces})
		if answer.Instead != (event.UID{}) {
			return up
		}
	}
	r.established(epoch, owner, uid, "west", up)
	return up
}

// A responder that wants it asks the initiator to (RFC 4478 section 2).
func TestAResponderAsksForReauthentication(t *testing.T) {
	t.Parallel()
	w := newNeighbours(t, policy.UniqueReplace, policy.UniqueReplace)
	first := w.initiate(w.east, "west", us, them)
	w.settle()
	w.west.Command(w.now, Selector{All: true}, machine.Reauthenticate{})
	w.settle()
	w.pass(time.Minute)
	if got := w.east.up(); len(got) != 1 || got[0] == first {
		t.Errorf("east has %v, and had %v", got, first)
	}
}
