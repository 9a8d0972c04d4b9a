package engine

import (
	"net/netip"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
)

// step gives an SA one input and performs the effects in order.
func (s *Shard) step(now time.Time, e *sa, in machine.Input) {
	s.c.Counters.Steps.Add(1)
	e.track.Record(now, e.owner, in)
	s.fx.Reset()
	e.machine.Step(now, in, &s.fx)
	effects := s.fx.List()
	if e.track != nil {
		e.track.Check(e.owner, Digest(effects))
	}
	for _, effect := range effects {
		s.perform(now, e, effect)
	}
	if e.uid == (event.UID{}) {
		e.uid = e.machine.Info().UID
	}
	if e.phase == gone {
		s.remove(e)
		return
	}
	s.timers.set(e, e.machine.Deadline())
}

func (s *Shard) perform(now time.Time, e *sa, effect machine.Effect) {
	switch fx := effect.(type) {
	case machine.Send:
		s.c.Counters.DatagramsOut.Add(1)
		s.c.Sender.Send(fx.Local, fx.Remote, fx.Bytes)
	case machine.Call:
		if op, ours := fx.Op.(machine.Admit); ours {
			s.answerAdmit(e, fx.Ticket, op)
			return
		}
		if _, ours := fx.Op.(machine.FindHeir); ours {
			s.answerHeir(e, fx.Ticket)
			return
		}
		if s.tooManyDecryptions(now, e, fx) {
			return
		}
		s.learn(e.owner, fx.Op)
		s.calls = append(s.calls, machine.Request{Owner: e.owner, Call: fx})
	case machine.Cancel:
		s.submit() // the call may be in this very batch
		s.c.Caller.Cancel(e.owner, fx.Ticket)
	case machine.Emit:
		s.emit(now, e, fx)
	case machine.Spawn:
		s.spawn(now, e, fx)
	case machine.Decide:
		s.decide(e, fx)
	case machine.Renew:
		s.renew(e, fx)
	case machine.Bequeath:
		s.bequeath(e, fx)
	case machine.Export:
		s.export(fx.Keys)
	case machine.Done:
		s.enter(e, gone)
	}
}

// emit publishes an event of an SA, and learns from it.
func (s *Shard) emit(now time.Time, e *sa, fx machine.Emit) {
	if e.uid == (event.UID{}) {
		e.uid = fx.Subject.IKE
	}
	if fx.Subject.Conn != "" {
		e.conn = fx.Subject.Conn
	}
	r := event.Record{Time: now, Subject: fx.Subject, Event: fx.Event}
	if fx.Subject.IKE == e.uid {
		e.sequence++
		r.SASequence = e.sequence
	}
	s.c.Publisher.Publish(r)
	switch up := fx.Event.(type) {
	case event.IKEEstablished:
		s.enter(e, established)
		s.meet(now, e, up)
	case event.IKEReauthenticated:
		s.summon(s.c.Roster.reauthenticated(e.owner, up.Old))
	case event.IKEDeleted, event.IKEFailed, event.IKEHalfOpenTimedOut:
		s.enter(e, ended)
	}
}

// enter moves an SA forward in its life.
func (s *Shard) enter(e *sa, p phase) {
	if p <= e.phase {
		return
	}
	if e.phase == established {
		s.c.Counters.Established.Add(-1)
	}
	if p == established {
		s.c.Counters.Established.Add(1)
		s.settle(e)
	}
	e.phase = p
	if p >= ended {
		s.summon(s.c.Roster.leave(e.owner))
	}
}

// settle gives the place at the gate back. An SA that failed keeps it until it is gone, because it keeps its memory.
func (s *Shard) settle(e *sa) {
	if e.from.IsValid() {
		s.giveBack(e.major, e.from)
		s.c.Counters.HalfOpen.Add(-1)
		e.from = netip.Addr{}
	}
}

// giveBack gives a place at the gate back.
func (s *Shard) giveBack(major uint8, from netip.Addr) {
	if major == majorVersion1 {
		s.c.Gate.closed1(from)
		return
	}
	s.c.Gate.closed(from)
}

// spawn takes over an SA that grew out of e. It is established by birth, and recorded in the journal of its parent,
// whose seed it comes from.
func (s *Shard) spawn(now time.Time, parent *sa, fx machine.Spawn) {
	defer s.c.Roster.inherit(now, parent.owner, fx.Owner, fx.Machine.Info()) // when there is a shard to answer for it
	s.c.Counters.spawned.Add(1)
	children := fx.Machine.Installed()
	s.hand(parent.owner, children)
	machine.WipeChildren(children)
	child := &sa{owner: fx.Owner, major: parent.major, machine: fx.Machine, conn: parent.conn, track: parent.track.Share(), uid: fx.Machine.Info().UID,
		dial: parent.dial}
	if uint64(fx.Owner)%uint64(s.c.Count) == uint64(s.c.Index) {
		s.adopt(child)
		return
	}
	s.c.Elsewhere(fx.Owner, func(other *Shard, _ time.Time) { other.adopt(child) })
}

// decide tells an SA that grew out of e what becomes of it. What it takes over is on its way until it knows.
func (s *Shard) decide(e *sa, fx machine.Decide) {
	s.hand(e.owner, fx.Children)
	s.c.Counters.spawned.Add(1)
	if uint64(fx.Owner)%uint64(s.c.Count) == uint64(s.c.Index) {
		s.later = append(s.later, func(now time.Time) { s.decided(now, fx.Owner) })
		return
	}
	s.c.Elsewhere(fx.Owner, func(other *Shard, now time.Time) { other.decided(now, fx.Owner) })
}

// decided steps an SA for which something was decided, and notes whose the children are.
func (s *Shard) decided(now time.Time, o machine.Owner) {
	if e := s.sas[o]; e != nil {
		s.step(now, e, machine.Decided{})
		s.own(e)
	}
	s.c.Counters.adopted.Add(1)
}

// adopt begins to drive a spawned SA. One that comes while the engine is stopping has missed the command to end.
func (s *Shard) adopt(e *sa) {
	s.add(e)
	s.own(e)
	s.enter(e, established)
	s.timers.set(e, e.machine.Deadline())
	s.c.Counters.adopted.Add(1)
	if s.closed {
		s.later = append(s.later, func(now time.Time) { s.give(now, summons{e.owner, machine.Terminate{Reason: stopReason}}) })
	}
}

// export passes keys on to whoever wants them.
func (s *Shard) export(k machine.Keys) {
	if s.c.Export == nil {
		k.Wipe()
		return
	}
	s.c.Export(k)
}
