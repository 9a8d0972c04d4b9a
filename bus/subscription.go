package bus

import (
	"context"
	"errors"
	"sync"

	"github.com/parley-ike/parley/bus/event"
)

// ErrClosed is returned when a subscription has ended and everything in it was read.
var ErrClosed = errors.New("bus: subscription closed")

// Subscription is one subscriber's queue. Reading is for one goroutine at a time.
type Subscription struct {
	bus    *Bus
	name   string
	filter func(event.Record) bool
	wake   chan struct{} // holds one token while there may be something to read

	mu     sync.Mutex
	queue  queue
	closed bool
}

// Next returns the next record, waiting for one if need be.
func (s *Subscription) Next(ctx context.Context) (event.Record, error) {
	var one [1]event.Record
	_, err := s.NextBatch(ctx, one[:])
	return one[0], err
}

// NextBatch fills buf with what has arrived, at least one record, and returns how many.
func (s *Subscription) NextBatch(ctx context.Context, buf []event.Record) (int, error) {
	for {
		if n, closed := s.take(buf); n > 0 {
			return n, nil
		} else if closed {
			return 0, ErrClosed
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// TryNext returns the next record if one is there.
func (s *Subscription) TryNext() (event.Record, bool) {
	var one [1]event.Record
	n, _ := s.take(one[:])
	return one[0], n == 1
}

// Stats returns how many records wait and how many were lost since the start.
func (s *Subscription) Stats() (depth int, dropped uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.len(), s.queue.lost()
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.bus.remove(s)
	s.close()
}

func (s *Subscription) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.signal()
}

func (s *Subscription) offer(r event.Record) {
	if s.filter != nil && !s.filter(r) {
		return
	}
	s.mu.Lock()
	if !s.closed {
		s.queue.push(r)
	}
	s.mu.Unlock()
	s.signal()
}

func (s *Subscription) take(buf []event.Record) (n int, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n < len(buf) && s.queue.len() > 0 {
		buf[n] = s.queue.pop()
		n++
	}
	return n, s.closed
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
