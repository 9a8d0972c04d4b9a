package engine

import (
	"time"

	"github.com/parley-ike/parley/bus/event"
)

// now is the clock of the machines: it never jumps and has no monotonic part, which a journal could not keep.
func (e *Engine) now() time.Time { return e.start.Round(0).UTC().Add(time.Since(e.start)) }

// smallJump is how far the two clocks may be apart before anybody cares: people see seconds.
const smallJump = time.Second

// onWall returns when something happened by the clock that people see, as it is now: so long ago as it is in truth. The zero time
// stays.
func (e *Engine) onWall(at time.Time) time.Time {
	jump := e.c.Wall().Sub(e.now()).Round(time.Millisecond)
	if at.IsZero() || jump.Abs() < smallJump {
		return at
	}
	return at.Add(jump)
}

// wallClock stamps events with the time that people see.
type wallClock struct {
	to   Publisher
	wall func() time.Time
}

func (w wallClock) Publish(r event.Record) {
	r.Time = w.wall()
	w.to.Publish(r)
}
