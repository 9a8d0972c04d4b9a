package engine

import "time"

// timers is a binary heap of the SAs that have a deadline. It is lazy: a deadline that moves further away, which is what
// every message of a live SA does, leaves the heap alone; the old instant comes, is found to be early, and the entry is
// put where it belongs.
type timers struct{ heap []*sa }

// set tells the deadline of e, the zero time for none.
func (t *timers) set(e *sa, deadline time.Time) {
	e.deadline = 0
	if deadline.IsZero() {
		return // an entry in the heap is found to be without deadline when its time comes
	}
	e.deadline = deadline.UnixNano()
	switch {
	case e.place == 0:
		e.due = e.deadline
		t.heap = append(t.heap, e)
		e.place = len(t.heap)
		t.up(e.place)
	case e.deadline < e.due:
		e.due = e.deadline
		t.up(e.place)
	}
}

// next returns the instant at which due must be called, false for never. It may be early.
func (t *timers) next() (time.Time, bool) {
	if len(t.heap) == 0 {
		return time.Time{}, false
	}
	return time.Unix(0, t.heap[0].due).UTC(), true
}

// expired removes and returns an SA whose deadline is not after now, nil when there is none.
func (t *timers) expired(now time.Time) *sa {
	at := now.UnixNano()
	for len(t.heap) > 0 && t.heap[0].due <= at {
		e := t.heap[0]
		switch {
		case e.deadline != 0 && e.deadline <= at:
			t.remove(e)
			return e
		case e.deadline == 0:
			t.remove(e)
		default:
			e.due = e.deadline
			t.down(1)
		}
	}
	return nil
}

// remove takes e out of the heap, if it is in it.
func (t *timers) remove(e *sa) {
	i := e.place
	if i == 0 {
		return
	}
	last := len(t.heap)
	t.swap(i, last)
	t.heap[last-1] = nil
	t.heap = t.heap[:last-1]
	e.place = 0
	if i < last {
		t.down(i)
		t.up(i)
	}
}

// Places count from 1, so that the zero value of an SA says "not in the heap".

func (t *timers) less(i, j int) bool { return t.heap[i-1].due < t.heap[j-1].due }

func (t *timers) swap(i, j int) {
	h := t.heap
	h[i-1], h[j-1] = h[j-1], h[i-1]
	h[i-1].place, h[j-1].place = i, j
}

func (t *timers) up(i int) {
	for i > 1 && t.less(i, i/2) {
		t.swap(i, i/2)
		i /= 2
	}
}

func (t *timers) down(i int) {
	for {
		least := i
		for _, c := range [2]int{2 * i, 2*i + 1} {
			if c <= len(t.heap) && t.less(c, least) {
				least = c
			}
		}
		if least == i {
			return
		}
		t.swap(i, least)
		i = least
	}
}
