package ikev1

import (
	"fmt"
	"slices"
	"time"

	"github.com/parley-ike/parley/core/machine"
)

// call is an operation that a plugin is at work on, or that waits to be asked again.
type call struct {
	ticket machine.Ticket // 0 while it waits to be asked again
	op     machine.Op
	key    uint64
	at     time.Time // when silence becomes a failure, or when to ask again
	until  time.Time // from then on a failure is final
	tries  int
	then   func(machine.Result, *machine.CallError)
	late   bool // given up; only what it brings is given back
}

// ask calls a plugin and continues with then: once, with a result of type R or with a failure that is final. All ops are
// idempotent, so a failure that may pass is followed by the same op under a new ticket, until the deadline of the state.
func ask[R machine.Result](s *SA, op machine.Op, key uint64, then func(R, *machine.CallError)) {
	c := &call{op: op, key: key, until: s.patience(op), then: func(r machine.Result, err *machine.CallError) {
		got, ok := r.(R)
		if err == nil && !ok {
			err = &machine.CallError{Kind: machine.Internal, Text: fmt.Sprintf("%T was answered with %T", op, r)}
		}
		then(got, err)
	}}
	s.calls = append(s.calls, c)
	s.issue(c)
}

// patience is until when a call may be repeated: the deadline of the state, but for what gives back a time of its own.
func (s *SA) patience(op machine.Op) time.Time {
	switch op.(type) {
	case machine.RemoveChild, machine.FreeSPI:
		return s.now.Add(s.limits.RemovalWait)
	}
	if s.deadline.IsZero() {
		return s.now.Add(s.limits.RemovalWait)
	}
	return s.deadline
}

func (s *SA) issue(c *call) {
	s.tickets++
	c.ticket = s.tickets
	c.tries++
	c.at = earliest(s.now.Add(s.conn.CallBudget), c.until)
	s.fx.Add(machine.Call{Ticket: c.ticket, Op: cloneOp(c.op), Key: c.key, By: c.at})
}

// resume gives a reply to the call that waits for it. A reply that nobody waits for any more is counted.
func (s *SA) resume(r machine.Reply) {
	i := slices.IndexFunc(s.calls, func(c *call) bool { return r.Ticket != 0 && c.ticket == r.Ticket })
	if i < 0 {
		s.stale++
		machine.Wipe(r.Result)
		return
	}
	s.settleCall(s.calls[i], r.Result, r.Err)
}

// settleCall ends a call, or puts it off when asking again may help.
func (s *SA) settleCall(c *call, r machine.Result, err *machine.CallError) {
	if err != nil && err.Kind.Retryable() {
		if again := s.now.Add(backoff(c.tries)); again.Before(c.until) {
			c.ticket, c.at = 0, again
			return
		}
	}
	s.calls = slices.DeleteFunc(s.calls, func(other *call) bool { return other == c })
	c.then(r, err)
}

// backoff is the pause after a number of tries: doubled each time, and without jitter because an SA is deterministic.
func backoff(tries int) time.Duration {
	if d := firstBackoff << min(tries-1, 16); d < maxBackoff {
		return d
	}
	return maxBackoff
}

// expireCalls turns silence into failure, and asks again what was put off.
func (s *SA) expireCalls() {
	for _, c := range slices.Clone(s.calls) { // continuations change the list
		switch {
		case !slices.Contains(s.calls, c) || !s.due(c.at):
		case c.ticket == 0:
			s.issue(c)
		default:
			if _, allocates := c.op.(machine.AllocateSPI); allocates && !c.late {
				s.giveUpAllocation(c)
			} else {
				s.fx.Add(machine.Cancel{Ticket: c.ticket})
			}
			s.settleCall(c, nil, &machine.CallError{Kind: machine.Unavailable, Text: "the plugin did not answer in time"})
		}
	}
}

// cancelCalls forgets all calls but those that would leave an SPI behind.
func (s *SA) cancelCalls() {
	var left []*call
	for _, c := range s.calls {
		_, allocates := c.op.(machine.AllocateSPI)
		_, frees := c.op.(machine.FreeSPI)
		switch {
		case frees || c.late:
			left = append(left, c)
		case c.ticket == 0:
		case allocates:
			s.freeLate(c)
			left = append(left, c)
		default:
			s.fx.Add(machine.Cancel{Ticket: c.ticket})
		}
	}
	s.calls = left
}

// cloneOp gives an op secrets of its own, so that we can wipe ours while a plugin host still reads.
func cloneOp(op machine.Op) machine.Op {
	switch op := op.(type) {
	case machine.KEFinish:
		op.State = op.State.Clone()
		return op
	case machine.Protect:
		op.Plain = slices.Clone(op.Plain)
		for i, p := range op.Plain {
			op.Plain[i] = p.Clone()
		}
		return op
	case machine.InstallChild:
		op.Child = cloneChild(op.Child)
		return op
	case machine.UpdateChild:
		op.Child = cloneChild(op.Child)
		return op
	}
	return op
}
