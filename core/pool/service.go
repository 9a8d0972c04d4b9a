package pool

import (
	"slices"
	"sync"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// storePause is the least time between two attempts to make a file anew that could not be written.
const storePause = 10 * time.Second

// Config says what a service works with. Deliver is needed.
type Config struct {
	Pools   []policy.Pool
	Path    string                       // of the file that remembers the leases; "": none
	Deliver func([]machine.Return)       // takes the answers
	Stored  func(path string, err error) // told when leases cannot be stored, and with nil when they can again; nil: nobody is
	Now     func() time.Time             // nil: time.Now
}

// Service performs Lease and Release for the protocol machines. Its methods are safe for concurrent use.
type Service struct {
	c       Config
	damage  *Damage
	mu      sync.Mutex // of what follows, up to the queue
	pools   *Allocator
	store   *store
	failed  time.Time // when the file could last not be written; zero: it is complete
	queueMu sync.Mutex
	queue   []machine.Request // an SA has one call here at a time, so that the number of SAs bounds it
	closed  bool
	wake    chan struct{}
	done    chan struct{}
}

// Open returns a running service with the leases that the file remembers. What of it could not be read is told by Damage.
func Open(c Config) (*Service, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Service{c: c, pools: NewAllocator(c.Pools), wake: make(chan struct{}, 1), done: make(chan struct{})}
	if c.Path != "" {
		st, records, damage, err := openStore(c.Path, c.Now())
		if err != nil {
			return nil, err
		}
		s.store, s.damage = st, damage
		s.pools.Restore(records, c.Now())
	}
	go s.run()
	return s, nil
}

// Damage returns what could not be read of the file when the service was opened, nil when all could.
func (s *Service) Damage() *Damage { return s.damage }

// Performs reports whether an operation is one of the service.
func Performs(op machine.Op) bool {
	switch op.(type) {
	case machine.Lease, machine.Release:
		return true
	}
	return false
}

// Submit takes requests for Lease and Release; they are performed in order. It does not wait, nor keep the slice.
func (s *Service) Submit(batch []machine.Request) {
	s.queueMu.Lock()
	defer s.queueMu.Unlock()
	s.queue = append(s.queue, batch...)
	s.wakeUp()
}

// Cancel forgets a request that is not performed yet.
func (s *Service) Cancel(o machine.Owner, t machine.Ticket) {
	s.queueMu.Lock()
	defer s.queueMu.Unlock()
	s.queue = slices.DeleteFunc(s.queue, func(r machine.Request) bool { return r.Owner == o && r.Call.Ticket == t })
}

func (s *Service) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close performs what is queued and closes the file.
func (s *Service) Close() {
	s.queueMu.Lock()
	s.closed = true
	s.wakeUp()
	s.queueMu.Unlock()
	<-s.done
	if s.store != nil {
		s.store.close()
	}
}

func (s *Service) run() {
	defer close(s.done)
	for {
		batch, more := s.take()
		if len(batch) > 0 {
			s.c.Deliver(s.perform(batch))
		}
		if !more {
			return
		}
		<-s.wake
	}
}

// take returns what is queued, and whether more may come.
func (s *Service) take() (batch []machine.Request, more bool) {
	s.queueMu.Lock()
	defer s.queueMu.Unlock()
	batch, s.queue = s.queue, nil
	return batch, !s.closed
}

// perform does a batch and stores it in one go, before anybody is told of it.
func (s *Service) perform(batch []machine.Request) []machine.Return {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.c.Now()
	var returns []machine.Return
	for _, r := range batch {
		reply := machine.Reply{Ticket: r.Call.Ticket}
		reply.Result, reply.Err = s.do(now, r.Call.Op)
		returns = append(returns, machine.Return{Owner: r.Owner, Reply: reply})
	}
	s.save(now)
	return returns
}

func (s *Service) do(now time.Time, op machine.Op) (machine.Result, *machine.CallError) {
	switch op := op.(type) {
	case machine.Lease:
		if l, err := s.pools.Lease(now, op); err == nil {
			return l, nil
		} else {
			return nil, err
		}
	case machine.Release:
		s.pools.Release(now, op.Holder)
		return machine.Released{}, nil
	}
	return nil, &machine.CallError{Kind: machine.Unsupported, Text: "pool: this is no matter of address pools"}
}

// save stores what changed. New leases are on the disk when it returns; that one was given back is not worth the wait,
// because after a crash all are.
func (s *Service) save(now time.Time) {
	changes := latest(s.pools.Changes())
	failing := !s.failed.IsZero()
	if s.store == nil || len(changes) == 0 && !failing || failing && now.Before(s.failed.Add(storePause)) {
		return
	}
	var err error
	if !failing && !s.store.outgrown(s.pools.Len()) {
		err = s.store.append(changes, slices.ContainsFunc(changes, func(r Record) bool { return r.Released == nil && !r.Gone }))
	} else {
		err = s.store.rewrite(s.pools.Records())
	}
	s.noteStored(now, err)
}

// noteStored tells when storing begins to fail, and when it works again.
func (s *Service) noteStored(now time.Time, err error) {
	was := !s.failed.IsZero()
	if s.failed = (time.Time{}); err != nil {
		s.failed = now
	}
	if s.c.Stored != nil && was != (err != nil) {
		s.c.Stored(s.c.Path, err)
	}
}

// SetPools puts other pools in force; see Allocator.SetPools.
func (s *Service) SetPools(pools []policy.Pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools.SetPools(pools)
	s.save(s.c.Now())
}

// Retain finds what is left when an SA could not release its lease; see Allocator.Retain.
func (s *Service) Retain(alive map[event.UID]bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.pools.Retain(s.c.Now(), alive)
	s.save(s.c.Now())
	return n
}

// Stats describes all pools, in the order of the configuration.
func (s *Service) Stats() []Stat {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools.Expire(s.c.Now())
	s.save(s.c.Now())
	return s.pools.Stats()
}
