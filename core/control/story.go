package control

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
)

const (
	// keptAttempts per connection and role: enough to see that a fault is not new, and a peer that tries in vain does not
	// push out what we tried.
	keptAttempts = 4
	// keptStrangers bounds the addresses whose attempts belong to no connection; anybody can make some.
	keptStrangers = 64
	// keptOpen bounds attempts that are under way and belong to no connection yet.
	keptOpen = 256
	// firstSteps and lastSteps bound the events of one attempt: the beginning and the end tell the story.
	firstSteps, lastSteps = 40, 24
	// keptTroubles bounds the plugins whose last trouble is known.
	keptTroubles = 32
)

// attempt is what is known of one IKE SA, from its events.
type attempt struct {
	uid     event.UID
	conn    string
	ike     event.IKESA // as last told
	state   string
	begun   time.Time
	ended   time.Time
	up      bool // established and not deleted
	over    bool // nothing will follow
	first   []event.Record
	last    []event.Record
	omitted int
}

func newAttempt(r event.Record) *attempt { return &attempt{uid: r.Subject.IKE, begun: r.Time} }

// add takes the next event of the IKE SA.
func (a *attempt) add(r event.Record) {
	if r.Subject.Conn != "" {
		a.conn = r.Subject.Conn
	}
	a.describe(r)
	switch e := r.Event.(type) {
	case event.IKEStateChanged:
		a.state = e.To
		if e.To == "closed" {
			a.finish(r.Time)
		}
		return // what matters of it has an event of its own
	case event.Retransmitted:
		if a.repeats(e) {
			a.replaceLast(r)
			return
		}
	}
	a.keep(r)
}

// describe follows the life of the SA.
func (a *attempt) describe(r event.Record) {
	switch e := r.Event.(type) {
	case event.IKEInitiated:
		a.ike = e.IKE
	case event.IKEEstablished:
		a.ike, a.up = e.IKE, true
	case event.IKERekeyed:
		a.ike, a.up = e.IKE, true
	case event.IKEHalfOpenTimedOut:
		a.ike = e.IKE
	case event.IKEFailed:
		a.ike, a.up = e.IKE, false
		a.finish(r.Time)
	case event.IKEDeleted:
		a.ike, a.up = e.IKE, false
		a.finish(r.Time)
	case event.SuiteChosen:
		if e.Scope == "ike" {
			a.ike.Suite = e.Suite
		}
	}
}

func (a *attempt) finish(at time.Time) {
	if !a.over {
		a.over, a.ended = true, at
	}
}

// repeats reports whether the last event was an earlier repetition of the same request.
func (a *attempt) repeats(e event.Retransmitted) bool {
	events := a.tail()
	if len(events) == 0 {
		return false
	}
	before, ok := events[len(events)-1].Event.(event.Retransmitted)
	return ok && before.Exchange == e.Exchange && before.MessageID == e.MessageID
}

func (a *attempt) tail() []event.Record {
	if len(a.last) > 0 {
		return a.last
	}
	return a.first
}

func (a *attempt) replaceLast(r event.Record) { a.tail()[len(a.tail())-1] = r }

func (a *attempt) keep(r event.Record) {
	if len(a.first) < firstSteps {
		a.first = append(a.first, r)
		return
	}
	if len(a.last) == lastSteps {
		a.last = slices.Delete(a.last, 0, 1)
		a.omitted++
	}
	a.last = append(a.last, r)
}

func (a *attempt) events() []event.Record { return slices.Concat(a.first, a.last) }

// empty reports whether the attempt says nothing: an SA that was told of by its state only.
func (a *attempt) empty() bool { return len(a.first) == 0 }

// clone returns a copy that does not change.
func (a *attempt) clone() *attempt {
	c := *a
	c.first, c.last = slices.Clone(a.first), slices.Clone(a.last)
	return &c
}

func (a *attempt) initiator() bool { return a.ike.Role == "initiator" }

// stories files attempts: by connection as soon as it is known, else by the peer's address.
type stories struct {
	byUID     map[event.UID]*attempt
	byConn    map[string][]*attempt   // the oldest first
	strangers []*attempt              // no connection, the oldest first
	troubles  []event.Record          // the last bad news of each plugin
	hindered  map[string]event.Record // by connection: what keeps us from even trying
}

func newStories() stories {
	return stories{byUID: map[event.UID]*attempt{}, byConn: map[string][]*attempt{}, hindered: map[string]event.Record{}}
}

func (s *stories) add(r event.Record) {
	if r.Subject.IKE == (event.UID{}) {
		s.addTrouble(r)
		return
	}
	if e, ok := r.Event.(event.IKEInitiated); ok && e.IKE.Role == "initiator" {
		delete(s.hindered, r.Subject.Conn)
	}
	a := s.byUID[r.Subject.IKE]
	if a == nil {
		a = newAttempt(r)
		s.byUID[a.uid] = a
		s.strangers = append(s.strangers, a)
		s.limitStrangers()
	}
	stranger := a.conn == ""
	a.add(r)
	if stranger && a.conn != "" {
		s.strangers = slices.DeleteFunc(s.strangers, func(other *attempt) bool { return other == a })
		s.byConn[a.conn] = append(s.byConn[a.conn], a)
		s.limitConn(a)
	}
}

// limitConn forgets the oldest attempt of the same role. Among those that are over: an SA that is up is what counts.
func (s *stories) limitConn(a *attempt) {
	all := s.byConn[a.conn]
	var same []*attempt
	for _, other := range all {
		if other.initiator() == a.initiator() {
			same = append(same, other)
		}
	}
	if len(same) <= keptAttempts {
		return
	}
	victim := same[0]
	if i := slices.IndexFunc(same, func(other *attempt) bool { return other.over }); i >= 0 {
		victim = same[i]
	}
	s.byConn[a.conn] = slices.DeleteFunc(all, func(other *attempt) bool { return other == victim })
	delete(s.byUID, victim.uid)
}

// limitStrangers forgets what strangers tried: beyond one that is over for each address, and the oldest beyond the bounds.
// It is done now and then, because most find their connection soon.
func (s *stories) limitStrangers() {
	if len(s.strangers) <= 2*(keptOpen+keptStrangers) {
		return
	}
	var kept []*attempt
	open, seen := 0, map[netip.Addr]bool{}
	for _, a := range slices.Backward(s.strangers) {
		addr := a.ike.Remote.Addr()
		if a.over && !seen[addr] && len(seen) < keptStrangers || !a.over && open < keptOpen {
			kept = append(kept, a)
		} else {
			delete(s.byUID, a.uid)
		}
		if a.over {
			seen[addr] = true
		} else {
			open++
		}
	}
	slices.Reverse(kept)
	s.strangers = kept
}

// troublesOf returns what ails plugins, and what hinders a connection.
func (s *stories) troublesOf(conn string) []event.Record {
	all := slices.Clone(s.troubles)
	if r, ok := s.hindered[conn]; ok {
		all = append(all, r)
	}
	return all
}

// addTrouble remembers what ails a plugin until it is well again, and a connection until it is tried. Connections are as many as
// the configuration had.
func (s *stories) addTrouble(r event.Record) {
	if _, ok := r.Event.(event.PeerUnreachable); ok {
		s.hindered[r.Subject.Conn] = r
		return
	}
	p, bad := troubled(r.Event)
	if p.Name == "" {
		return
	}
	s.troubles = slices.DeleteFunc(s.troubles, func(other event.Record) bool {
		q, _ := troubled(other.Event)
		return q.Name == p.Name
	})
	if bad {
		s.troubles = append(s.troubles, r)
		s.troubles = s.troubles[max(0, len(s.troubles)-keptTroubles):]
	}
}

// troubled returns the plugin that an event is about, and whether it is bad news.
func troubled(e event.Event) (p event.PluginRef, bad bool) {
	switch e := e.(type) {
	case event.PluginCrashed:
		return e.Plugin, true
	case event.PluginDegraded:
		return e.Plugin, true
	case event.PluginRejected:
		return e.Plugin, true
	case event.PluginUnhealthy:
		return e.Plugin, true
	case event.PluginStarted:
		return e.Plugin, false
	case event.PluginRestarted:
		return e.Plugin, false
	}
	return event.PluginRef{}, false
}

// of returns copies of the attempts of a connection, and of those from its peer's address that matched none, the newest
// first.
func (s *stories) of(conn string, peer func(netip.Addr) bool) []*attempt {
	var all []*attempt
	for _, a := range s.byConn[conn] {
		all = append(all, a.clone())
	}
	for _, a := range s.strangers {
		if peer(a.ike.Remote.Addr()) {
			all = append(all, a.clone())
		}
	}
	all = slices.DeleteFunc(all, (*attempt).empty)
	slices.SortStableFunc(all, func(a, b *attempt) int { return cmp.Compare(b.begun.UnixNano(), a.begun.UnixNano()) })
	return all
}
