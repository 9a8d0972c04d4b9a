package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
)

const (
	defaultPort = 500 // RFC 7296 section 2
	// defaultStopTimeout is how long Stop waits for peers to confirm deletions: some transmissions.
	defaultStopTimeout = 5 * time.Second
)

// Config says what an engine works with. Protocol, NewSender, Caller and Publisher are needed.
type Config struct {
	Shards    int // 0: GOMAXPROCS
	Protocol  Protocol
	IKEv1     Protocol1     // nil: its messages are dropped
	NewSender func() Sender // called once for each shard
	Caller    Caller
	Publisher Publisher // the bus
	Limits    Limits
	Journal   *journal.Recorder // nil: nothing is recorded
	// Export takes over the keys of IKE SAs whose machines give them away. Called from all shards, it never waits. nil: they are wiped.
	Export func(machine.Keys)
	// LocalFor returns the address and port from which to reach a peer; needed to initiate connections that name no local
	// address. The transport has it.
	LocalFor func(remote netip.Addr) (netip.AddrPort, error)
	// Resolve finds the address of a peer that the configuration names by DNS; nil: such a connection cannot be initiated.
	Resolve     func(ctx context.Context, host string) (netip.Addr, error)
	Port        uint16           // our port when the connection names a local address; 0: 500
	RemotePort  uint16           // where peers are called; 0: 500
	StopTimeout time.Duration    // 0: 5 s
	Wall        func() time.Time // the clock that people see, which may jump; nil: time.Now
}

// Engine is a set of running shards. Its methods are safe for concurrent use.
type Engine struct {
	c        Config
	counters Counters
	runners  []*runner
	versions atomic.Pointer[versions]
	hash     maphash.Seed // of first messages to shards
	turn     atomic.Uint64
	start    time.Time

	stopping chan struct{} // closed: no new SAs
	quit     chan struct{} // closed: shards end
	once     sync.Once
	running  sync.WaitGroup
}

// runner is a shard with its goroutine.
type runner struct {
	shard *Shard
	inbox *inbox
	now   func() time.Time
	quit  <-chan struct{}
}

// Errors of commands.
var (
	ErrBusy    = errors.New("engine: too many commands are waiting; try again")
	ErrStopped = errors.New("engine: the daemon has stopped")
)

// New returns an engine that does nothing until Start.
func New(c Config) (*Engine, error) {
	if c.Protocol == nil || c.NewSender == nil || c.Caller == nil || c.Publisher == nil {
		return nil, errors.New("engine: Protocol, NewSender, Caller and Publisher are needed")
	}
	c.applyDefaults()
	e := &Engine{c: c, hash: maphash.MakeSeed(), start: time.Now(), stopping: make(chan struct{}), quit: make(chan struct{})}
	e.versions.Store(&versions{c.Protocol, c.IKEv1})
	gate, roster := NewGate(c.Limits, rand.Reader), NewRoster()
	for i := range c.Shards {
		shard := NewShard(ShardConfig{Index: i, Count: c.Shards, Rand: rand.Reader, Protocol: c.Protocol, IKEv1: c.IKEv1, Sender: c.NewSender(),
			Caller: c.Caller, Publisher: wallClock{c.Publisher, c.Wall}, Gate: gate, Counters: &e.counters, Journal: c.Journal,
			Elsewhere: e.elsewhere, Roster: roster, Export: c.Export, Reach: e.reach})
		e.runners = append(e.runners, &runner{shard: shard, inbox: newInbox(), now: e.now, quit: e.quit})
	}
	return e, nil
}

func (c *Config) applyDefaults() {
	if c.Shards <= 0 {
		c.Shards = runtime.GOMAXPROCS(0)
	}
	if c.Port == 0 {
		c.Port = defaultPort
	}
	if c.RemotePort == 0 {
		c.RemotePort = defaultPort
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = defaultStopTimeout
	}
	if c.Wall == nil {
		c.Wall = time.Now
	}
}

// Start starts the shards. It is called once.
func (e *Engine) Start() {
	for _, r := range e.runners {
		e.running.Go(r.run)
	}
}

// Counters returns the counters.
func (e *Engine) Counters() *Counters { return &e.counters }

// Deliver takes answers of plugins. It never waits and drops none.
func (e *Engine) Deliver(batch []machine.Return) {
	for _, r := range batch {
		e.of(uint64(r.Owner)).inbox.putReply(r)
	}
}

// Receive takes datagrams, whose Bytes belong to the engine from then on. It never waits; what a shard has no room for is
// counted and dropped.
func (e *Engine) Receive(batch []machine.Datagram) {
	for _, d := range batch {
		if r, first := e.route(d); !r.inbox.putDatagram(d, first) {
			e.counters.DroppedFull.Add(1)
		}
	}
}

// of returns the shard of a local SPI.
func (e *Engine) of(spi uint64) *runner { return e.runners[spi%uint64(len(e.runners))] }

// route returns the shard of a datagram, and whether it is a first message. Repetitions of a first message must meet in one
// shard; which one, nobody outside can tell.
func (e *Engine) route(d machine.Datagram) (*runner, bool) {
	h, err := wire.ParseHeader(d.Bytes)
	if err != nil {
		return e.runners[0], false
	}
	if h.Major == majorVersion1 { // see Protocol1
		return e.of(h.InitiatorSPI), isFirst(h)
	}
	if !isFirst(h) {
		return e.of(localSPI(h)), false
	}
	type place struct {
		from netip.AddrPort
		spi  uint64
	}
	return e.of(maphash.Comparable(e.hash, place{d.Remote, h.InitiatorSPI})), true
}

// elsewhere has the shard of an SPI do something. Answers to an SA that it is given can only come after.
func (e *Engine) elsewhere(o machine.Owner, give func(*Shard, time.Time)) {
	e.of(uint64(o)).inbox.putCommand(give, true)
}

// run is the loop of a shard.
func (r *runner) run() {
	var w work
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for !r.over() {
		r.inbox.take(&w)
		if w.empty() && !r.sleep(timer) {
			return
		}
		r.loop(&w)
	}
}

// over reports whether the shard is to end, however much is waiting.
func (r *runner) over() bool {
	select {
	case <-r.quit:
		return true
	default:
		return false
	}
}

// loop performs one batch.
func (r *runner) loop(w *work) {
	now := r.now()
	for _, reply := range w.replies {
		r.shard.Return(now, reply)
	}
	r.shard.Tick(now)
	for _, c := range w.commands {
		c(r.shard, now)
	}
	for _, d := range w.datagrams {
		r.shard.Receive(now, d)
	}
	r.shard.Flush(now)
	w.reset()
}

// sleep waits for something to arrive or for the next deadline; false means the end.
func (r *runner) sleep(timer *time.Timer) bool {
	wait := time.Hour
	if at := r.shard.Deadline(); !at.IsZero() {
		wait = at.Sub(r.now())
	}
	timer.Reset(wait)
	select {
	case <-r.inbox.wake:
	case <-timer.C:
	case <-r.quit:
		return false
	}
	return true
}

// Stop refuses new SAs, deletes those there are, waits until they are gone, ctx is done or the stop timeout has passed,
// and ends the shards. The error says how many peers were left without a confirmed deletion; they will find out by their
// own liveness checks.
func (e *Engine) Stop(ctx context.Context) error {
	var left int
	e.once.Do(func() {
		close(e.stopping)
		ctx, cancel := context.WithTimeout(ctx, e.c.StopTimeout)
		defer cancel()
		left = e.drain(ctx)
		close(e.quit)
	})
	e.running.Wait()
	if left > 0 {
		return fmt.Errorf("engine: %d IKE SAs were not deleted in order before the time was up; their peers will notice by liveness checks", left)
	}
	return nil
}

const (
	// drainPause is how often Stop looks whether the SAs are gone.
	drainPause = 10 * time.Millisecond
	// drainCount is how long shards have to say what is left when the time is up. They answer between two loops.
	drainCount = time.Second
)

const stopReason = "the daemon is stopping"

// drain terminates all SAs and returns how many are left.
func (e *Engine) drain(ctx context.Context) int {
	left := e.each(ctx, func(s *Shard, now time.Time) int {
		s.Refuse()
		return s.Command(now, Selector{All: true}, machine.Terminate{Reason: stopReason})
	})
	live := func(s *Shard, _ time.Time) int { return s.live() }
	for left > 0 && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(drainPause):
		}
		left = e.each(ctx, live)
	}
	if ctx.Err() == nil {
		return 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainCount)
	defer cancel()
	return e.each(ctx, live)
}
