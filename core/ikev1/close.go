package ikev1

import (
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// failure says why an SA or a child is not made: to programs, to the peer and to people.
type failure struct {
	cause  event.Cause
	notify wire1.NotifyType // sent or received, 0 for none
	by     string
	reason string // a sentence
}

func (f failure) notifyName() string {
	if f.notify == 0 {
		return ""
	}
	return f.notify.String()
}

// fail ends an SA that is not established. A peer with which phase 1 is over has to be told.
func (s *SA) fail(f failure) {
	if s.state.secured() {
		s.inform(s.deletion())
	}
	s.tellFailed(f)
	s.shutdown(f.reason, 0)
}

// tellFailed tells that the SA failed, in place of whatever goodbye was due: an SA ends once.
func (s *SA) tellFailed(f failure) {
	s.goodbye = nil
	s.blame(f.by, f.reason)
	s.emit(event.IKEFailed{IKE: s.describe(), Stage: s.stage(), Cause: f.cause, Notify: f.notifyName(), By: f.by, Reason: f.reason})
}

// suspect notes a sign of failure in phase 1 that anyone may have made. The attempt goes on for a while, and if nothing better
// comes fails for that reason.
func (s *SA) suspect(f failure) {
	if s.state.secured() || s.phase1 == nil {
		return
	}
	if s.phase1.suspicion == nil {
		s.deadline = earliest(s.deadline, s.now.Add(s.limits.RefusalGrace))
		s.phase1.suspicion = &f
	}
}

// goodbyeFor notes why an established SA ends; the first reason counts. It is told when the children are gone.
func (s *SA) goodbyeFor(by, reason string) {
	if s.goodbye != nil || s.opened.IsZero() {
		return
	}
	s.goodbye = event.IKEDeleted{IKE: s.describe(), By: by, Reason: reason}
	s.blame(by, reason)
}

// blame notes why the children end that have no reason of their own.
func (s *SA) blame(by, reason string) {
	for _, c := range s.children {
		if c.by == "" {
			c.by, c.reason = by, reason
		}
	}
}

// end tells the peer of the end of an established SA and of its children, and ends them. The exchange has no answer (RFC 2408
// section 4.8): a peer that misses it finds out by itself.
func (s *SA) end(by, reason string) {
	s.goodbyeFor(by, reason)
	for _, c := range s.children {
		if c.up && !c.removing {
			s.tellDeleted(c)
		}
	}
	s.inform(s.deletion())
	s.shutdown(reason, 0)
}

// deletion returns the Delete payload for this ISAKMP SA.
func (s *SA) deletion() wire1.Delete {
	return wire1.Delete{DOI: wire1.DOIIPsec, Protocol: wire1.ProtoISAKMP, SPISize: cookiesSize, SPIs: [][]byte{s.cookies()}}
}

// shutdown forgets all but what closing needs: calls are cancelled, keys wiped, children that might be installed removed.
// The SA is gone linger later.
func (s *SA) shutdown(reason string, linger time.Duration) {
	s.calls.Cancel()
	s.failQuick(reason)
	s.enter(Closing)
	s.reason, s.lingerTill, s.deadline = reason, s.now.Add(linger), never
	if linger > 0 {
		s.deadline = s.lingerTill
	}
	for _, c := range s.children {
		c.removing = true
		s.askRemoval(c)
	}
	s.calls.FreeAll()
	s.withdraw()
	s.wipe()
	s.settle()
}

// wipe overwrites what keys could be computed from.
func (s *SA) wipe() {
	s.keys.Wipe()
	s.xauth.wipe()
	if s.phase1 != nil {
		s.phase1.wipe()
	}
	for _, x := range s.phase2 {
		x.wipe()
	}
	s.phase1, s.phase2, s.todo, s.early, s.used, s.partial = nil, nil, nil, nil, nil, nil
}

// settle ends a closing SA when no child and no SPI is left.
func (s *SA) settle() {
	if s.state != Closing || len(s.children) > 0 || s.calls.Waiting() > 0 {
		return
	}
	if s.goodbye != nil {
		s.emit(s.goodbye)
		s.goodbye = nil
	}
	if s.now.Before(s.lingerTill) {
		return
	}
	s.enter(Closed)
	s.deadline = never
	s.fx.Add(machine.Done{Reason: s.reason})
}

// expireState ends a state that has lasted too long.
func (s *SA) expireState() {
	if !s.due(s.deadline) {
		return
	}
	s.deadline = never
	switch {
	case s.state == Closing:
		s.settle()
	case s.state == Rekeyed: // the peer has had time to delete it
		s.inform(s.deletion())
		s.shutdown("another ISAKMP SA took its place", 0)
	case s.state >= Established:
	case s.phase1 != nil && s.phase1.suspicion != nil:
		s.fail(*s.phase1.suspicion)
	case s.userTrouble() != nil:
		s.userFailed(*s.userTrouble())
	default:
		s.emit(event.IKEHalfOpenTimedOut{IKE: s.describe(), State: s.state.String()})
		s.fail(failure{cause: event.CauseHalfOpen, by: s.blameForDelay(), reason: s.delay()})
	}
}

// terminate deletes a child or the SA on command.
func (s *SA) terminate(c machine.Terminate) {
	f := operatorFailure(c.Reason)
	switch {
	case s.state >= Closing:
	case s.state == Established && c.Child != "":
		s.deleteChildren(c.Child, f)
	case s.state >= Established:
		s.end(byOperator, f.reason)
	case c.Child != "" && !s.session.wants(c.Child):
	case c.Child != "" && len(s.session.names) > 1:
		s.session.drop(c.Child)
		s.childFailed(c.Child, f)
	default:
		s.fail(f)
	}
}
