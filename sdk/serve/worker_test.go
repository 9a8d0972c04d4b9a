package serve

import (
	"sync"
	"sync/atomic"
	"testing"

	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

func TestOperationsThatWaitHoldUpNoOther(t *testing.T) {
	t.Parallel()
	const waiting = 3 * maxIdle
	var arrived sync.WaitGroup
	arrived.Add(waiting + 1)
	release := make(chan struct{})
	w := &workers{perform: func(*basev1.Frame) { arrived.Done(); <-release }}
	defer w.end()
	for range waiting + 1 { // each waits until the last one runs
		w.do(&basev1.Frame{})
	}
	arrived.Wait()
	close(release)
}

func TestEveryRequestIsPerformedOnce(t *testing.T) {
	t.Parallel()
	const givers, each = 8, 5000
	var done sync.WaitGroup
	done.Add(givers * each)
	performed := make([]atomic.Uint32, givers*each)
	w := &workers{perform: func(f *basev1.Frame) { performed[f.GetId()].Add(1); done.Done() }}
	for g := range givers {
		go func() {
			for i := range each {
				w.do(&basev1.Frame{Id: uint64(g*each + i)})
			}
		}()
	}
	done.Wait()
	w.end()
	for id := range performed {
		if n := performed[id].Load(); n != 1 {
			t.Fatalf("request %d was performed %d times", id, n)
		}
	}
}

func TestARequestThatIsGivenDuringAnotherIsPerformed(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	w := &workers{}
	w.perform = func(f *basev1.Frame) {
		if f.GetId() == 10_000 {
			close(done)
			return
		}
		w.do(&basev1.Frame{Id: f.GetId() + 1})
	}
	defer w.end()
	w.do(&basev1.Frame{})
	<-done
}

func TestAQueueThatIsNeverEmptyDoesNotGrow(t *testing.T) {
	t.Parallel()
	w := &workers{waking: true} // nobody comes by itself
	me := make(chan struct{}, 1)
	for range 3 {
		w.do(&basev1.Frame{})
	}
	for range 10_000 {
		w.do(&basev1.Frame{})
		if f, _ := w.next(me); f == nil {
			t.Fatal("a request is missing")
		}
	}
	if cap(w.queue) > 64 {
		t.Errorf("a queue of 3 has room for %d", cap(w.queue))
	}
}

func TestWorkersEndWhenTheyAreDone(t *testing.T) {
	t.Parallel()
	w := &workers{perform: func(*basev1.Frame) {}}
	me := make(chan struct{}, 1)
	if _, stay := w.next(me); !stay {
		t.Error("an idle worker did not stay")
	}
	w.end()
	if _, more := <-me; more {
		t.Error("an idle worker was woken instead of ended")
	}
	if _, stay := w.next(me); stay {
		t.Error("a worker stays after the end")
	}
}
