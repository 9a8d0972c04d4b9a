package link

import (
	"fmt"
	"runtime"
	"sync"

	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// Sender queues frames for a carrier and sends them in batches: whatever has gathered while the last batch was written
// leaves as the next. Push and Queue are safe for concurrent use and never wait.
//
// The sender owns a frame once it is given and wipes its body when it is sent.
type Sender struct {
	carrier Carrier
	wake    chan struct{} // one token: the queue is no longer empty, or the sender is closed

	mu      sync.Mutex
	queue   []*basev1.Frame
	spare   []*basev1.Frame // empty; the memory of the last batch
	bytes   int             // that the frames in queue cost
	sending bool            // somebody empties the queue
	closed  bool
}

// NewSender returns a sender; nothing leaves before Run or Flush.
func NewSender(c Carrier) *Sender { return &Sender{carrier: c, wake: make(chan struct{}, 1)} }

// Push queues frames in order, for Run. It fails with ErrClosed, ErrTooLarge or ErrBacklog, and then queues none of them.
func (s *Sender) Push(frames ...*basev1.Frame) error {
	if err := s.Queue(frames...); err != nil {
		return err
	}
	s.signal()
	return nil
}

// Queue is Push for callers of Flush: it wakes nobody.
func (s *Sender) Queue(frames ...*basev1.Frame) error {
	size := 0
	for _, f := range frames {
		if len(f.GetBody()) > MaxBody {
			return fmt.Errorf("%w: body of %d octets, limit %d", ErrTooLarge, len(f.GetBody()), MaxBody)
		}
		size += cost(f)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.bytes > 0 && s.bytes+size > MaxBacklog:
		return fmt.Errorf("%w: %d octets wait", ErrBacklog, s.bytes)
	}
	s.queue, s.bytes = append(s.queue, frames...), s.bytes+size
	return nil
}

// frameCost is what a frame without a body costs. Refusals have none: without it, a plugin that asks for what it is refused
// and reads no answer would fill the daemon's memory.
const frameCost = 256

func cost(f *basev1.Frame) int { return frameCost + len(f.GetBody()) + len(f.GetError().GetText()) }

func (s *Sender) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close lets Run end; frames that still wait are dropped.
func (s *Sender) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.signal()
}

// Run sends what was pushed until Close, then returns nil, or until the carrier fails.
func (s *Sender) Run() error {
	defer s.Close()
	for range s.wake {
		// Let the goroutines that are about to push do it first: without this yield, batches stay at one frame.
		runtime.Gosched()
		if err := s.Flush(); err != nil {
			return err
		}
		if s.isClosed() {
			return nil
		}
	}
	return nil
}

// Flush sends what is queued, in the calling goroutine, which may have to wait for the carrier. When another one is sending, it
// takes that, too, and Flush returns at once.
func (s *Sender) Flush() error {
	for taken := s.begin(); taken != nil; taken = s.next(taken) {
		if err := s.send(taken); err != nil {
			return err // nobody sends again: sending stays set
		}
		clear(taken)
	}
	return nil
}

// begin takes the queue, unless another goroutine sends already.
func (s *Sender) begin() []*basev1.Frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending {
		return nil
	}
	s.sending = true
	return s.take()
}

// next takes what has gathered meanwhile, and leaves the memory of what was sent.
func (s *Sender) next(sent []*basev1.Frame) []*basev1.Frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spare = sent[:0]
	return s.take()
}

// take takes the queue; nil, and nobody sends any more, when it is empty. s.mu is held.
func (s *Sender) take() []*basev1.Frame {
	if len(s.queue) == 0 || s.closed {
		s.sending = false
		return nil
	}
	taken := s.queue
	s.queue, s.spare, s.bytes = s.spare, nil, 0
	return taken
}

func (s *Sender) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *Sender) send(frames []*basev1.Frame) error {
	for len(frames) > 0 {
		n := batchLen(frames)
		if err := s.carrier.Send(&basev1.Batch{Frames: frames[:n:n]}); err != nil {
			return err
		}
		for _, f := range frames[:n] {
			clear(f.Body)
		}
		frames = frames[n:]
	}
	return nil
}

// batchLen counts the frames of the next batch, at least one.
func batchLen(frames []*basev1.Frame) int {
	size := 0
	for i, f := range frames {
		if size += len(f.GetBody()); i > 0 && (i == MaxBatchFrames || size > MaxBatchBytes) {
			return i
		}
	}
	return len(frames)
}
