package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/parley-ike/parley/sdk"
)

// An asymmetric unit is fast only with many jobs at once: a batch is begun when it is full, or when its first job has waited long
// enough. A caller that waits for a job costs a goroutine and no processor.
const (
	batchSize = 64
	patience  = 200 * time.Microsecond
	backlog   = 1024 // jobs that wait; more are refused at once, so that the daemon does them elsewhere
	ring      = 4    // batches that the card has at once: it works on one while the next are gathered
)

// job is one asymmetric operation.
type job struct {
	ctx  context.Context
	run  func() error
	done chan error // has room for the answer, so that nobody waits for a caller that left
}

// engine is the driver: it gathers jobs into batches and gives them to the card. It ends with its process.
type engine struct {
	jobs     chan job
	unit     chan []job
	patience time.Duration
	batches  chan int // how large each was, for who wants to know; nil: nobody
}

func newEngine(batches chan int) *engine {
	e := &engine{make(chan job, backlog), make(chan []job, ring), patience, batches}
	go e.drive()
	go e.card()
	return e
}

// do waits until a job is done, or until nobody wants it any more: a job that has not begun is then left out.
func (e *engine) do(ctx context.Context, run func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := job{ctx, run, make(chan error, 1)}
	select {
	case e.jobs <- j:
	default:
		return fmt.Errorf("accelerator: %d jobs wait: %w", backlog, sdk.ErrOverloaded)
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drive hands batches over and does not wait for their answers; when the ring of the card is full, it waits, and jobs pile up.
func (e *engine) drive() {
	for first := range e.jobs {
		e.unit <- e.gather(first)
	}
}

// gather takes what comes until a batch is full or its first job has waited long enough.
func (e *engine) gather(first job) []job {
	batch := []job{first}
	late := time.NewTimer(e.patience)
	defer late.Stop()
	for len(batch) < batchSize {
		select {
		case j := <-e.jobs:
			batch = append(batch, j)
		case <-late.C:
			return batch
		}
	}
	return batch
}

// card is the simulated unit, the one place that a vendor replaces: it performs the jobs of a batch in an order of its own and answers
// each when it is done.
func (e *engine) card() {
	for batch := range e.unit {
		if e.batches != nil {
			e.batches <- len(batch)
		}
		for _, n := range rand.Perm(len(batch)) {
			j := batch[n]
			if err := j.ctx.Err(); err != nil {
				j.done <- err
				continue
			}
			j.done <- j.run()
		}
	}
}
