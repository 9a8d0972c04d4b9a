package main

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-ike/parley/sdk"
)

// An engine is fast only with many jobs at once: it begins when it has a full batch, or when the first job of one has waited long
// enough. A caller that waits for a job costs a goroutine and no processor.
const (
	batchSize = 64
	patience  = 200 * time.Microsecond
	backlog   = 1024 // jobs that wait; more are refused at once, so that the daemon does them elsewhere
)

// job is one asymmetric operation.
type job struct {
	ctx  context.Context
	run  func() error
	done chan error // has room for the answer, so that the engine never waits for a caller that left
}

// engine performs jobs in batches. It ends with its process.
type engine struct {
	jobs    chan job
	batches chan int // how large each was, for who wants to know; nil: nobody
}

func newEngine(batches chan int) *engine {
	e := &engine{make(chan job, backlog), batches}
	go e.work()
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

func (e *engine) work() {
	for first := range e.jobs {
		e.perform(e.gather(first))
	}
}

// gather takes what comes until a batch is full or its first job has waited long enough.
func (e *engine) gather(first job) []job {
	batch := []job{first}
	late := time.NewTimer(patience)
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

// perform is where a vendor hands the batch to the device, in one call, and takes its answers in any order.
func (e *engine) perform(batch []job) {
	for _, j := range batch {
		if err := j.ctx.Err(); err != nil {
			j.done <- err
			continue
		}
		j.done <- j.run()
	}
	if e.batches != nil {
		e.batches <- len(batch)
	}
}
