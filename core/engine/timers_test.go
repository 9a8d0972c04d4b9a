package engine

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The heap against a list that is searched each time.
func TestTimersExpireWhatIsDueAndNothingElse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var heap timers
		deadlines := map[*sa]time.Time{}
		var all []*sa
		now := epoch
		for range rapid.IntRange(1, 100).Draw(t, "operations") {
			switch rapid.IntRange(0, 3).Draw(t, "operation") {
			case 0:
				e := &sa{}
				all = append(all, e)
				set(&heap, deadlines, e, now.Add(drawDuration(t)))
			case 1:
				if len(all) > 0 {
					e := rapid.SampledFrom(all).Draw(t, "entry")
					var at time.Time
					if rapid.Bool().Draw(t, "some") {
						at = now.Add(drawDuration(t))
					}
					set(&heap, deadlines, e, at)
				}
			case 2:
				if len(all) > 0 {
					e := rapid.SampledFrom(all).Draw(t, "entry")
					heap.remove(e)
					e.deadline = 0
					delete(deadlines, e)
				}
			case 3:
				checkNext(t, &heap, deadlines)
				now = now.Add(drawDuration(t))
				checkExpired(t, &heap, deadlines, now)
			}
		}
	})
}

func drawDuration(t *rapid.T) time.Duration {
	return time.Duration(rapid.IntRange(0, 50).Draw(t, "duration")) * time.Second
}

func set(heap *timers, deadlines map[*sa]time.Time, e *sa, at time.Time) {
	heap.set(e, at)
	delete(deadlines, e)
	if !at.IsZero() {
		deadlines[e] = at
	}
}

// checkNext: the heap may wake us early, never late.
func checkNext(t *rapid.T, heap *timers, deadlines map[*sa]time.Time) {
	at, ok := heap.next()
	for _, d := range deadlines {
		if !ok || d.Before(at) {
			t.Fatalf("next is %s (%t), but something is due at %s", at, ok, d)
		}
	}
}

func checkExpired(t *rapid.T, heap *timers, deadlines map[*sa]time.Time, now time.Time) {
	var got []*sa
	for e := heap.expired(now); e != nil; e = heap.expired(now) {
		got = append(got, e)
		if d, ok := deadlines[e]; !ok || d.After(now) {
			t.Fatalf("expired at %s: %s", now, d)
		}
		delete(deadlines, e)
		e.deadline = 0
	}
	for e, d := range deadlines {
		if !d.After(now) && !slices.Contains(got, e) {
			t.Fatalf("not expired at %s: %s", now, d)
		}
	}
}

func TestADeadlineThatMovesAwayLeavesTheHeapAlone(t *testing.T) {
	t.Parallel()
	var heap timers
	e := &sa{}
	heap.set(e, epoch.Add(time.Second))
	heap.set(e, epoch.Add(time.Hour))
	if at, _ := heap.next(); !at.Equal(epoch.Add(time.Second)) {
		t.Errorf("next is %s", at)
	}
	if heap.expired(epoch.Add(time.Minute)) != nil {
		t.Error("expired early")
	}
	if at, _ := heap.next(); !at.Equal(epoch.Add(time.Hour)) {
		t.Errorf("afterwards next is %s", at)
	}
}
