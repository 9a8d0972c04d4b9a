package ikev2

import (
	"fmt"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/policy"
)

// task is work that takes a CREATE_CHILD_SA exchange of ours. There is one such exchange of ours at a time; what else is to be
// done waits in SA.todo.
type task struct {
	conf  *policy.Child // the child to make; nil: replace the IKE SA
	old   *child        // that it replaces, nil for none
	after time.Time     // not before then
	tries int           // how often the peer put it off
}

// isIKE reports whether the task is to replace the IKE SA.
func (t task) isIKE() bool { return t.conf == nil }

// name is that of the child, "" for none.
func (t task) name() string {
	if t.conf == nil {
		return ""
	}
	return t.conf.Name
}

// working reports whether an exchange keeps us from beginning another.
func (s *SA) working() bool {
	return s.state != Established || s.create != nil || s.rekeying != nil || s.servingIKE != nil
}

// work begins the first task that is due, if nothing is at work.
func (s *SA) work() {
	if s.rekeying != nil {
		s.rekeying.step()
	}
	if s.working() {
		return
	}
	s.todo = slices.DeleteFunc(s.todo, func(t task) bool { return t.old != nil && !t.old.usable() })
	i := slices.IndexFunc(s.todo, func(t task) bool { return !s.now.Before(t.after) })
	if i < 0 {
		return
	}
	t := s.todo[i]
	if t.isIKE() && !s.mayRekeyIKE() {
		return // what is in the way ends soon
	}
	if s.todo = slices.Delete(s.todo, i, i+1); len(s.todo) == 0 {
		s.todo = nil
	}
	if t.isIKE() {
		s.beginRekeyIKE(t)
		return
	}
	s.begin(t)
}

// workDue is when the next task is due.
func (s *SA) workDue() (at time.Time) {
	if s.working() {
		return at
	}
	for _, t := range s.todo {
		if s.now.Before(t.after) {
			at = earliest(at, t.after)
		}
	}
	return at
}

// want adds tasks for those children that are neither there nor on their way.
func (s *SA) want(names []string) {
	for _, name := range names {
		conf, ok := s.conn.Child(name)
		switch {
		case !ok:
			s.childFailed(name, failure{cause: event.CauseUnsupported, by: byUs,
				reason: fmt.Sprintf("connection %q has no child %q", s.conn.Name, name)})
		case !s.makes(name):
			s.todo = append(s.todo, task{conf: conf})
		}
	}
}

// makes reports whether a child of that name is there or on its way.
func (s *SA) makes(name string) bool {
	return s.attempts(name) || s.create != nil && s.create.conf.Name == name ||
		slices.ContainsFunc(s.todo, func(t task) bool { return t.name() == name }) ||
		slices.ContainsFunc(s.children, func(c *child) bool {
			return c.sa.Name == name && !c.deleting && !c.removing && c.leaveAt.IsZero()
		})
}

// unwant drops what was to be made under a name. What the peer has been asked for already is deleted when it answers.
func (s *SA) unwant(name string, f failure) {
	s.todo = slices.DeleteFunc(s.todo, func(t task) bool {
		if t.name() == name && t.old == nil {
			s.childFailed(name, f)
		}
		return t.name() == name
	})
	if s.create != nil && s.create.conf.Name == name {
		s.create.stop(f)
	}
}

// putOff does a task again later, because the peer asked for patience. A peer that has been asking for it for minutes has lost
// track of the SA, which is closed then (RFC 7296 section 2.25).
func (s *SA) putOff(t task) {
	if s.busy.IsZero() {
		s.busy = s.now
	}
	if waited := s.now.Sub(s.busy); waited >= s.limits.BusyWait {
		s.deleteIKE(byError, fmt.Sprintf("the peer has been answering TEMPORARY_FAILURE for %v", waited.Round(time.Second)))
		return
	}
	t.tries++
	t.after = s.now.Add(s.jittered(min(firstPause<<min(t.tries-1, 16), maxPause)))
	s.todo = append(s.todo, t)
}

// jittered returns a time between d and twice d, so that two sides do not run into each other again and again.
func (s *SA) jittered(d time.Duration) time.Duration {
	return d + time.Duration(s.rand.Uint64()%uint64(max(d, 1)))
}
