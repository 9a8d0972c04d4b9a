package bus

import (
	"slices"
	"sync"
	"time"

	"github.com/parley-ike/parley/bus/event"
)

// Bus fans records out to subscriptions. It is safe for concurrent use. Create it with New.
type Bus struct {
	mu       sync.Mutex // orders records: numbering and handing out are one step
	sequence uint64
	subs     []*Subscription
	closed   bool
}

// New returns a bus without subscribers.
func New() *Bus { return &Bus{} }

// Publish stamps r with the next sequence number, and with the time if it has none, and hands it to the subscriptions
// that want it. After Close it does nothing.
func (b *Bus) Publish(r event.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.sequence++
	r.Sequence = b.sequence
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	for _, s := range b.subs {
		s.offer(r)
	}
}

// Subscribe adds a subscription. The name appears in gaps and statistics. A nil filter wants everything; a filter runs
// inside Publish and must be quick.
func (b *Bus) Subscribe(name string, o Overflow, filter func(event.Record) bool) *Subscription {
	s := &Subscription{bus: b, name: name, filter: filter, queue: o(name), wake: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		s.close()
		return s
	}
	b.subs = append(b.subs, s)
	return s
}

// Close ends all subscriptions; what they hold can still be read.
func (b *Bus) Close() {
	b.mu.Lock()
	subs := b.subs
	b.subs, b.closed = nil, true
	b.mu.Unlock()
	for _, s := range subs {
		s.close()
	}
}

func (b *Bus) remove(s *Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subs = slices.DeleteFunc(b.subs, func(other *Subscription) bool { return other == s })
}
