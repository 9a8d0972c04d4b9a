package bench

import (
	"context"
	"runtime"
	"sync"

	"github.com/parley-ike/parley/conformance/linked"
	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/machine"
)

// linkedCaller performs calls by linked plugins on as many goroutines as there are processors. It is what an engine with
// plugins in the process would have: no codec, no stream, and answers in batches.
type linkedCaller struct {
	plugins *linked.Plugins
	deliver func([]machine.Return)
	workers []*worker
}

var _ engine.Caller = (*linkedCaller)(nil)

// worker performs its calls in their order.
type worker struct {
	mu      sync.Mutex
	waiting []machine.Request
	wake    chan struct{}
}

func newLinkedCaller(p *linked.Plugins, deliver func([]machine.Return)) *linkedCaller {
	c := &linkedCaller{plugins: p, deliver: deliver}
	for range runtime.GOMAXPROCS(0) {
		w := &worker{wake: make(chan struct{}, 1)}
		c.workers = append(c.workers, w)
		go c.run(w)
	}
	return c
}

// Submit implements engine.Caller. The keys, or else the owners, spread the calls; those of one key meet in one worker.
func (c *linkedCaller) Submit(batch []machine.Request) {
	for _, r := range batch {
		by := r.Call.Key
		if by == 0 {
			by = uint64(r.Owner) >> 8 // the low bits choose the shard
		}
		c.workers[by%uint64(len(c.workers))].put(r)
	}
}

// Cancel implements engine.Caller: the answer is dropped where it arrives.
func (c *linkedCaller) Cancel(machine.Owner, machine.Ticket) {}

func (w *worker) put(r machine.Request) {
	w.mu.Lock()
	w.waiting = append(w.waiting, r)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *worker) take(spare []machine.Request) []machine.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.waiting
	w.waiting = spare[:0]
	return taken
}

// batchLen bounds how long an answer waits for the others of its batch.
const batchLen = 16

func (c *linkedCaller) run(w *worker) {
	var taken []machine.Request
	var answers []machine.Return
	for range w.wake {
		taken = w.take(taken)
		for i, r := range taken {
			result, err := c.plugins.Perform(context.Background(), r.Call.Op)
			answers = append(answers, machine.Return{Owner: r.Owner, Reply: machine.Reply{Ticket: r.Call.Ticket, Result: result, Err: err}})
			if len(answers) == batchLen || i == len(taken)-1 {
				c.deliver(answers)
				clear(answers)
				answers = answers[:0]
			}
		}
		clear(taken)
	}
}
