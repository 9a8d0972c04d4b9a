package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/engine"
)

// tap is a bus that also tells the load generator how handshakes end.
type tap struct {
	*bus.Bus
	load    atomic.Pointer[load]
	resent  atomic.Uint64
	trouble atomic.Pointer[string]
	rekeys  atomic.Pointer[rekeys]
}

// Publish implements engine.Publisher.
func (t *tap) Publish(r event.Record) {
	t.Bus.Publish(r)
	if k := t.rekeys.Load(); k != nil {
		k.see(r)
	}
	switch e := r.Event.(type) {
	case event.ChildEstablished:
		t.ended(true, "")
	case event.IKEFailed:
		t.ended(false, fmt.Sprintf("%+v", e))
	case event.ChildFailed:
		t.ended(false, fmt.Sprintf("%+v", e))
	case event.Retransmitted:
		t.resent.Add(1)
	}
}

func (t *tap) ended(ok bool, why string) {
	if !ok {
		t.trouble.Store(&why)
	}
	if l := t.load.Load(); l != nil {
		l.ended(ok)
	}
}

// load keeps a number of handshakes in flight.
type load struct {
	engine *engine.Engine
	free   chan struct{} // a token for each handshake that may begin; never blocks who puts one back
	left   atomic.Int64  // to begin
	open   atomic.Int64  // to end
	failed atomic.Int64
	done   chan struct{}
}

// starters begin handshakes: each waits for its shard, so that several are needed to keep a pipeline full.
const starters = 16

// run performs n handshakes, inFlight of them at the same time, and returns how long it took.
func (t *tap) run(ctx context.Context, e *engine.Engine, n, inFlight int) (time.Duration, error) {
	l := &load{engine: e, free: make(chan struct{}, inFlight), done: make(chan struct{})}
	l.left.Store(int64(n))
	l.open.Store(int64(n))
	for range inFlight {
		l.free <- struct{}{}
	}
	t.load.Store(l)
	defer t.load.Store(nil)
	begin := time.Now()
	err := l.generate(ctx, min(starters, inFlight))
	took := time.Since(begin)
	if failed := l.failed.Load(); failed > 0 {
		err = errors.Join(err, fmt.Errorf("bench: %d of %d handshakes failed, the last: %s", failed, n, *t.trouble.Load()))
	}
	return took, err
}

func (l *load) generate(ctx context.Context, starters int) error {
	var running sync.WaitGroup
	errs := make([]error, starters)
	for i := range errs {
		running.Go(func() { errs[i] = l.start(ctx) })
	}
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("bench: %d handshakes have not ended: %w", l.open.Load(), ctx.Err())
	}
}

// start begins handshakes until all have begun.
func (l *load) start(ctx context.Context) error {
	for l.left.Add(-1) >= 0 {
		select {
		case <-l.free:
		case <-ctx.Done():
			return ctx.Err()
		}
		if _, err := l.engine.Initiate(ctx, connName, []string{childName}); err != nil {
			return err
		}
	}
	return nil
}

func (l *load) ended(ok bool) {
	if !ok {
		l.failed.Add(1)
	}
	select {
	case l.free <- struct{}{}:
	default: // somebody else's handshake
	}
	if l.open.Add(-1) == 0 {
		close(l.done)
	}
}
