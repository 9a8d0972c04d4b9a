package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// Host runs the plugins of a catalogue. It is safe for concurrent use.
type Host struct {
	cfg         Config
	log         *zap.Logger
	images      images
	supervisors []*supervisor // in the order of the catalogue
	routes      atomic.Pointer[routes]

	mu         sync.Mutex
	settled    bool // every plugin had its first attempt: routes are sticky from now on
	backend    string
	backendWhy string
	onReady    []func(kind, name string, restarted bool)
	stopping   context.CancelFunc
	remove     bool // what Stop asked
}

// New checks the catalogue and makes the runtime folders; nothing is started.
func New(cfg Config) (*Host, error) {
	cfg.setDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	h := &Host{cfg: cfg, log: cfg.Log.Named("pluginhost"), backend: cfg.DefaultBackend}
	for _, dir := range []string{cfg.RuntimeDir, h.socketDir(), filepath.Join(cfg.RuntimeDir, "plugins")} {
		if err := os.MkdirAll(dir, 0o711); err != nil { // those of other users pass through
			return nil, fmt.Errorf("pluginhost: runtime folder: %w; make %s writable for the daemon", err, cfg.RuntimeDir)
		}
	}
	for i := range cfg.Entries {
		h.supervisors = append(h.supervisors, newSupervisor(h, &h.cfg.Entries[i]))
	}
	h.routes.Store(&routes{})
	return h, nil
}

// OnReady adds a function that is called, in a goroutine of its own, for each service of a plugin that is ready for
// calls; restarted says that it was so before. The daemon reconciles an SA backend then. Call it before Start.
func (h *Host) OnReady(f func(kind, name string, restarted bool)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.onReady = append(h.onReady, f)
}

// SetDefaultBackend names the SA backend of calls that name none, and why. When none can be used the name is empty, and
// those calls fail with the reason.
func (h *Host) SetDefaultBackend(name, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.backend, h.backendWhy = name, why
}

func (h *Host) defaultBackend() (name, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.backend, h.backendWhy
}

// Start starts all plugins at the same time and returns when each had its first attempt, or ctx ends. The error joins
// what went wrong; a plugin that failed is tried again nevertheless, until Stop.
func (h *Host) Start(ctx context.Context) error {
	running, cancel := context.WithCancel(context.Background())
	h.mu.Lock()
	h.stopping = cancel
	h.mu.Unlock()
	for _, s := range h.supervisors {
		go s.loop(running)
	}
	var problems []error
	for _, s := range h.supervisors {
		select {
		case <-s.tried:
			problems = append(problems, s.firstError)
		case <-ctx.Done():
			problems = append(problems, fmt.Errorf("pluginhost: plugin %q: still starting: %w", s.entry.Name, ctx.Err()))
		}
	}
	h.settle()
	return errors.Join(problems...)
}

func (h *Host) settle() {
	h.mu.Lock()
	h.settled = true
	h.mu.Unlock()
	h.reroute()
}

// Stop ends all plugins in order: each is told to drain, then to end, and is killed when it does not. With remove,
// nothing that they installed is to stay. It returns when all are gone, or with ctx's error.
func (h *Host) Stop(ctx context.Context, remove bool) error {
	h.mu.Lock()
	stopping := h.stopping
	h.remove = remove
	h.mu.Unlock()
	if stopping == nil {
		return nil
	}
	stopping()
	for _, s := range h.supervisors {
		select {
		case <-s.ended:
		case <-ctx.Done():
			return fmt.Errorf("pluginhost: plugin %q has not ended: %w", s.entry.Name, ctx.Err())
		}
	}
	h.images.close()
	return nil
}

// Submit sends requests to their plugins, those for one plugin in their order. It never waits and never calls the sink
// itself.
func (h *Host) Submit(requests []machine.Request) {
	var groups []group
	var refused []machine.Return
	refuse := func(c *call, err *machine.CallError) { refused = append(refused, c.failed(err)) }
	now := time.Now()
	for _, r := range requests {
		if a, ok := r.Call.Op.(machine.Authenticate); ok && h.submitSplit(r, a, now) {
			continue
		}
		if h.submitToStores(r, now) {
			continue
		}
		c, err := h.newCall(r, now)
		if err != nil {
			refuse(c, err)
			continue
		}
		s, err := c.to.session()
		if err != nil {
			refuse(c, err)
			continue
		}
		groups = add(groups, s, c)
	}
	for _, g := range groups {
		g.session.submit(g.calls, refuse)
	}
	if len(refused) > 0 {
		go h.cfg.Sink(refused)
	}
}

// group is what goes to one plugin.
type group struct {
	session *session
	calls   []*call
}

func add(groups []group, s *session, c *call) []group {
	for i := range groups {
		if groups[i].session == s {
			groups[i].calls = append(groups[i].calls, c)
			return groups
		}
	}
	return append(groups, group{s, []*call{c}})
}

// newCall translates a machine's request; the call is usable for a refusal even when there is an error.
func (h *Host) newCall(r machine.Request, now time.Time) (*call, *machine.CallError) {
	c := &call{request: r, key: r.Call.Key, by: r.Call.By}
	where, code, message := encode(r.Call.Op, h.cfg.Owner)
	if message == nil {
		return c, failure(machine.Internal, "no plugin kind knows the operation %T", r.Call.Op)
	}
	to, callErr := h.route(where)
	if callErr != nil {
		return c, callErr
	}
	return c, c.fill(to, code, message, now, h.cfg.CallTimeout)
}

func (c *call) fill(to target, code basev1.Op, m message, now time.Time, timeout time.Duration) *machine.CallError {
	c.to, c.code, c.body = to, code, marshal(m)
	if c.by.IsZero() {
		c.by = now.Add(timeout)
	}
	if !now.Before(c.by) {
		return failure(machine.Unavailable, "the deadline of the call to plugin %s had passed before it was made", to.supervisor.entry.Name)
	}
	return nil
}

// submitSplit performs a fused authentication whose two halves are different plugins' business: the proof is checked
// first, and only when it is good, ours is made.
func (h *Host) submitSplit(r machine.Request, a machine.Authenticate, now time.Time) bool {
	if a.Verify.Auth == a.Sign.Auth {
		return false
	}
	verifier, err := h.route(service{kind: "auth", name: a.Verify.Auth})
	signer, err2 := h.route(service{kind: "auth", name: a.Sign.Auth})
	if err != nil || err2 != nil || (verifier.supervisor == signer.supervisor && verifier.service == signer.service) {
		return false
	}
	reply := func(result machine.Result, err *machine.CallError) {
		go h.cfg.Sink([]machine.Return{{Owner: r.Owner, Reply: machine.Reply{Ticket: r.Call.Ticket, Result: result, Err: err}}})
	}
	by := r.Call.By
	if by.IsZero() {
		by = now.Add(h.cfg.CallTimeout)
	}
	h.ask(verifier, a.Verify, by, func(v machine.Result, err *machine.CallError) {
		if err != nil {
			reply(nil, err)
			return
		}
		h.ask(signer, a.Sign, by, func(s machine.Result, err *machine.CallError) {
			if err != nil {
				reply(nil, err)
				return
			}
			reply(machine.Authenticated{Verified: v.(machine.Verified), Signed: s.(machine.Signed)}, nil)
		})
	})
	return true
}

// ask performs one operation for ourselves; then runs in a reader and must not wait.
func (h *Host) ask(to target, op machine.Op, by time.Time, then func(machine.Result, *machine.CallError)) {
	_, code, message := encode(op, h.cfg.Owner)
	h.send(to, code, message, by, func(f *basev1.Frame, err *machine.CallError) {
		if err != nil {
			then(nil, err)
			return
		}
		c := call{to: to, request: machine.Request{Call: machine.Call{Op: op}}}
		reply := c.reply(to.supervisor.entry.Name, f)
		then(reply.Result, reply.Err)
	})
}

// send makes a call of our own. done gets exactly one answer.
func (h *Host) send(to target, code basev1.Op, m message, by time.Time, done func(*basev1.Frame, *machine.CallError)) {
	c := &call{by: by, done: done}
	if err := c.fill(to, code, m, time.Now(), h.cfg.CallTimeout); err != nil {
		done(nil, err)
		return
	}
	s, err := to.session()
	if err != nil {
		done(nil, err)
		return
	}
	s.submit([]*call{c}, func(c *call, err *machine.CallError) { done(nil, err) })
}

// Cancel tells that nobody waits for a call any more: its slot is free at once, and its reply is dropped.
func (h *Host) Cancel(owner machine.Owner, ticket machine.Ticket) {
	for _, s := range h.supervisors {
		if session := s.session.Load(); session != nil && session.cancel(owner, ticket) {
			return
		}
	}
}

func (h *Host) publish(e event.Event) { h.cfg.Bus.Publish(event.Record{Event: e}) }
