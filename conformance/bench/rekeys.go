package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/ikev2"
	"github.com/parley-ike/parley/core/machine"
)

// byUs is what events of rekeying say when we began.
const byUs = "us"

// rekeys waits for the ends of rekeyings.
type rekeys struct {
	mu      sync.Mutex
	waiting map[event.UID]chan event.UID // by the IKE SA that carries the exchange; gets the one that carries the next, the zero value on failure
}

// see lets go who waits for what an event tells.
func (k *rekeys) see(r event.Record) {
	switch e := r.Event.(type) {
	case event.ChildRekeyed:
		if e.By == byUs {
			k.ended(r.Subject.IKE, r.Subject.IKE)
		}
	case event.IKERekeyed:
		if e.By == byUs {
			k.ended(e.Prev, r.Subject.IKE)
		}
	case event.ChildFailed:
		k.ended(r.Subject.IKE, event.UID{})
	}
}

func (k *rekeys) ended(carrier, next event.UID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if done := k.waiting[carrier]; done != nil {
		delete(k.waiting, carrier)
		done <- next
	}
}

func (k *rekeys) expect(carrier event.UID) <-chan event.UID {
	k.mu.Lock()
	defer k.mu.Unlock()
	done := make(chan event.UID, 1)
	k.waiting[carrier] = done
	return done
}

// rekey rekeys n times, inFlight at a time and each SA in its turn: their child SAs of a name, or without one the IKE SAs. It
// returns how long that took.
func (t *tap) rekey(ctx context.Context, e *engine.Engine, n, inFlight int, child string) (time.Duration, error) {
	all, err := e.SAs(ctx)
	all = slices.DeleteFunc(all, func(sa machine.Info) bool { return sa.State != ikev2.Established.String() }) // one that was replaced may still be there
	if err != nil || len(all) < inFlight {
		return 0, errors.Join(err, fmt.Errorf("bench: %d rekeyings at a time need as many IKE SAs; there are %d", inFlight, len(all)))
	}
	k := &rekeys{waiting: map[event.UID]chan event.UID{}}
	t.rekeys.Store(k)
	defer t.rekeys.Store(nil)
	var running sync.WaitGroup
	errs := make([]error, inFlight)
	begin := time.Now()
	for i := range errs {
		var mine []event.UID
		for j := i; j < len(all); j += inFlight {
			mine = append(mine, all[j].UID)
		}
		running.Go(func() { errs[i] = k.turns(ctx, e, mine, share(n, inFlight, i), child) })
	}
	running.Wait()
	return time.Since(begin), errors.Join(errs...)
}

// share is what the i-th of so many gets of n.
func share(n, of, i int) int { return (n + of - 1 - i) / of }

// turns rekeys n times, one SA after the other.
func (k *rekeys) turns(ctx context.Context, e *engine.Engine, sas []event.UID, n int, child string) (err error) {
	for i := range n {
		sa := &sas[i%len(sas)]
		if *sa, err = k.one(ctx, e, *sa, child); err != nil {
			return err
		}
	}
	return nil
}

// one rekeys once and returns the IKE SA that is there then.
func (k *rekeys) one(ctx context.Context, e *engine.Engine, sa event.UID, child string) (event.UID, error) {
	done := k.expect(sa)
	if reached, err := e.Rekey(ctx, engine.Selector{UID: sa}, child); err != nil || reached != 1 {
		return sa, errors.Join(err, fmt.Errorf("bench: the command to rekey reached %d SAs", reached))
	}
	select {
	case next := <-done:
		if next == (event.UID{}) {
			return sa, errors.New("bench: a rekeying failed")
		}
		return next, nil
	case <-ctx.Done():
		return sa, fmt.Errorf("bench: a rekeying has not ended: %w", ctx.Err())
	}
}
