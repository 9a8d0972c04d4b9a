package mirror

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
)

// Pace of the writer.
const (
	RingSize       = 1 << 16               // records that wait for the writer: two seconds of 4000 handshakes a second
	CommitInterval = 10 * time.Millisecond // between commits, so that one fsync serves many events
	batchSize      = 1024                  // a commit that is this large does not wait
	retryInterval  = 500 * time.Millisecond
)

// ringName is what gaps call the mirror's subscription.
const ringName = "mirror"

// writer moves records from the bus to the outbox. It is the only code between the two, and owns no lock.
type writer struct {
	sub      *bus.Subscription
	render   *renderer
	box      *outbox
	outage   *outage
	stopping <-chan struct{}
	refused  atomic.Uint64 // events that could not be rendered

	offered   atomic.Uint64 // by the bus
	committed atomic.Uint64 // of those
}

// subscribe uses the filter to count: what the writer has in hand is in no queue.
func (w *writer) subscribe(b *bus.Bus, ring int) {
	w.sub = b.Subscribe(ringName, bus.DropOldest(ring), func(event.Record) bool {
		w.offered.Add(1)
		return true
	})
}

// waiting returns how many records are on their way to the outbox, and how many were lost before it.
func (w *writer) waiting() (waiting, dropped uint64) {
	committed := w.committed.Load() // first, so that the difference is never negative
	_, dropped = w.sub.Stats()
	return w.offered.Load() - committed - dropped, dropped
}

// run ends when the subscription does, after committing all of it, or with ctx.
func (w *writer) run(ctx context.Context) {
	batch := make([]event.Record, batchSize)
	var frames []byte
	for {
		n, err := w.sub.NextBatch(ctx, batch)
		if err != nil {
			return
		}
		own := uint64(n) - gaps(batch[:n])
		frames = w.frames(frames[:0], batch[:n])
		clear(batch[:n])
		if !w.commit(ctx, frames, n) {
			return
		}
		w.committed.Add(own)
		if n < len(batch) {
			w.pause(ctx, CommitInterval)
		}
	}
}

// gaps counts the records that our own ring put in: the bus did not offer them.
func gaps(batch []event.Record) (n uint64) {
	for _, r := range batch {
		if g, ok := r.Event.(event.StreamGap); ok && g.Subscriber == ringName {
			n++
		}
	}
	return n
}

func (w *writer) frames(dst []byte, batch []event.Record) []byte {
	for _, r := range batch {
		longer, err := w.render.appendFrame(dst, r)
		if err != nil {
			w.refused.Add(1)
			r.Event = event.StreamGap{Subscriber: ringName, First: r.Sequence, Last: r.Sequence, Count: 1}
			longer, _ = w.render.appendFrame(dst, r)
		}
		dst = longer
	}
	return dst
}

// advise adds how to mend a full disk, the one failure of the outbox that is not its own.
func advise(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: free space there, or put state_dir on a larger file system; meanwhile the oldest events are lost", err)
	}
	return err
}

// commit tries until it succeeds. Meanwhile the ring fills, and tells of what it had to drop.
func (w *writer) commit(ctx context.Context, frames []byte, n int) bool {
	for {
		err := w.box.append(frames, n)
		if err == nil {
			w.outage.end()
			return true
		}
		w.outage.begin(advise(err))
		select {
		case <-ctx.Done():
			return false
		case <-time.After(retryInterval):
		}
	}
}

func (w *writer) pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-w.stopping:
	case <-time.After(d):
	}
}
