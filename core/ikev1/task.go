package ikev1

import (
	"fmt"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/policy"
)

// task is a quick mode of ours to come. Quick modes do not wait for each other; one that failed is done again later when it was to
// replace a child.
type task struct {
	conf          *policy.Child
	local, remote policy.Selector // IKEv1 has one of each in a child (RFC 2409 section 5.5)
	old           *child          // that it replaces, nil for none
	after         time.Time       // not before then
}

// session is what an SA knows of its place among the SAs of its peer.
type session struct {
	names    []string  // children that were asked for
	replaces event.UID // the SA that this one takes the place of; zero for none
	contact  bool      // the peer knows of no other SA (INITIAL-CONTACT)
	looking  int       // SA backends that were asked what has come in
	heir     heir      // when the SA is rekeyed
}

// wants reports whether a child is to be made when phase 1 is over.
func (x *session) wants(name string) bool { return slices.Contains(x.names, name) }

func (x *session) drop(name string) {
	x.names = slices.DeleteFunc(slices.Clone(x.names), func(n string) bool { return n == name })
}

// beginChildren makes what was asked for, when phase 1 is over.
func (s *SA) beginChildren() {
	s.want(s.session.names)
	s.session.names = nil
}

// want adds tasks for those children that are neither there nor on their way: one for each pair of selectors.
func (s *SA) want(names []string) {
	for _, name := range names {
		conf, ok := s.conn.Child(name)
		if !ok {
			s.childFailed(name, failure{cause: event.CauseUnsupported, by: byUs,
				reason: fmt.Sprintf("connection %q has no child %q", s.conn.Name, name)})
			continue
		}
		if !s.makes(name) {
			s.plan(conf)
		}
	}
}

// plan adds the tasks that make a child.
func (s *SA) plan(conf *policy.Child) {
	if conf.Barred != "" {
		s.childFailed(conf.Name, failure{cause: event.CauseUnsupported, by: byUs,
			reason: fmt.Sprintf("child %q cannot be made here: %s", conf.Name, conf.Barred)})
		return
	}
	if f := s.unaddressed(conf); f != nil {
		s.childFailed(conf.Name, *f)
		return
	}
	pairs := s.pairs(conf)
	if len(pairs) == 0 {
		s.childFailed(conf.Name, failure{cause: event.CauseNoSelectors, by: byUs, reason: fmt.Sprintf(
			"child %q has no pair of selectors that IKEv1 can propose: addresses of one family, and all ports or one", conf.Name)})
		return
	}
	s.todo = append(s.todo, pairs...)
}

// pairs returns a task for each pair of selectors of a child that IKEv1 has words for. In transport mode they are those of the two
// hosts.
func (s *SA) pairs(conf *policy.Child) (list []task) {
	locals, remotes := s.selectorsOf(conf)
	for _, local := range locals {
		for _, remote := range remotes {
			if policy.PairFitsIKEv1(local, remote) && len(list) < s.conn.MaxChildren {
				list = append(list, task{conf: conf, local: local, remote: remote})
			}
		}
	}
	return list
}

// makes reports whether a child of that name is there or on its way.
func (s *SA) makes(name string) bool {
	return slices.ContainsFunc(s.todo, func(t task) bool { return t.conf.Name == name }) ||
		slices.ContainsFunc(s.phase2, func(x *exchange) bool { return x.quick != nil && x.quick.initiator && x.quick.conf.Name == name }) ||
		slices.ContainsFunc(s.children, func(c *child) bool { return c.sa.Name == name && c.usable() })
}

// work begins the quick modes that are due.
func (s *SA) work() {
	if s.state != Established {
		return
	}
	s.todo = slices.DeleteFunc(s.todo, func(t task) bool { return t.old != nil && !t.old.usable() })
	for {
		i := slices.IndexFunc(s.todo, func(t task) bool { return !s.now.Before(t.after) })
		if i < 0 || s.state != Established {
			return
		}
		t := s.todo[i]
		if s.todo = slices.Delete(s.todo, i, i+1); len(s.todo) == 0 {
			s.todo = nil
		}
		s.beginQuick(t)
	}
}

// workDue is when the next task is due.
func (s *SA) workDue() (at time.Time) {
	if s.state != Established {
		return never
	}
	for _, t := range s.todo {
		at = earliest(at, t.after)
	}
	return at
}

// unwant drops what was to be made under a name.
func (s *SA) unwant(name string, f failure) {
	told := false
	s.todo = slices.DeleteFunc(s.todo, func(t task) bool {
		if t.conf.Name == name && t.old == nil && !told {
			told = true
			s.childFailed(name, f)
		}
		return t.conf.Name == name
	})
	for _, x := range slices.Clone(s.phase2) {
		if x.quick != nil && x.quick.initiator && x.quick.conf.Name == name {
			x.quick.fail(f)
		}
	}
}

// rekeyChild has a child replaced, unless that is on its way.
func (s *SA) rekeyChild(c *child) {
	waits := slices.ContainsFunc(s.todo, func(t task) bool { return t.old == c }) ||
		slices.ContainsFunc(s.phase2, func(x *exchange) bool { return x.quick != nil && x.quick.old == c })
	if c.usable() && !waits {
		s.todo = append(s.todo, task{conf: c.conf, local: policy.Selector(c.sa.LocalTS[0]), remote: policy.Selector(c.sa.RemoteTS[0]), old: c})
	}
}
