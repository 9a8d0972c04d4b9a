package serve

import (
	"context"
	"sync"
	"time"

	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// maxIdle bounds the workers that are kept; 256 calls in flight is the load that the carriers are made for.
const maxIdle = 256

// workers perform requests at the same time, each in a goroutine of its own, for an operation may wait for a device.
// They are kept: measured, a fresh goroutine spends more time on growing its stack than on a cheap operation. Performing
// cheap operations in the reader would save two more microseconds of nine, but one slow operation would hold up all others.
type workers struct {
	perform func(*basev1.Frame)

	mu   sync.Mutex
	idle []chan *basev1.Frame // the last one that became idle is the first one to be used: its stack is warm
	over bool
}

// do performs f in a goroutine; it never waits.
func (w *workers) do(f *basev1.Frame) {
	w.mu.Lock()
	var worker chan *basev1.Frame
	if n := len(w.idle) - 1; n >= 0 {
		worker = w.idle[n]
		w.idle = w.idle[:n]
	}
	w.mu.Unlock()
	if worker == nil {
		go w.run(f)
		return
	}
	worker <- f
}

func (w *workers) run(f *basev1.Frame) {
	next := make(chan *basev1.Frame, 1)
	for ; f != nil; f = <-next {
		w.perform(f)
		if !w.park(next) {
			return
		}
	}
}

// park makes a worker available, if there are not enough.
func (w *workers) park(worker chan *basev1.Frame) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over || len(w.idle) >= maxIdle {
		return false
	}
	w.idle = append(w.idle, worker)
	return true
}

// end lets the idle workers end, and the others when they are done.
func (w *workers) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	for _, worker := range w.idle {
		close(worker)
	}
	w.idle = nil
}

// callContext ends at a deadline or with its parent. Unlike a context of the standard library it sets no timer before
// somebody waits for it, which cheap operations never do.
type callContext struct {
	context.Context // the exchange
	deadline        time.Time

	mu    sync.Mutex
	timed context.Context
	stop  context.CancelFunc
	ended bool
}

// Deadline implements context.Context.
func (c *callContext) Deadline() (time.Time, bool) { return c.deadline, true }

// Done implements context.Context.
func (c *callContext) Done() <-chan struct{} { return c.real().Done() }

// Err implements context.Context.
func (c *callContext) Err() error {
	if err := c.Context.Err(); err != nil {
		return err
	}
	if !time.Now().Before(c.deadline) {
		return context.DeadlineExceeded
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return context.Canceled
	}
	return nil
}

func (c *callContext) real() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.stop = context.WithDeadline(c.Context, c.deadline)
		if c.ended {
			c.stop()
		}
	}
	return c.timed
}

// end releases what Done needed; the call is over.
func (c *callContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.stop != nil {
		c.stop()
	}
}
