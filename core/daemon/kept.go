package daemon

import (
	"maps"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/policy"
)

// kept is what the keeper knows of one connection.
type kept struct {
	conn     *policy.Connection
	random   func() float64       // in [0, 1)
	sas      map[event.UID]bool   // SAs that have not ended, ours also before they are established: whether they are
	children map[event.UID]string // that are up, with their names
	revive   map[string]bool      // to be brought back once, because the peer died
	cleared  map[string]bool      // not to be brought back, because the peer died
	stopped  map[string]bool      // an operator took them down
	resting  bool                 // an operator took all down
	called   map[string]bool      // there is traffic for them
	patience time.Time            // until then traffic has to wait: an attempt that it called for has failed
	failures int
	hindered string    // why the last attempt could not even begin, "" when it could
	next     time.Time // when to try again; zero: nothing to do
}

func newKept(c *policy.Connection, random func() float64) *kept {
	return &kept{conn: c, random: random, sas: map[event.UID]bool{}, children: map[event.UID]string{},
		revive: map[string]bool{}, cleared: map[string]bool{}, stopped: map[string]bool{}, called: map[string]bool{}}
}

// reconfigure goes on with another version of the connection. What was ordered and heard of children counts on by their names; what
// is new is tried for at once.
func (w *kept) reconfigure(c *policy.Connection) {
	w.conn = c
	for _, m := range []map[string]bool{w.revive, w.cleared, w.stopped, w.called} {
		maps.DeleteFunc(m, func(name string, _ bool) bool { _, stays := c.Child(name); return !stays })
	}
	if len(w.missing()) > 0 {
		w.next = time.Now()
	}
}

// missing lists the children that should be up and are not.
func (w *kept) missing() (names []string) {
	if w.resting {
		return nil
	}
	for _, c := range w.conn.Children {
		if w.wants(c) && !w.has(c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

func (w *kept) wants(c *policy.Child) bool {
	return (c.Start == policy.StartUp && !w.cleared[c.Name] || w.revive[c.Name] || w.called[c.Name]) && !w.stopped[c.Name]
}

func (w *kept) has(name string) bool {
	for _, n := range w.children {
		if n == name {
			return true
		}
	}
	return false
}

// attempts reports whether an SA of ours is on its way up. Those of peers do not count: anyone may begin one.
func (w *kept) attempts() bool {
	for _, established := range w.sas {
		if !established {
			return true
		}
	}
	return false
}

func (w *kept) hear(r event.Record) {
	uid := r.Subject.IKE
	switch e := r.Event.(type) {
	case event.IKEInitiated:
		if e.IKE.Role == "initiator" {
			w.sas[uid], w.resting = false, false
		}
	case event.IKEEstablished:
		w.sas[uid] = true
		w.look() // its child is told of next
	case event.IKERekeyed:
		w.sas[uid] = true
	case event.IKEDeleted:
		w.ended(uid, e.By == "operator")
	case event.IKEFailed:
		w.ended(uid, e.Cause == event.CauseOperator)
	case event.ChildEstablished:
		w.arrived(e.Child)
	case event.ChildRekeyed:
		w.arrived(e.Child)
	case event.ChildDeleted:
		w.left(e)
	case event.ChildFailed:
		w.forgetTraffic()
		w.look()
	}
}

// ended notes the end of an SA. One of an earlier configuration does not matter.
func (w *kept) ended(uid event.UID, byOperator bool) {
	if _, known := w.sas[uid]; !known {
		return
	}
	delete(w.sas, uid)
	w.forgetTraffic()
	w.resting = w.resting || byOperator
	w.look()
}

func (w *kept) arrived(c event.ChildSA) {
	w.children[c.UID] = c.Name
	delete(w.revive, c.Name)
	delete(w.called, c.Name)
	delete(w.cleared, c.Name)
	delete(w.stopped, c.Name)
	if len(w.missing()) == 0 {
		w.failures, w.next, w.patience = 0, time.Time{}, time.Time{}
	}
}

// left notes the end of a child. What is to be done when the peer died is the child's to say.
func (w *kept) left(e event.ChildDeleted) {
	if _, known := w.children[e.Child.UID]; !known {
		return
	}
	delete(w.children, e.Child.UID)
	name := e.Child.Name
	c, configured := w.conn.Child(name)
	switch {
	case e.By == "operator":
		w.stopped[name] = true
	case e.By == "liveness" && configured:
		w.revive[name] = c.OnDead == policy.DeadRestart
		w.cleared[name] = c.OnDead != policy.DeadRestart
	}
	w.look()
}

// obey takes an operator's word. To bring one child up is not to bring up the others.
func (w *kept) obey(o order) {
	if o.traffic {
		w.call(o.children)
		return
	}
	switch {
	case !o.down:
		w.release(o.children)
	case len(o.children) == 0:
		w.resting, w.next = true, time.Time{}
	default:
		for _, name := range o.children {
			w.stopped[name] = true
		}
	}
	w.look()
}

func (w *kept) release(children []string) {
	if len(children) == 0 {
		clear(w.stopped)
		clear(w.cleared)
	}
	if w.resting {
		for _, c := range w.conn.Children {
			w.stopped[c.Name] = len(children) > 0
		}
	}
	for _, name := range children {
		delete(w.stopped, name)
		delete(w.cleared, name)
	}
	w.resting = false
}

// look sees to it that what is missing is tried for.
func (w *kept) look() {
	if w.next.IsZero() && len(w.missing()) > 0 {
		w.postpone()
	}
}

// postpone lets the next try wait, longer with each failure. The jitter keeps peers of a gateway that was away from calling all
// at once.
func (w *kept) postpone() {
	pause := w.conn.Retry.After(w.failures)
	w.failures++
	w.next = time.Now().Add(pause - time.Duration(w.conn.Retry.Jitter*w.random()*float64(pause)))
}

// call notes that there is traffic for children that wait for some. It is tried at once, or when the pause after a failure is
// over; the traffic itself calls again.
func (w *kept) call(children []string) {
	for _, name := range children {
		c, configured := w.conn.Child(name)
		if !configured || c.Start != policy.StartTrap || w.has(name) || w.stopped[name] || w.resting {
			continue
		}
		w.called[name] = true
		if w.next.IsZero() && !w.attempts() {
			w.next = later(time.Now(), w.patience)
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// forgetTraffic ends what traffic called for and what failed: only more traffic calls again.
func (w *kept) forgetTraffic() {
	if len(w.called) == 0 {
		return
	}
	clear(w.called)
	w.postpone()
	w.patience, w.next = w.next, time.Time{}
}
