package ikev2

import (
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// failure says why an SA or a child is not made: to programs, to the peer and to people.
type failure struct {
	cause  event.Cause
	notify wire2.NotifyType // sent or received, 0 for none
	by     string
	reason string // a sentence
}

func (f failure) notifyName() string {
	if f.notify == 0 {
		return ""
	}
	return f.notify.String()
}

// fail ends an SA that is not established.
func (s *SA) fail(f failure) {
	s.tellFailed(f)
	s.shutdown(f.reason, 0)
}

// failAndLinger does so and keeps the last response for repetition.
func (s *SA) failAndLinger(f failure) {
	s.tellFailed(f)
	s.shutdown(f.reason, s.limits.Linger)
}

// abandon ends an SA that the peer believes established, with a Delete payload or a notify that needs none (RFC 7296 section
// 2.21.2).
func (s *SA) abandon(f failure, n wire2.Payload) {
	s.tellFailed(f)
	s.calls.Cancel()
	s.enter(Deleting)
	s.reason, s.deadline = f.reason, s.now.Add(s.limits.DeleteWait)
	s.request(request{exch: wire2.Informational, payloads: []wire2.Payload{n}, answered: func(packet) { s.farewell() }})
}

// breakOff ends an SA whose peers no longer understand each other, in whatever state, without a Delete payload (RFC 7296
// section 2.21.3).
func (s *SA) breakOff(f failure) {
	if s.opened.IsZero() {
		s.failAndLinger(f)
		return
	}
	s.goodbyeFor(byError, f.reason)
	s.shutdown(f.reason, s.limits.Linger)
}

// rejectResponse ends an SA because of an authentic response that makes no sense. Only after IKE_AUTH is the peer told in
// a notify (RFC 7296 section 2.21.2); later the SA is deleted (section 2.21).
func (s *SA) rejectResponse(n wire2.Notify, cause event.Cause, reason string) {
	s.answered()
	switch s.state {
	case AuthSent:
		s.abandon(failure{cause: cause, notify: n.Kind, by: byUs, reason: reason}, n)
	case Established:
		s.deleteIKE(byError, reason)
	default:
		s.farewell()
	}
}

// tellFailed tells that the SA failed, in place of whatever goodbye was due: an SA ends once.
func (s *SA) tellFailed(f failure) {
	s.goodbye = nil
	s.blame(f.by, f.reason)
	s.emit(event.IKEFailed{IKE: s.describe(), Stage: s.state.stage(), Cause: f.cause, Notify: f.notifyName(), By: f.by, Reason: f.reason})
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

// farewell ends an SA that was being deleted: the peer has answered, or it does not.
func (s *SA) farewell() { s.shutdown(s.reason, 0) }

// shutdown forgets all but what closing needs: calls are cancelled, keys wiped, children that might be installed removed.
// The last response is repeated for the time of linger.
func (s *SA) shutdown(reason string, linger time.Duration) {
	s.calls.Cancel()
	s.own.close()
	s.peer.release()
	s.partial = nil
	s.enter(Closing)
	s.reason, s.lingerTill, s.deadline = reason, s.now.Add(linger), time.Time{}
	if linger > 0 {
		s.deadline = s.lingerTill
	}
	for _, c := range s.children {
		c.removing = true
		s.askRemoval(c)
	}
	if s.rival != nil {
		s.decide(origin{task: giveUp, prev: s.uid})
	}
	s.calls.FreeAll()
	s.withdraw()
	s.wipe()
	s.settle()
}

// wipe overwrites what keys could be computed from (RFC 7296 section 2.12).
func (s *SA) wipe() {
	s.keys.Wipe()
	s.in.Wipe()
	s.out.Wipe()
	if s.init != nil {
		s.init.wipe()
	}
	if s.create != nil {
		s.create.wipe()
	}
	if s.rekeying != nil {
		s.rekeying.share.wipe()
	}
	s.in, s.out, s.init, s.auth, s.create, s.serving, s.todo = nil, nil, nil, nil, nil, nil, nil
	s.rekeying, s.servingIKE = nil, nil
	s.ownInit, s.peerInit = nil, nil
}

// settle ends a closing SA when no child and no SPI is left and no response need be repeated.
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
	s.deadline = time.Time{}
	s.fx.Add(machine.Done{Reason: s.reason})
}

// expireState ends a state that has lasted too long.
func (s *SA) expireState() {
	if !s.due(s.deadline) {
		return
	}
	s.deadline = time.Time{}
	switch {
	case s.state == Closing:
		s.settle()
	case s.state == Deleting:
		s.farewell()
	case s.state == Pending: // whoever should have decided is gone
		s.origin = nil
		s.deleteIKE(byRekey, orphanedReason)
	case s.state == Rekeyed: // the peer should have deleted it
		s.deleteIKE(byRekey, s.reason)
	case s.state == Established: // an operator has waited long enough
		s.goodbyeFor(byOperator, s.stopping)
		s.shutdown(s.stopping, 0)
	case s.stopping != "":
		s.fail(operatorFailure(s.stopping))
	case s.init != nil && s.init.refusal != nil:
		s.fail(*s.init.refusal)
	default:
		s.emit(event.IKEHalfOpenTimedOut{IKE: s.describe(), State: s.state.String()})
		s.fail(failure{cause: event.CauseHalfOpen, by: s.blameForDelay(), reason: s.delay()})
	}
}
