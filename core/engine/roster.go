package engine

import (
	"slices"
	"sync"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
)

const (
	// crossing is how close two SAs that the two sides began at each other may be for both sides to have meant one: as long
	// as an attempt may last by default. Of those the one with the lower initiator's SPI stays, which both sides see alike.
	crossing = 30 * time.Second
	// replaceGrace is how long a peer that comes from the address and port of an older SA of its own may take to delete that:
	// it seems to reauthenticate make-before-break (RFC 7296 section 2.8.3), and moves its traffic meanwhile.
	replaceGrace = 10 * time.Second
)

// Roster knows which SAs there are between which identities, for all shards of an engine together, and which of them have to
// give way (RFC 7296 section 2.4). SAs stand in it from the question Admit, or from when they are established, until they
// have ended. Its methods are safe for concurrent use.
type Roster struct {
	mu      sync.Mutex
	members map[machine.Owner]*member
	peers   map[pair][]*member   // in the order in which they came
	conns   map[string][]*member // initiators: they know their connection before they know the peer
}

// pair is two identities that talk to each other, as events render them. Many users may share one.
type pair struct{ local, remote, user string }

func pairOf(ike event.IKESA) pair { return pair{ike.LocalID, ike.RemoteID, ike.User} }

// member is an SA in the roster. What says how it began stays when it is rekeyed: both sides see that alike.
type member struct {
	owner    machine.Owner
	uid      event.UID
	line     []event.UID // those whose place it took by rekeying, the latest last
	conn     string
	ike      event.IKESA // as it began; the addresses are those of today
	pair     pair
	leaves   event.UID // the SA that it has to give way to, zero for none
	grace    bool      // its peer may end it by itself, until when it stays should that other one end first
	admitted bool      // asked with Admit: its connection does care
	keep     bool
	replaces event.UID
	begun    time.Time // when its first message was sent or received
	up       time.Time // when it was established first, zero before
}

// remembered is how many of those an SA knows whose place it took. What names one of them began moments ago, so that no more than
// one or two rekeyings lie in between.
const remembered = 4

// was reports whether m is, or has taken the place of, the SA with a UID.
func (m *member) was(uid event.UID) bool { return m.uid == uid || slices.Contains(m.line, uid) }

// summons is a command for another SA.
type summons struct {
	to machine.Owner
	in machine.Input
}

// NewRoster returns an empty Roster.
func NewRoster() *Roster {
	return &Roster{members: map[machine.Owner]*member{}, peers: map[pair][]*member{}, conns: map[string][]*member{}}
}

// admit answers Admit. An SA that is kept in place of the one that asks is to be asked whether its peer lives: that might have
// lost it.
func (r *Roster) admit(owner machine.Owner, op machine.Admit) (machine.Admitted, []summons) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if up := r.members[owner]; up != nil && !up.up.IsZero() {
		return machine.Admitted{}, r.disowned(up)
	}
	m := &member{owner: owner, uid: op.UID, conn: op.Conn, ike: op.IKE, pair: pairOf(op.IKE),
		admitted: true, keep: op.Keep, replaces: op.Replaces, begun: op.Begun}
	var answer machine.Admitted
	for _, other := range r.others(m) {
		answer.Others++ // also the one that it replaces, so that INITIAL_CONTACT does not end that too early
		forgotten := op.Contact && other.up.Before(m.begun)
		if op.Keep && !other.up.IsZero() && other.conn == m.conn && !other.was(op.Replaces) && !forgotten {
			answer.Instead = other.uid
			return answer, []summons{{other.owner, machine.Probe{}}}
		}
	}
	r.put(m)
	return answer, nil
}

// disowned ends the SAs that were there before an established one, whose peer says only now that it knows none (RFC 2407 section
// 4.6.3.3: after aggressive mode INITIAL-CONTACT comes by itself).
func (r *Roster) disowned(m *member) (list []summons) {
	for _, other := range r.peers[m.pair] {
		if other != m && !other.up.IsZero() && other.up.Before(m.begun) {
			list = append(list, other.givesWay(machine.Replaced{By: m.uid, Cause: machine.ReplaceContact})...)
		}
	}
	return list
}

// established notes that an SA is up and returns what others, or it, have to do about it.
func (r *Roster) established(now time.Time, owner machine.Owner, uid event.UID, conn string, e event.IKEEstablished) []summons {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := &member{owner: owner}
	if before := r.members[owner]; before != nil {
		r.drop(before)
		*m = *before
	}
	m.uid, m.conn, m.ike, m.pair, m.up = uid, conn, e.IKE, pairOf(e.IKE), now
	r.put(m)
	if !m.admitted || e.Redirected { // one that ends at once takes nobody's place
		return nil
	}
	var list []summons
	for _, other := range r.peers[m.pair] {
		if other != m && !other.up.IsZero() && !other.was(m.replaces) && m.leaves == (event.UID{}) && (!other.goes() || e.InitialContact) {
			list = append(list, m.meets(other, e.InitialContact)...)
		}
	}
	return list
}

// goes reports whether an SA is about to end for the sake of another: it is no reason for anybody to give way.
func (m *member) goes() bool { return m.leaves != (event.UID{}) }

// givesWay notes that an SA has to, and returns the command.
func (m *member) givesWay(r machine.Replaced) []summons {
	m.leaves, m.grace = r.By, r.Grace > 0
	return []summons{{m.owner, r}}
}

// meets decides between m, which is just established, and an older SA between the same identities. What INITIAL_CONTACT
// disowns was there before the peer began m: later ones it may have meant as well.
func (m *member) meets(other *member, contact bool) []summons {
	switch {
	case contact && other.up.Before(m.begun):
		return other.givesWay(machine.Replaced{By: m.uid, Cause: machine.ReplaceContact})
	case other.conn != m.conn:
		return nil
	case m.crosses(other) && other.ike.SPIi < m.ike.SPIi:
		return m.givesWay(machine.Replaced{By: other.uid})
	case m.keep && !m.crosses(other): // it came up meanwhile
		return m.givesWay(machine.Replaced{By: other.uid})
	case m.ike.Role == other.ike.Role && m.ike.Role == responder && m.ike.Remote == other.ike.Remote:
		return other.givesWay(machine.Replaced{By: m.uid, Grace: replaceGrace})
	}
	return other.givesWay(machine.Replaced{By: m.uid})
}

const (
	initiator = "initiator"
	responder = "responder"
)

// crosses reports whether the two sides called each other at the same time.
func (m *member) crosses(other *member) bool {
	return m.ike.Role != other.ike.Role && m.up.Sub(other.up) < crossing
}

// reauthenticated ends the SA whose children another one took over, or the one by which it was rekeyed meanwhile.
func (r *Roster) reauthenticated(owner machine.Owner, old event.UID) []summons {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[owner]
	if m == nil {
		return nil
	}
	var list []summons
	for _, other := range r.others(m) {
		if other.was(old) {
			list = append(list, summons{other.owner, machine.Replaced{By: m.uid, Cause: machine.ReplaceReauth}})
		}
	}
	return list
}

// inherit puts an SA into the roster that took the place of another by rekeying.
func (r *Roster) inherit(now time.Time, from, owner machine.Owner, info machine.Info) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := &member{begun: now, up: now, ike: info.IKE}
	if parent := r.members[from]; parent != nil {
		*m = *parent
		line := append(slices.Clone(parent.line), parent.uid)
		m.line = line[max(0, len(line)-remembered):]
	}
	m.owner, m.uid, m.conn = owner, info.UID, info.Conn
	m.ike.Local, m.ike.Remote = info.IKE.Local, info.IKE.Remote
	m.pair = pairOf(info.IKE)
	r.put(m)
}

// leave forgets an SA, and returns the command to stay for one that was to give way, if else none would be left: of two SAs that a
// peer began at once it may have ended the one that was the newer one here.
func (r *Roster) leave(owner machine.Owner) []summons {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[owner]
	if m == nil {
		return nil
	}
	r.drop(m)
	var last *member
	for _, other := range r.peers[m.pair] {
		switch {
		case other.conn != m.conn || other.up.IsZero():
		case !other.goes():
			return nil
		case other.grace:
			last = other
		}
	}
	if last == nil {
		return nil
	}
	by := last.leaves
	last.leaves, last.grace = event.UID{}, false
	return []summons{{last.owner, machine.Replaced{By: by, Cause: machine.ReplaceNot}}}
}

// others lists the members between the same identities; for an initiator, whose peer may turn out to be another, also those
// that it began by the same connection.
func (r *Roster) others(m *member) []*member {
	var list []*member
	if m.pair.remote != "" { // else it does not know yet who its peer is, and neither do those that it would be taken for
		list = slices.Clone(r.peers[m.pair])
	}
	if m.ike.Role == initiator {
		for _, other := range r.conns[m.conn] {
			if !slices.Contains(list, other) {
				list = append(list, other)
			}
		}
	}
	return slices.DeleteFunc(list, func(other *member) bool { return other.owner == m.owner })
}

func (r *Roster) put(m *member) {
	if before := r.members[m.owner]; before != nil {
		r.drop(before)
	}
	r.members[m.owner] = m
	r.peers[m.pair] = append(r.peers[m.pair], m)
	if m.ike.Role == initiator {
		r.conns[m.conn] = append(r.conns[m.conn], m)
	}
}

func (r *Roster) drop(m *member) {
	delete(r.members, m.owner)
	without(r.peers, m.pair, m)
	if m.ike.Role == initiator {
		without(r.conns, m.conn, m)
	}
}

func without[K comparable](index map[K][]*member, key K, m *member) {
	left := slices.DeleteFunc(index[key], func(other *member) bool { return other == m })
	if len(left) == 0 {
		delete(index, key)
		return
	}
	index[key] = left
}
