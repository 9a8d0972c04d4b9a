package ikev2

import (
	"bytes"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// This file is what rekeying adds to the life of a child SA (RFC 7296 section 2.8).
//
// Whoever begins installs the new child and uses it at once, then deletes the old one. Whoever answers goes on sending on the
// old child until that Delete comes: the new one is held back (machine.ChildSA.Held). Both keep the old child for a little
// while after it was deleted, because packets are on their way.
//
// When both begin at once, each answers as usual. Of the two new children the one with the lowest of the four nonces is
// redundant and deleted by whoever began its exchange; the other one deletes the old child (section 2.8.1).

// heir is the child by which the peer has replaced another, or tries to.
type heir struct {
	child *child
	low   []byte // the lower nonce of the exchange
}

// lower returns the lower of two nonces, octet by octet; where one ends, it is the lower (RFC 7296 section 2.8.1).
func lower(a, b []byte) []byte {
	if bytes.Compare(a, b) < 0 {
		return a
	}
	return b
}

// usable reports whether a child is in use and neither side is about to end it.
func (c *child) usable() bool {
	return c.up && !c.deleting && !c.removing && c.leaveAt.IsZero() && c.heir == nil
}

// replaced reports whether another child has taken the place of this one, or it was deleted and only waits for what is on its way.
func (c *child) replaced() bool {
	return !c.leaveAt.IsZero() || (c.deleting || c.removing) && c.by == byRekey || c.heir != nil && c.heir.child.up
}

// selectors returns what a child is for, as both sides agreed.
func (c *child) selectors() (local, remote []policy.Selector) {
	return policySelectors(c.sa.LocalTS), policySelectors(c.sa.RemoteTS)
}

// keeps reports whether an agreement covers all that a child is for: what replaces it must not be narrower (RFC 7296 section
// 2.9.2). In transport mode it is for the two hosts, wherever they are now.
func (a *agreement) keeps(c *child) bool {
	if a.transport {
		return true
	}
	local, remote := c.selectors()
	return within(a.local, local) && within(a.remote, remote)
}

// rekeyTask is to replace a child.
func rekeyTask(c *child) task { return task{conf: c.conf, old: c} }

// rekeyChildren is the command to replace all children of a name.
func (s *SA) rekeyChildren(name string) {
	for _, c := range s.children {
		if c.sa.Name == name {
			s.rekeyChild(c)
		}
	}
}

// rekeyChild has a child replaced, unless that is on its way.
func (s *SA) rekeyChild(c *child) {
	waits := slices.ContainsFunc(s.todo, func(t task) bool { return t.old == c })
	if c.usable() && !waits && (s.create == nil || s.create.old != c) {
		s.todo = append(s.todo, rekeyTask(c))
	}
}

// toRekey returns the child that the peer asks to replace: the SPI in its REKEY_SA is the one of what it receives (RFC 7296
// section 1.3.3).
func (s *SA) toRekey(n wire2.Notify) *child {
	i := slices.IndexFunc(s.children, func(c *child) bool {
		return n.Protocol == wire2.ProtoESP && bytes.Equal(n.SPI, spiBytes(c.sa.SPIOut)) && c.up && !c.removing && c.leaveAt.IsZero()
	})
	if i < 0 {
		return nil
	}
	return s.children[i]
}

// hold keeps a new child from sending until the old one is deleted, or a time has passed.
func (s *SA) hold(c *child) { c.sa.Held, c.useAt = true, s.now.Add(s.limits.HoldWait) }

// use lets a child send that was held back.
func (s *SA) use(c *child) {
	if c.useAt = never; !c.sa.Held || c.removing {
		return
	}
	c.sa.Held = false
	s.askUpdate(c, func(*child, *machine.CallError) {}) // reconciliation mends it
}

// retire keeps a child that was deleted for a little while for what is still on its way.
func (s *SA) retire(c *child, by, reason string) {
	if c.removing || !c.leaveAt.IsZero() {
		return
	}
	if c.by == "" {
		c.by, c.reason = by, reason
	}
	c.useAt, c.endAt, c.leaveAt = never, never, s.now.Add(s.limits.Grace)
	s.disown(c)
}

// disown notes that a child that ends replaces none.
func (s *SA) disown(c *child) {
	for _, old := range s.children {
		if old.heir != nil && old.heir.child == c {
			old.heir, old.endAt = nil, never
		}
	}
}

// inherited ends a child for which the peer has made another: that sends from now on.
func (s *SA) inherited(c *child) {
	s.use(c.heir.child)
	s.retire(c, byRekey, "the peer has replaced it")
}

// replacedByUs deletes a child for which we have made another.
func (s *SA) replacedByUs(c *child) {
	if c.deleting || c.removing || !c.leaveAt.IsZero() {
		return
	}
	c.deleting, c.by, c.reason = true, byRekey, "we have replaced it"
	s.requestDelete(c.sa.SPIIn, func() { s.deleted(c) })
}

// deleted ends a child whose Delete the peer has answered. One that has moved to another IKE SA meanwhile is deleted there.
func (s *SA) deleted(c *child) {
	switch {
	case !slices.Contains(s.children, c):
	case c.by == byRekey:
		s.retire(c, byRekey, c.reason)
	default:
		s.remove(c)
	}
}

// announceRekeyed tells that a child is in use in place of another.
func (s *SA) announceRekeyed(c, old *child, by string) {
	c.up, c.life = true, s.spanOf(c.conf.Lifetime)
	s.emit(event.ChildRekeyed{Child: c.describe(), Prev: old.sa.UID, By: by})
	s.endEarly(c)
}

// childDue is when a child next needs attention.
func (c *child) due() time.Time {
	if c.removing {
		return never
	}
	return earliest(earliest(c.leaveAt, c.useAt), earliest(c.endAt, c.ageDue()))
}

// childrenDue is when any child does.
func (s *SA) childrenDue() (at time.Time) {
	if s.state != Established {
		return at
	}
	for _, c := range s.children {
		at = earliest(at, c.due())
	}
	return at
}

// tendChildren does what is due for children.
func (s *SA) tendChildren() {
	if s.state != Established {
		return
	}
	for _, c := range slices.Clone(s.children) { // the list changes
		switch {
		case !s.due(c.due()):
		case s.due(c.leaveAt):
			c.leaveAt = never
			s.remove(c)
		case s.due(c.endAt): // the peer should have deleted it
			c.endAt = never
			s.deleteChild(c, byRekey, "it was replaced, and the peer did not delete it")
		case s.due(c.useAt):
			s.use(c)
		default:
			s.checkAgeOf(c)
		}
	}
}

func policySelectors(list []machine.Selector) []policy.Selector {
	var out []policy.Selector
	for _, ts := range list {
		out = append(out, policy.Selector(ts))
	}
	return out
}
