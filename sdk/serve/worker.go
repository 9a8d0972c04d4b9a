package serve

import (
	"context"
	"sync"
	"time"

	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// maxIdle bounds the workers that are kept; 256 calls in flight is the load that the carriers are made for.
const maxIdle = 256

// workers perform requests from one queue. An operation may wait for a device, so that as many run at the same time as
// there are requests; but a change of goroutines for each would cost more than a cheap operation does. So a worker that
// takes a request and leaves others behind gets one more worker on the way and begins: when the operation is cheap it
// takes the next one itself, and when it waits the other worker does. While requests wait, one is always on the way.
type workers struct {
	perform func(*basev1.Frame)

	mu     sync.Mutex
	queue  []*basev1.Frame
	taken  int             // of queue
	idle   []chan struct{} // the last one that became idle is the first one to be used: its stack is warm
	waking bool            // a worker is on the way to the queue
	over   bool
}

// do has a request performed; it never waits.
func (w *workers) do(f *basev1.Frame) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.taken > len(w.queue)/2 { // a queue that is never empty would grow for ever
		n := copy(w.queue, w.queue[w.taken:])
		clear(w.queue[n:])
		w.queue, w.taken = w.queue[:n], 0
	}
	w.queue = append(w.queue, f)
	w.wake()
}

// wake gets one more worker on the way, if requests wait and none is. w.mu is held.
func (w *workers) wake() {
	if w.waking || w.taken == len(w.queue) {
		return
	}
	w.waking = true
	if n := len(w.idle) - 1; n >= 0 {
		w.idle[n] <- struct{}{}
		w.idle = w.idle[:n]
		return
	}
	go w.run()
}

// run performs requests as long as there are some, and then waits to be woken.
func (w *workers) run() {
	woken := make(chan struct{}, 1)
	for more := true; more; _, more = <-woken {
		w.arrive()
		f, stay := w.next(woken)
		for ; f != nil; f, stay = w.next(woken) {
			w.perform(f)
		}
		if !stay {
			return
		}
	}
}

// arrive tells that a worker is no longer on the way.
func (w *workers) arrive() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waking = false
}

// next takes the next request and leaves those behind it to one more worker. Without one the worker that woken belongs to
// becomes idle, or ends when there are enough.
func (w *workers) next(woken chan struct{}) (f *basev1.Frame, stay bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.taken < len(w.queue) {
		f = w.queue[w.taken]
		w.queue[w.taken] = nil
		w.taken++
		w.wake()
		return f, true
	}
	w.queue, w.taken = w.queue[:0], 0
	if w.over || len(w.idle) >= maxIdle {
		return nil, false
	}
	w.idle = append(w.idle, woken)
	return nil, true
}

// end lets the idle workers end, and the others when they are done.
func (w *workers) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	for _, woken := range w.idle {
		close(woken)
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
