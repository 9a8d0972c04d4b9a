package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// newNeighbours returns two sides whose connection has a policy of uniqueness.
func newNeighbours(t *testing.T, east, west policy.Unique) *peers {
	w := &peers{t: t, now: epoch}
	e, o := connection("west", us, them), connection("east", them, us)
	e.Unique, o.Unique = east, west
	w.east, w.west = newPeer(w, 1, e, nil, Limits{}), newPeer(w, 2, o, nil, Limits{})
	return w
}

func (w *peers) initiate(p *peer, conn string, local, remote netip.AddrPort) event.UID {
	w.t.Helper()
	uid, err := p.Initiate(w.now, conn, []string{"lan"}, local, remote)
	if err != nil {
		w.t.Fatal(err)
	}
	return uid
}

// up lists the SAs that are established, the oldest first.
func (p *peer) up() (uids []event.UID) {
	infos := p.Infos()
	slices.SortFunc(infos, func(a, b machine.Info) int { return a.Established.Compare(b.Established) })
	for _, i := range infos {
		if i.State == "established" {
			uids = append(uids, i.UID)
		}
	}
	return uids
}

func (p *peer) told(name string) (n int) {
	for _, r := range p.records {
		if r.Event.Kind().Name == name {
			n++
		}
	}
	return n
}

func TestANewSATakesThePlaceOfTheOld(t *testing.T) {
	t.Parallel()
	w := newNeighbours(t, policy.UniqueReplace, policy.UniqueReplace)
	w.initiate(w.east, "west", us, them)
	w.settle()
	second := w.initiate(w.east, "west", us, them)
	w.settle()
	w.pass(time.Minute)
	if got := w.east.up(); len(got) != 1 || got[0] != second {
		t.Errorf("east has %v, want %v", got, second)
	}
	if len(w.west.up()) != 1 || len(w.east.children) != 1 || len(w.west.children) != 1 {
		t.Errorf("west has %d SAs, children %v and %v", len(w.west.up()), w.east.children, w.west.children)
	}
	if w.east.told("ike_sa.uniqueness") != 1 || w.west.told("ike_sa.uniqueness") != 0 {
		t.Errorf("told %d and %d times; the initiator deletes, so that the responder need not", w.east.told("ike_sa.uniqueness"), w.west.told("ike_sa.uniqueness"))
	}
}

// RFC 5685 section 6: what comes up to be sent to another gateway carries nothing, and what serves meanwhile stays (seed 795438).
func TestAnSAThatIsSentElsewhereTakesNobodysPlace(t *testing.T) {
	t.Parallel()
	for _, elsewhere := range []bool{false, true} {
		r := NewRoster()
		ike := event.IKESA{Role: initiator, LocalID: "fqdn:east", RemoteID: "fqdn:west"}
		for owner := range machine.Owner(2) {
			uid := event.UID{15: byte(owner) + 1}
			r.admit(owner, machine.Admit{Conn: "west", IKE: ike, UID: uid})
			gone := r.established(time.Unix(int64(owner), 0), owner, uid, "west", event.IKEEstablished{IKE: ike, Redirected: elsewhere && owner == 1})
			if want := owner == 1 && !elsewhere; (len(gone) == 1) != want {
				t.Errorf("sent elsewhere %t: %v gives way to SA %d", elsewhere, gone, owner)
			}
		}
	}
}

// A responder gives a peer that seems to reauthenticate some time, and then replaces what is left.
func TestAResponderReplacesWhatItsPeerLeaves(t *testing.T) {
	t.Parallel()
	w := newNeighbours(t, policy.UniqueNever, policy.UniqueReplace)
	w.initiate(w.east, "west", us, them)
	w.settle()
	w.initiate(w.east, "west", us, them)
	w.settle()
	if len(w.west.up()) != 2 {
		t.Fatalf("west has %d SAs right after the second", len(w.west.up()))
	}
	w.pass(2 * replaceGrace)
	if len(w.west.up()) != 1 || len(w.east.up()) != 1 {
		t.Errorf("%d and %d SAs are left", len(w.east.up()), len(w.west.up()))
	}
}

func TestTheOldSAIsKeptAndTheNewOneRefused(t *testing.T) {
	t.Parallel()
	w := newNeighbours(t, policy.UniqueNever, policy.UniqueKeep)
	first := w.initiate(w.east, "west", us, them)
	w.settle()
	w.initiate(w.east, "west", us, them)
	w.settle()
	if got := w.east.up(); len(got) != 1 || got[0] != first {
		t.Errorf("east has %v, want %v", got, first)
	}
	if w.west.told("ike_sa.uniqueness") != 1 || len(w.west.children) != 1 {
		t.Errorf("told %d times, children %v", w.west.told("ike_sa.uniqueness"), w.west.children)
	}
}

// RFC 7296 section 2.4 (RFC7296-2.4-4): INITIAL_CONTACT of the same identity shows that the peer has lost the older SAs.
func TestInitialContactEndsWhatThePeerHasLost(t *testing.T) {
	t.Parallel()
	for _, u := range []policy.Unique{policy.UniqueReplace, policy.UniqueKeep} {
		w := newNeighbours(t, policy.UniqueReplace, u)
		w.initiate(w.east, "west", us, them)
		w.settle()
		fresh := connection("west", us, them)
		fresh.Unique = policy.UniqueReplace
		w.now = w.now.Add(time.Second)
		w.east = newPeer(w, 3, fresh, nil, Limits{}) // east has lost everything
		w.initiate(w.east, "west", us, them)
		w.settle()
		if len(w.west.up()) != 1 || len(w.west.children) != 1 || w.west.told("ike_sa.uniqueness") != 1 {
			t.Errorf("%v: west has %d SAs and %d children", u, len(w.west.up()), len(w.west.children))
		}
	}
}

// Both sides call each other at once: one SA is left, the same on both sides, whatever the order of messages.
func TestOfTwoSAsThatCrossOneStays(t *testing.T) {
	t.Parallel()
	for seed := range byte(32) {
		w := newNeighbours(t, policy.UniqueReplace, policy.UniqueReplace)
		w.east.random.Seed([32]byte{seed, 1})
		w.west.random.Seed([32]byte{seed, 2})
		w.initiate(w.east, "west", us, them)
		if seed%2 == 0 {
			w.turn(w.east, w.west)
		}
		w.initiate(w.west, "east", them, us)
		w.settle()
		w.pass(time.Minute)
		east, west := w.east.Infos(), w.west.Infos()
		if len(east) != 1 || len(west) != 1 || east[0].IKE.SPIi != west[0].IKE.SPIi {
			t.Fatalf("seed %d: east has %d SAs, west %d", seed, len(east), len(west))
		}
	}
}

// Two connections between the same identities do not disturb each other.
func TestSAsOfAnotherConnectionStay(t *testing.T) {
	t.Parallel()
	r := NewRoster()
	a, b := event.UID{1}, event.UID{2}
	sa := event.IKESA{Role: "initiator", LocalID: "fqdn:east", RemoteID: "fqdn:west"}
	if got, _ := r.admit(1, machine.Admit{Conn: "one", IKE: sa, UID: a, Begun: epoch}); got.Others != 0 {
		t.Fatalf("%+v", got)
	}
	if got, _ := r.admit(2, machine.Admit{Conn: "two", IKE: sa, UID: b, Begun: epoch, Keep: true}); got.Others != 1 || got.Instead != (event.UID{}) {
		t.Errorf("the second one got %+v: it must not say INITIAL_CONTACT, and has a place", got)
	}
	r.established(epoch, 1, a, "one", event.IKEEstablished{IKE: sa})
	if got := r.established(epoch, 2, b, "two", event.IKEEstablished{IKE: sa}); len(got) != 0 {
		t.Errorf("it ends %v", got)
	}
	r.leave(1)
	r.leave(2)
	if n := len(r.members) + len(r.peers) + len(r.conns); n != 0 {
		t.Errorf("%d entries are left of nobody", n)
	}
}

// What INITIAL_CONTACT disowns was established before the SA that says it was begun: the peer meant no later one.
func TestInitialContactSparesWhatBeganMeanwhile(t *testing.T) {
	t.Parallel()
	for after, want := range map[time.Duration]int{-time.Second: 1, time.Second: 0} {
		r := NewRoster()
		sa := event.IKESA{Role: "responder", LocalID: "fqdn:east", RemoteID: "fqdn:west"}
		begun := epoch.Add(time.Minute)
		r.admit(1, machine.Admit{Conn: "one", IKE: sa, UID: event.UID{1}, Begun: epoch})
		r.admit(2, machine.Admit{Conn: "two", IKE: sa, UID: event.UID{2}, Begun: begun, Contact: true})
		r.established(begun.Add(after), 1, event.UID{1}, "one", event.IKEEstablished{IKE: sa})
		got := r.established(begun.Add(time.Minute), 2, event.UID{2}, "two", event.IKEEstablished{IKE: sa, InitialContact: true})
		if len(got) != want {
			t.Errorf("%v after: %s", after, fmt.Sprint(got))
		}
	}
}

// A peer began two SAs at once, and they were established here in another order than there: it has ended the one that was to stay
// here. What was given time to go stays then, or none was left (RFC 7296 section 2.4).
func TestWhatWasToGiveWayStaysWhenNoneElseIsLeft(t *testing.T) {
	t.Parallel()
	r := NewRoster()
	up := event.IKEEstablished{IKE: event.IKESA{Role: responder, SPIi: "1", LocalID: "west", RemoteID: "east", Remote: them}}
	add := func(owner machine.Owner) []summons {
		uid := event.UID{byte(owner)}
		r.admit(owner, machine.Admit{Conn: "east", IKE: up.IKE, UID: uid, Begun: epoch})
		return r.established(epoch, owner, uid, "east", up)
	}
	add(1)
	if got := add(2); len(got) != 1 || got[0].to != 1 || got[0].in != (machine.Replaced{By: event.UID{2}, Grace: replaceGrace}) {
		t.Fatalf("the second SA summons %v", got)
	}
	r.inherit(epoch, 2, 3, machine.Info{UID: event.UID{3}, Conn: "east", IKE: up.IKE})
	if got := r.leave(2); got != nil {
		t.Errorf("the second SA was rekeyed, and %v are summoned", got)
	}
	if got := r.leave(3); len(got) != 1 || got[0].to != 1 || got[0].in != (machine.Replaced{By: event.UID{2}, Cause: machine.ReplaceNot}) {
		t.Errorf("the second SA has ended, and %v are summoned", got)
	}
}

// What rekeying makes of the roles does not matter for the question who called whom, nor does an SA that is about to end.
func TestWhoCalledWhomOutlivesRekeying(t *testing.T) {
	t.Parallel()
	r := NewRoster()
	ike := func(role, spi string) event.IKESA {
		return event.IKESA{Role: role, SPIi: spi, LocalID: "west", RemoteID: "east", Remote: them}
	}
	add := func(owner machine.Owner, is event.IKESA) []summons {
		uid := event.UID{byte(owner)}
		r.admit(owner, machine.Admit{Conn: "east", IKE: is, UID: uid, Begun: epoch})
		return r.established(epoch, owner, uid, "east", event.IKEEstablished{IKE: is})
	}
	add(1, ike(responder, "1"))
	r.inherit(epoch, 1, 2, machine.Info{UID: event.UID{2}, Conn: "east", IKE: ike(initiator, "0")})
	r.leave(1)
	if got := add(3, ike(responder, "3")); len(got) != 1 || got[0].to != 2 {
		t.Errorf("a second SA of the peer, and %v are summoned, not the rekeyed first one", got)
	}
	if got := add(4, ike(responder, "4")); len(got) != 1 || got[0].to != 3 {
		t.Errorf("a third SA of the peer, and %v are summoned, not the second one alone", got)
	}
}

// Users of a group share the identity of phase 1, and each has an SA of their own.
func TestUsersOfOneIdentityDoNotReplaceEachOther(t *testing.T) {
	t.Parallel()
	r := NewRoster()
	up := func(owner machine.Owner, user string) []summons {
		ike := event.IKESA{Role: responder, LocalID: "fqdn:gateway", RemoteID: "keyid:staff", User: user}
		uid := event.UID{byte(owner)}
		if _, calls := r.admit(owner, machine.Admit{Conn: "road", IKE: ike, UID: uid}); len(calls) > 0 {
			t.Errorf("%s was asked for %v", user, calls)
		}
		return r.established(epoch.Add(time.Duration(owner)*time.Hour), owner, uid, "road", event.IKEEstablished{IKE: ike, InitialContact: true})
	}
	if calls := append(up(1, "alice"), up(2, "bob")...); len(calls) > 0 {
		t.Errorf("users replace each other: %v", calls)
	}
	if calls := up(3, "alice"); len(calls) != 1 || calls[0].to != 1 {
		t.Errorf("a user who came again has %v", calls)
	}
}

// An initiator of main mode tells of an SA whose peer it does not know yet: another one of which it does not know it either is none of
// its peer's, so that INITIAL-CONTACT may be said.
func TestWhoseIdentityIsNotKnownYetIsNobodysOther(t *testing.T) {
	t.Parallel()
	r := NewRoster()
	for i, want := range []int{0, 0, 1} {
		conn := []string{"east", "west", "west"}[i]
		got, _ := r.admit(machine.Owner(i+1), machine.Admit{Conn: conn, IKE: event.IKESA{Role: initiator, LocalID: "fqdn:us"}, UID: event.UID{byte(i + 1)}})
		if got.Others != want {
			t.Errorf("SA %d of %s has %d others, want %d", i, conn, got.Others, want)
		}
	}
}

// After aggressive mode INITIAL-CONTACT comes by itself, when the SA is established (RFC2407-4.6.3-1).
func TestInitialContactThatComesLaterEndsTheSAsBefore(t *testing.T) {
	t.Parallel()
	r := NewRoster()
	ike := event.IKESA{Role: responder, LocalID: "fqdn:us", RemoteID: "fqdn:them"}
	for i := range 3 {
		uid, at := event.UID{byte(i + 1)}, epoch.Add(time.Duration(i)*time.Minute)
		r.admit(machine.Owner(i+1), machine.Admit{Conn: fmt.Sprint("c", i), IKE: ike, UID: uid, Begun: at})
		r.established(at.Add(time.Second), machine.Owner(i+1), uid, fmt.Sprint("c", i), event.IKEEstablished{IKE: ike})
	}
	_, list := r.admit(2, machine.Admit{Conn: "c1", IKE: ike, UID: event.UID{2}, Contact: true})
	want := []summons{{1, machine.Replaced{By: event.UID{2}, Cause: machine.ReplaceContact}}}
	if !slices.Equal(list, want) {
		t.Errorf("%+v, want %+v", list, want)
	}
}
