package ikev1

import (
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
)

// This file is how one ISAKMP SA takes the place of another. The new one is made from its beginning, by a phase 1 of its own; children
// of the old one move to it, because IPsec SAs outlive the ISAKMP SA that made them. Both sides do so by themselves, when the driver
// tells them that the new SA is there.

// heir is the SA that the children of this one go to.
type heir struct{ to event.UID }

// giveWayTo moves all children to another SA, and ends after a while in which the peer may finish what it began here.
func (s *SA) giveWayTo(r machine.Replaced) {
	s.session.heir = heir{r.By}
	s.goodbyeFor(byReplaced, "IKE SA "+r.By.String()+" took its place")
	s.bequeath(s.wantedNames())
	s.enter(Rekeyed)
	s.deadline = s.now.Add(s.limits.Grace)
}

// wantedNames returns the children that were to be made, each once.
func (s *SA) wantedNames() (names []string) {
	for _, t := range s.todo {
		if t.old == nil && !slices.Contains(names, t.conf.Name) {
			names = append(names, t.conf.Name)
		}
	}
	s.todo = nil
	return names
}

// bequeath hands over the children that are in use. What is being removed is removed here; what is being made follows when it is made.
func (s *SA) bequeath(wanted []string) {
	var list []machine.Bequest
	for _, c := range slices.Clone(s.children) {
		if c.up && !c.removing {
			list = append(list, s.bequest(c))
		}
	}
	lease := s.bequeathLease()
	if len(list)+len(wanted) > 0 || lease.Holder != (event.UID{}) {
		s.fx.Add(machine.Bequeath{To: s.session.heir.to, Children: list, Wanted: wanted, Inner: lease})
	}
}

// bequest takes a child out of the SA. Its keys go with it.
func (s *SA) bequest(c *child) machine.Bequest {
	s.children = slices.DeleteFunc(s.children, func(other *child) bool { return other == c })
	return machine.Bequest{Child: c.sa, Ours: c.ours, Since: c.since, Soft: c.life.soft, Hard: c.life.hard, Leave: c.leaveAt,
		Replaced: c.replaced(), Update: s.forgetCallsOf(c)}
}

// forgetCallsOf gives up what was asked about a child, and reports whether an update was among it.
func (s *SA) forgetCallsOf(c *child) (update bool) {
	s.calls.Drop(func(op machine.Op) bool {
		switch op := op.(type) {
		case machine.UpdateChild:
			update = update || op.Child.UID == c.sa.UID
			return op.Child.UID == c.sa.UID
		case machine.QueryUsage:
			if op.Child.UID == c.sa.UID {
				s.session.looking--
			}
			return op.Child.UID == c.sa.UID
		}
		return false
	})
	return update
}

// inherit takes over the children of another SA. Those that the connection does not have any more, or that come too late, are removed.
func (s *SA) inherit(in machine.Inherit) {
	s.inheritLease(in.Inner)
	for _, b := range in.Children {
		s.adopt(b)
	}
	for _, old := range s.children { // of two for the same traffic the newer one sends
		i := slices.IndexFunc(s.children, func(c *child) bool {
			return old.usable() && c.usable() && c.sameTraffic(old) && c.since.After(old.since)
		})
		switch {
		case i < 0:
		case old.orphan:
			old.heir = s.children[i]
		default:
			s.supersede(old, s.children[i])
		}
		old.orphan = false
	}
	if s.state == Established {
		s.want(in.Wanted)
	}
}

func (s *SA) adopt(b machine.Bequest) {
	sa := b.Child
	conf, there := s.childConf(sa.Name)
	c := &child{sa: sa, conf: conf, suite: suite.Suite{Encr: suite.EncrID(sa.Encr), KeyBits: int(sa.KeyBits), Integ: suite.IntegID(sa.Integ)},
		ours: b.Ours, up: true, since: b.Since, life: span{b.Soft, b.Hard}, leaveAt: b.Leave, orphan: b.Replaced}
	s.children = append(s.children, c)
	switch {
	case s.state >= Closing:
		c.by, c.reason = byReplaced, "the ISAKMP SA that it came to has ended"
		s.remove(c)
	case !there:
		s.deleteChild(c, byConfig, reconfigured)
	case conf.LocalAssigned && !slices.Contains(conf.LocalTS, policy.Selector(sa.LocalTS[0])): // the peer gave us another address
		s.deleteChild(c, byRekey, "the peer gave us another address")
		s.want([]string{sa.Name})
	case c.sa.Encap && (sa.Remote != s.remote.Addr() || sa.RemotePort != s.remote.Port()) && s.encapsulates():
		s.moveChildren()
	case b.Update:
		s.askUpdate(c)
	}
}

// childConf returns the child of a name, or one that says no more than that.
func (s *SA) childConf(name string) (*policy.Child, bool) {
	if conf, ok := s.conn.Child(name); ok {
		return conf, true
	}
	return &policy.Child{Name: name}, false
}
