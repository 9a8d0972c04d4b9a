package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus/event"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// State of a plugin.
type State string

// States.
const (
	Starting State = "starting"
	Running  State = "running"
	Waiting  State = "restarting" // for the pause before the next attempt
	Degraded State = "degraded"   // the same, at long intervals
	Stopped  State = "stopped"
)

// supervisor keeps one plugin running.
type supervisor struct {
	host    *Host
	entry   *Entry
	log     *zap.Logger
	session atomic.Pointer[session] // nil while the plugin is down
	stats   stats

	tried      chan struct{} // closed after the first attempt
	firstError error         // valid then
	ended      chan struct{} // closed when the loop ended

	mu        sync.Mutex
	state     State
	manifest  *basev1.Manifest // of the last run
	framed    bool
	pid       int
	restarts  int
	since     time.Time
	lastError string
	running   *running        // nil while the plugin is down
	services  []ServiceConfig // by Reconfigure; nil: those of the entry

	// Of the loop alone.
	deaths   []time.Time // within Restart.Within
	degraded bool
	rejected string    // the last reason that was published
	down     time.Time // since when, zero before the first run
}

func newSupervisor(h *Host, e *Entry) *supervisor {
	s := &supervisor{
		host: h, entry: e, log: h.cfg.Log.Named("plugin").With(zap.String("plugin", e.Name)),
		tried: make(chan struct{}), ended: make(chan struct{}), state: Starting, since: time.Now(),
	}
	return s
}

// provided lists the services of the last run, nil when there was none.
func (s *supervisor) provided() []*basev1.Provided {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.manifest.GetProvides()
}

func (s *supervisor) ref() event.PluginRef {
	s.mu.Lock()
	defer s.mu.Unlock()
	return event.PluginRef{Name: s.entry.Name, Kinds: s.entry.Kinds, Version: s.manifest.GetVersion(), PID: s.pid}
}

func (s *supervisor) enter(state State, problem string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state, s.since = state, time.Now()
	if problem != "" {
		s.lastError = problem
	}
}

// loop starts the plugin, again and again, until ctx ends.
func (s *supervisor) loop(ctx context.Context) {
	defer close(s.ended)
	first := sync.OnceFunc(func() { close(s.tried) })
	defer first()
	for ctx.Err() == nil {
		began := time.Now()
		s.enter(Starting, "")
		r, err := s.host.launch(ctx, s.current(), s.log)
		switch {
		case ctx.Err() != nil:
			if err == nil {
				r.end(false, 0)
			}
		case err != nil:
			s.firstError = errOnce(s.tried, err, s.firstError)
			first()
			s.reject(err)
		default:
			session := s.up(r)
			first()
			problem := s.watch(ctx, r, session)
			s.gone()
			if ctx.Err() != nil {
				s.stop(r, session)
				break
			}
			s.crashed(r, session, problem)
		}
		s.pause(ctx, time.Since(began))
	}
	s.enter(Stopped, "")
}

// gone notes that the process is not to be asked any more.
func (s *supervisor) gone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = nil
}

// errOnce keeps the error of the first attempt: after tried is closed, others read it.
func errOnce(tried chan struct{}, err, was error) error {
	select {
	case <-tried:
		return was
	default:
		return err
	}
}

// reject publishes why the plugin is not in use, once per reason.
func (s *supervisor) reject(err error) {
	var r *RejectError
	errors.As(err, &r)
	s.enter(Waiting, r.Reason)
	if s.rejected == r.Reason {
		return
	}
	s.log.Error("plugin not in use; it is tried again", zap.String("path", r.Path), zap.String("reason", r.Reason), zap.String("remedy", r.Remedy))
	s.rejected = r.Reason
	s.host.publish(event.PluginRejected{Plugin: s.ref(), Reason: r.Path + ": " + r.Reason, Remedy: r.Remedy})
}

// up opens the plugin for calls.
func (s *supervisor) up(r *running) *session {
	session := newSession(s.entry.Name, s.host.cfg.Window, r.carrier)
	session.stats, session.deliver, session.asked = &s.stats, s.host.cfg.Sink, s.host.asked
	session.authenticator = provides(r.manifest, "auth", "") != nil
	go session.run()
	again := !s.down.IsZero()
	s.mu.Lock()
	s.manifest, s.framed, s.pid, s.running = r.manifest, r.framed, r.process.pid(), r
	if again {
		s.restarts++
	}
	restarts := s.restarts
	s.mu.Unlock()
	s.session.Store(session)
	s.enter(Running, "")
	s.host.reroute()
	s.rejected = ""
	s.log.Info("plugin ready", zap.Int("pid", r.process.pid()), zap.String("version", r.manifest.GetVersion()),
		zap.String("provides", summary(r.manifest)), zap.Bool("framed", r.framed), zap.Int("restarts", restarts))
	if again {
		s.host.publish(event.PluginRestarted{Plugin: s.ref(), Restarts: restarts, After: time.Since(s.down).Round(time.Millisecond).String()})
	} else {
		s.host.publish(event.PluginStarted{Plugin: s.ref()})
	}
	s.host.ready(r.manifest, again)
	return session
}

// ready tells those who asked for it.
func (h *Host) ready(m *basev1.Manifest, restarted bool) {
	h.mu.Lock()
	tell := slices.Clone(h.onReady)
	h.mu.Unlock()
	for _, f := range tell {
		go func() {
			for _, p := range m.GetProvides() {
				f(p.GetKind(), p.GetName(), restarted)
			}
		}()
	}
}

// watch returns when the plugin died, was found unhealthy too often, or ctx ended. It returns what it found wrong.
func (s *supervisor) watch(ctx context.Context, r *running, session *session) (problem string) {
	cfg := &s.host.cfg
	ticker := time.NewTicker(cfg.HealthEvery)
	defer ticker.Stop()
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return ""
		case <-session.over:
			return ""
		case <-ticker.C:
		}
		problem := s.health(ctx, r)
		if problem == "" || ctx.Err() != nil || isClosed(session.over) {
			failures = 0
			continue
		}
		failures++
		s.enter(Running, problem)
		s.log.Warn("plugin unhealthy", zap.String("reason", problem), zap.Int("in a row", failures))
		s.host.publish(event.PluginUnhealthy{Plugin: s.ref(), Reason: problem})
		if failures >= cfg.UnhealthyMax {
			return fmt.Sprintf("failed its health check %d times: %s", failures, problem)
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// health asks for the canaries and returns what is wrong.
func (s *supervisor) health(ctx context.Context, r *running) string {
	timeout := s.host.cfg.HealthTimeout
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	response, err := r.base.Health(ctx, &basev1.HealthRequest{}, callLimits...)
	if ctx.Err() != nil {
		return fmt.Sprintf("did not answer its health check within %v", timeout)
	}
	if err != nil {
		return clean("health check: " + err.Error())
	}
	var problems []string
	for _, v := range response.GetServices() {
		if !v.GetOk() {
			problems = append(problems, fmt.Sprintf("%s:%s: %s", v.GetKind(), v.GetName(), v.GetDetail()))
		}
	}
	return clean(strings.Join(problems, "; "))
}

// crashed cleans up after a plugin that is no more. The calls in flight have been answered by the session already.
func (s *supervisor) crashed(r *running, session *session, problem string) {
	s.session.Store(nil)
	if problem == "" {
		select { // the end of the stream comes a little before the end of the process
		case <-r.process.exited:
			problem = r.process.fate()
		case <-time.After(time.Second):
			problem = session.cause() + ", although the process still runs"
		}
	}
	r.end(false, 0)
	<-session.over
	s.down = time.Now()
	lost := int(s.stats.lost.Load())
	s.log.Error("plugin crashed", zap.String("reason", problem), zap.Int("calls in flight", lost))
	s.host.publish(event.PluginCrashed{Plugin: s.ref(), Reason: problem, InFlight: lost})
	s.enter(Waiting, problem)
}

// stop ends the plugin in order.
func (s *supervisor) stop(r *running, session *session) {
	s.session.Store(nil)
	grace := s.host.cfg.StopGrace
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	s.host.mu.Lock()
	remove := s.host.remove
	s.host.mu.Unlock()
	if _, err := r.base.Drain(ctx, &basev1.DrainRequest{Remove: remove}, callLimits...); err != nil {
		s.log.Warn("plugin did not drain", zap.Error(err))
	}
	r.end(true, grace)
	<-session.over
	s.host.publish(event.PluginStopped{Plugin: s.ref()})
}

// pause waits before the next attempt: longer from death to death, and long once the budget is used up.
func (s *supervisor) pause(ctx context.Context, lived time.Duration) {
	if ctx.Err() != nil {
		return
	}
	timer := time.NewTimer(s.nextPause(time.Now(), lived))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (s *supervisor) nextPause(now time.Time, lived time.Duration) time.Duration {
	p := &s.host.cfg.Restart
	if lived >= p.Within {
		s.degraded, s.deaths = false, nil
	}
	s.deaths = append(s.deaths, now)
	s.deaths = slices.DeleteFunc(s.deaths, func(t time.Time) bool { return now.Sub(t) > p.Within })
	if !s.degraded && len(s.deaths) > p.Budget {
		s.degraded = true
		s.mu.Lock()
		reason := fmt.Sprintf("failed %d times within %v, the last time: %s; next attempts every %v", len(s.deaths), p.Within, s.lastError, p.Slow)
		s.mu.Unlock()
		s.enter(Degraded, "") // who hears of it and looks finds it so
		s.log.Error("plugin degraded", zap.String("reason", reason))
		s.host.publish(event.PluginDegraded{Plugin: s.ref(), Reason: reason})
	}
	if s.degraded {
		s.enter(Degraded, "")
		return jitter(p.Slow)
	}
	return jitter(min(p.Max, p.First<<min(len(s.deaths)-1, 30)))
}

// jitter keeps plugins that died together from starting together.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.4*float64(d))
}
