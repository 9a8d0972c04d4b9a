package sim

import (
	"container/heap"
	"time"
)

// clock is a queue of things to happen. Those of one instant happen in the order in which they were asked for.
type clock struct {
	now   time.Time
	queue happenings
	asked uint64
}

type happening struct {
	at    time.Time
	order uint64
	do    func()
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

// in lets do happen after d.
func (c *clock) in(d time.Duration, do func()) { c.at(c.now.Add(d), do) }

func (c *clock) at(t time.Time, do func()) {
	c.asked++
	heap.Push(&c.queue, happening{t, c.asked, do})
}

// runUntil lets everything happen that is due by t.
func (c *clock) runUntil(t time.Time) {
	for len(c.queue) > 0 && !c.queue[0].at.After(t) {
		next := heap.Pop(&c.queue).(happening)
		if next.at.After(c.now) {
			c.now = next.at
		}
		next.do()
	}
	c.now = t
}

type happenings []happening

func (h happenings) Len() int { return len(h) }
func (h happenings) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].order < h[j].order
	}
	return h[i].at.Before(h[j].at)
}
func (h happenings) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *happenings) Push(x any)   { *h = append(*h, x.(happening)) }
func (h *happenings) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
