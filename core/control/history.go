package control

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
)

const (
	// keptEvents bounds the backlog: the last few minutes of a busy node, a day of a quiet one, at most some MB.
	keptEvents = 2048
	// historyQueue bounds what waits for History when the processor is short: the events of some hundred handshakes.
	historyQueue = 8192
)

// History remembers what was published on a bus: the last events, and the attempts of each connection. Create it before
// whatever is to be remembered begins. It is safe for concurrent use.
type History struct {
	sub       *bus.Subscription
	published atomic.Uint64 // number of the last record that was offered to us
	stop      context.CancelFunc
	done      chan struct{}

	mu      sync.Mutex
	arrived sync.Cond // seen has grown, or the end has come
	seen    uint64
	ended   bool
	ring    []event.Record // the last keptEvents, from next on
	next    int
	stories stories
}

// NewHistory begins to remember. Close ends it.
func NewHistory(b *bus.Bus) *History {
	ctx, stop := context.WithCancel(context.Background())
	h := &History{stop: stop, done: make(chan struct{}), stories: newStories()}
	h.arrived.L = &h.mu
	h.sub = b.Subscribe("control", bus.DropOldest(historyQueue), func(r event.Record) bool {
		h.published.Store(r.Sequence)
		return true
	})
	go h.run(ctx)
	return h
}

// Close ends it. What was remembered can still be asked for.
func (h *History) Close() {
	h.sub.Close()
	h.stop()
	<-h.done
}

func (h *History) run(ctx context.Context) {
	defer close(h.done)
	defer h.finish()
	batch := make([]event.Record, 64)
	for {
		n, err := h.sub.NextBatch(ctx, batch)
		if err != nil {
			return
		}
		h.absorb(batch[:n])
	}
}

func (h *History) absorb(batch []event.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range batch {
		h.keep(r)
		h.stories.add(r)
		h.seen = max(h.seen, r.Sequence)
	}
	h.arrived.Broadcast()
}

func (h *History) finish() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.arrived.Broadcast()
}

func (h *History) keep(r event.Record) {
	if len(h.ring) < keptEvents {
		h.ring = append(h.ring, r)
		return
	}
	h.ring[h.next] = r
	h.next = (h.next + 1) % keptEvents
}

// lock locks h when everything that was published before the call has arrived.
func (h *History) lock() {
	until := h.published.Load()
	h.mu.Lock()
	for h.seen < until && !h.ended {
		h.arrived.Wait()
	}
}

// events returns the events that are remembered, the oldest first.
func (h *History) events() []event.Record {
	h.lock()
	defer h.mu.Unlock()
	return slices.Concat(h.ring[h.next:], h.ring[:h.next])
}

// past returns the last n remembered events that want takes, or with since those from then on.
func (h *History) past(want func(event.Record) bool, n int, since time.Time) []event.Record {
	all := slices.DeleteFunc(h.events(), func(r event.Record) bool {
		return !want(r) || !since.IsZero() && r.Time.Before(since)
	})
	if since.IsZero() || n > 0 {
		all = all[max(0, len(all)-n):]
	}
	return all
}
