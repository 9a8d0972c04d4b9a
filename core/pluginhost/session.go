package pluginhost

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/sdk/proto/link"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// sweepEvery is how late the slot of a call that got no answer may be freed.
const sweepEvery = 250 * time.Millisecond

// call is one request in flight.
type call struct {
	to    target
	code  basev1.Op
	body  []byte
	key   uint64
	by    time.Time
	start time.Time

	request machine.Request // whose call it is, when done is nil
	// done takes the answer of a call of our own, in the session's reader: it must not wait. Exactly one of the two is set.
	done func(*basev1.Frame, *machine.CallError)
}

// session is one run of a plugin: its carrier and the calls in flight.
type session struct {
	name    string // of the plugin
	window  int
	carrier link.Carrier
	sender  *link.Sender
	stats   *stats
	deliver func([]machine.Return)
	asked   func(*session, *basev1.Frame) // a request of the plugin
	over    chan struct{}                 // closed when no answer will come any more

	authenticator bool // whether the plugin may ask the credential stores

	mu       sync.Mutex
	pending  map[uint64]*call
	lastID   uint64
	dead     error // why, once the session is over
	sweeping bool
	serving  int // requests of the plugin that are being answered
}

func newSession(name string, window int, c link.Carrier) *session {
	return &session{
		name: name, window: window, carrier: c, sender: link.NewSender(c), stats: &stats{},
		pending: map[uint64]*call{}, over: make(chan struct{}),
	}
}

// run reads answers until the carrier ends; then every call in flight fails.
func (s *session) run() {
	go func() {
		if err := s.sender.Run(); err != nil {
			_ = s.carrier.Close() // the reader notices
		}
	}()
	var err error
	for err == nil {
		var batch *basev1.Batch
		if batch, err = s.carrier.Recv(); err == nil {
			s.receive(batch.GetFrames())
		}
	}
	s.fail(err)
}

// submit sends calls in their order. Those that cannot be sent are answered with an error, through refuse.
func (s *session) submit(calls []*call, refuse func(*call, *machine.CallError)) {
	frames := make([]*basev1.Frame, 0, len(calls))
	now := time.Now()
	s.mu.Lock()
	dead, room := s.dead, s.window-len(s.pending)
	accepted := calls
	if dead != nil {
		accepted = nil
	} else if room < len(calls) {
		accepted = calls[:max(0, room)]
	}
	for _, c := range accepted {
		s.lastID++
		c.start = now
		s.pending[s.lastID] = c
		frames = append(frames, frame(s.lastID, c, now))
	}
	var err error
	if len(frames) > 0 {
		s.sweepLater()
		if err = s.sender.Push(frames...); err != nil {
			for _, f := range frames {
				delete(s.pending, f.GetId())
			}
			accepted = nil
		}
	}
	s.mu.Unlock()
	s.stats.calls.Add(uint64(len(calls)))
	for _, c := range calls[len(accepted):] {
		s.stats.errors.Add(1)
		refuse(c, s.refusal(dead, err))
	}
}

func frame(id uint64, c *call, now time.Time) *basev1.Frame {
	return &basev1.Frame{
		Id: id, Op: uint32(c.code), Service: c.to.service, Key: c.key, Body: c.body,
		BudgetMs: uint32(min(max(1, c.by.Sub(now).Milliseconds()), int64(time.Hour/time.Millisecond))),
	}
}

func (s *session) refusal(dead, push error) *machine.CallError {
	switch {
	case dead != nil || errors.Is(push, link.ErrClosed):
		return failure(machine.Unavailable, "plugin %s is down", s.name)
	case errors.Is(push, link.ErrTooLarge):
		return failure(machine.Internal, "plugin %s: the request is too large: %v", s.name, push)
	case push != nil:
		return failure(machine.Overloaded, "plugin %s does not take its requests: %v", s.name, push)
	}
	return failure(machine.Overloaded, "plugin %s has %d calls in flight, its limit", s.name, s.window)
}

// receive completes the calls of a batch of replies.
func (s *session) receive(frames []*basev1.Frame) {
	var returns []machine.Return
	now := time.Now()
	for _, f := range frames {
		if !f.GetReply() {
			s.asked(s, f)
			continue
		}
		c := s.take(f.GetId())
		switch {
		case c == nil || now.After(c.by):
			s.stats.late.Add(1) // cancelled, too late, twice, or never asked
			clear(f.Body)
			if c != nil {
				s.unanswered(c)
			}
		case c.done != nil:
			s.completed(c, f.GetError() != nil, now)
			c.done(f, nil)
		default:
			reply := c.reply(s.name, f)
			s.completed(c, reply.Err != nil, now)
			returns = append(returns, machine.Return{Owner: c.request.Owner, Reply: reply})
		}
	}
	if len(returns) > 0 {
		s.deliver(returns)
	}
}

func (s *session) completed(c *call, failed bool, now time.Time) {
	s.stats.latency.add(now.Sub(c.start))
	if failed {
		s.stats.errors.Add(1)
	}
}

// reply decodes the answer to a machine's call. What is secret in the result lies in the message: who gets it wipes it.
func (c *call) reply(plugin string, f *basev1.Frame) machine.Reply {
	reply := machine.Reply{Ticket: c.request.Call.Ticket}
	if f.GetError() != nil {
		clear(f.Body)
		reply.Err = callError(plugin, f.GetError())
		return reply
	}
	result, err := decode(c.request.Call.Op, c.to.method, f.GetBody())
	if err != nil {
		clear(f.Body)
		reply.Err = failure(machine.Internal, "plugin %s gave an impossible answer: %v", plugin, err)
		return reply
	}
	reply.Result = result
	return reply
}

func (s *session) take(id uint64) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.pending[id]
	delete(s.pending, id)
	return c
}

// cancel forgets a machine's call and reports whether it was here.
func (s *session) cancel(owner machine.Owner, ticket machine.Ticket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, c := range s.pending {
		if c.done == nil && c.request.Owner == owner && c.request.Call.Ticket == ticket {
			delete(s.pending, id)
			return true
		}
	}
	return false
}

// fail ends the session: each call in flight is answered now, retryably.
func (s *session) fail(err error) {
	if errors.Is(err, io.EOF) {
		err = errors.New("closed its connection")
	}
	s.sender.Close()
	_ = s.carrier.Close()
	s.mu.Lock()
	calls := s.pending
	s.pending, s.dead = nil, err
	s.stats.lost.Store(int64(len(calls)))
	s.mu.Unlock()
	down := failure(machine.Unavailable, "plugin %s died while the call was in flight", s.name)
	returns := make([]machine.Return, 0, len(calls))
	for _, c := range calls {
		s.stats.errors.Add(1)
		if c.done != nil {
			c.done(nil, down)
			continue
		}
		returns = append(returns, c.failed(down))
	}
	if len(returns) > 0 {
		s.deliver(returns)
	}
	close(s.over)
}

func (c *call) failed(err *machine.CallError) machine.Return {
	return machine.Return{Owner: c.request.Owner, Reply: machine.Reply{Ticket: c.request.Call.Ticket, Err: err}}
}

// sweepLater arms the sweep while calls are pending; an idle plugin costs no timer. s.mu is held.
func (s *session) sweepLater() {
	if !s.sweeping {
		s.sweeping = true
		time.AfterFunc(sweepEvery, s.sweep)
	}
}

// sweep frees the slots of calls whose deadline has passed. Machines turn silence into a failure themselves.
func (s *session) sweep() {
	now := time.Now()
	var silent []*call
	s.mu.Lock()
	for id, c := range s.pending {
		if now.After(c.by) {
			delete(s.pending, id)
			silent = append(silent, c)
		}
	}
	s.sweeping = false
	if len(s.pending) > 0 {
		s.sweepLater()
	}
	s.mu.Unlock()
	for _, c := range silent {
		s.unanswered(c)
	}
}

// unanswered ends a call whose deadline has passed. Our own are told; machines find out themselves.
func (s *session) unanswered(c *call) {
	s.stats.unanswered.Add(1)
	s.stats.errors.Add(1)
	if c.done != nil {
		c.done(nil, failure(machine.Unavailable, "plugin %s did not answer in time", s.name))
	}
}

func (s *session) inFlight() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending)
}

// cause is why the session is over.
func (s *session) cause() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return clean(fmt.Sprint(s.dead))
}
