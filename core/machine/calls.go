package machine

import (
	"fmt"
	"slices"
	"time"
)

// The first pause before a failed call is made again, and the longest. A restarted plugin is back within a second.
const (
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 2 * time.Second
)

// Caller is an SA that calls plugins.
type Caller interface {
	// Now is the instant of the step at hand.
	Now() time.Time
	// Add has something done.
	Add(Effect)
	// Budget is how long a plugin may be silent.
	Budget() time.Duration
	// Patience is until when a call may be repeated. Giving back has a time of its own, Removal.
	Patience() time.Time
	// Removal is how long what an SA had may take to be given back.
	Removal() time.Duration
	// Settle tells that an SPI was given back.
	Settle()
}

// Calls are the operations that an SA waits for, and the ESP SPIs that it was given and has no child for. It belongs to its SA and is as
// little safe for concurrent use.
type Calls struct {
	caller   Caller
	list     []*call
	tickets  Ticket // the last one given
	stale    uint64 // replies that nobody waited for
	reserved []reservation
}

// call is an operation that a plugin is at work on, or that waits to be asked again.
type call struct {
	ticket Ticket // 0 while it waits to be asked again
	op     Op
	key    uint64
	at     time.Time // when silence becomes a failure, or when to ask again
	until  time.Time // from then on a failure is final
	tries  int
	then   func(Result, *CallError)
	late   bool // given up; only what it brings is given back
}

// NewCalls returns the calls of an SA.
func NewCalls(caller Caller) Calls { return Calls{caller: caller} }

// Ask calls a plugin and continues with then: once, with a result of type R or with a failure that is final. All ops are
// idempotent, so a failure that may pass is followed by the same op under a new ticket, as long as the caller is patient.
func Ask[R Result](cs *Calls, op Op, key uint64, then func(R, *CallError)) {
	c := &call{op: op, key: key, until: cs.patience(op), then: func(r Result, err *CallError) {
		got, ok := r.(R)
		if err == nil && !ok {
			err = &CallError{Kind: Internal, Text: fmt.Sprintf("%T was answered with %T", op, r)}
		}
		then(got, err)
	}}
	cs.list = append(cs.list, c)
	cs.issue(c)
}

func (cs *Calls) patience(op Op) time.Time {
	switch op.(type) {
	case RemoveChild, FreeSPI, Release:
		return cs.caller.Now().Add(cs.caller.Removal())
	}
	return cs.caller.Patience()
}

func (cs *Calls) issue(c *call) {
	cs.tickets++
	c.ticket = cs.tickets
	c.tries++
	if c.at = cs.caller.Now().Add(cs.caller.Budget()); c.until.Before(c.at) {
		c.at = c.until
	}
	cs.caller.Add(Call{Ticket: c.ticket, Op: Clone(c.op), Key: c.key, By: c.at})
}

// Resume gives a reply to the call that waits for it. A reply that nobody waits for any more is counted, and wiped.
func (cs *Calls) Resume(r Reply) {
	i := slices.IndexFunc(cs.list, func(c *call) bool { return r.Ticket != 0 && c.ticket == r.Ticket })
	if i < 0 {
		cs.stale++
		Wipe(r.Result)
		return
	}
	cs.end(cs.list[i], r.Result, r.Err)
}

// end ends a call, or puts it off when asking again may help.
func (cs *Calls) end(c *call, r Result, err *CallError) {
	if err != nil && err.Kind.Retryable() {
		if again := cs.caller.Now().Add(backoff(c.tries)); again.Before(c.until) {
			c.ticket, c.at = 0, again
			return
		}
	}
	cs.list = slices.DeleteFunc(cs.list, func(other *call) bool { return other == c })
	c.then(r, err)
}

// backoff is the pause after a number of tries: doubled each time, and without jitter because an SA is deterministic.
func backoff(tries int) time.Duration {
	if d := firstBackoff << min(tries-1, 16); d < maxBackoff {
		return d
	}
	return maxBackoff
}

// Due is when to call Expire, the zero time for never.
func (cs *Calls) Due() (at time.Time) {
	for _, c := range cs.list {
		if at.IsZero() || c.at.Before(at) {
			at = c.at
		}
	}
	return at
}

// Expire turns silence into failure, and asks again what was put off.
func (cs *Calls) Expire() {
	now := cs.caller.Now()
	for _, c := range slices.Clone(cs.list) { // continuations change the list
		switch {
		case now.Before(c.at) || !slices.Contains(cs.list, c):
		case c.ticket == 0:
			cs.issue(c)
		default:
			if _, allocates := c.op.(AllocateSPI); allocates && !c.late {
				cs.giveUpAllocation(c)
			} else {
				cs.caller.Add(Cancel{Ticket: c.ticket})
			}
			cs.end(c, nil, &CallError{Kind: Unavailable, Text: "the plugin did not answer in time"})
		}
	}
}

// Cancel forgets all calls but those that would leave an SPI behind.
func (cs *Calls) Cancel() {
	var left []*call
	for _, c := range cs.list {
		_, allocates := c.op.(AllocateSPI)
		_, frees := c.op.(FreeSPI)
		switch {
		case frees || c.late:
			left = append(left, c)
		case c.ticket == 0:
		case allocates:
			cs.freeLate(c)
			left = append(left, c)
		default:
			cs.caller.Add(Cancel{Ticket: c.ticket})
		}
	}
	cs.list = left
}

// Drop forgets the calls with an op that is unwanted now. They may be performed all the same.
func (cs *Calls) Drop(unwanted func(Op) bool) {
	cs.list = slices.DeleteFunc(cs.list, func(c *call) bool {
		if !unwanted(c.op) {
			return false
		}
		if c.ticket != 0 {
			cs.caller.Add(Cancel{Ticket: c.ticket})
		}
		return true
	})
}

// Waiting returns how many calls are not settled.
func (cs *Calls) Waiting() int { return len(cs.list) }

// Stale returns how many replies came too late to matter.
func (cs *Calls) Stale() uint64 { return cs.stale }
