package daemon

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/policy"
)

// Pauses before a connection that should be up is tried again: doubled with every failure.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// starter keeps connections up whose children say start = "up". It is a subscriber: it hears what became of an attempt and
// sends commands. An operator's down is respected until the next up.
type starter struct {
	initiate func(ctx context.Context, conn string, children []string) (event.UID, error)
	policy   func() *policy.Snapshot // in force
	log      *zap.Logger
	events   *bus.Subscription
	wanted   map[string]*wanted
}

// wanted is one connection that should be up.
type wanted struct {
	children []string
	live     map[event.UID]bool // attempts and SAs that have not ended
	failures int
	next     time.Time // when to try again; zero: nothing to do
	resting  bool      // an operator took it down
}

func newStarter(b *bus.Bus, p func() *policy.Snapshot, log *zap.Logger, initiate func(context.Context, string, []string) (event.UID, error)) *starter {
	s := &starter{initiate: initiate, policy: p, log: log, wanted: map[string]*wanted{},
		events: b.Subscribe("starter", bus.DropOldest(4096), concernsStart)}
	for _, c := range p().Connections {
		s.want(c)
	}
	return s
}

// want begins to keep a connection up, from now on.
func (s *starter) want(c *policy.Connection) {
	if children := startedByUs(c); len(children) > 0 {
		s.wanted[c.Name] = &wanted{children: children, live: map[event.UID]bool{}, next: time.Now()}
	}
}

// reload forgets what a new configuration removed or changed, and begins anew with what it has instead. The SAs of before end
// without being missed.
func (s *starter) reload(e event.ConfigChanged) {
	for _, name := range slices.Concat(e.Removed, e.Changed) {
		delete(s.wanted, name)
	}
	for _, name := range slices.Concat(e.Added, e.Changed) {
		if c, ok := s.policy().Connection(name); ok {
			s.want(c)
		}
	}
}

// startedByUs lists the children of a connection that we bring up.
func startedByUs(c *policy.Connection) (names []string) {
	for _, child := range c.Children {
		if child.Start == policy.StartUp {
			names = append(names, child.Name)
		}
	}
	return names
}

func concernsStart(r event.Record) bool {
	switch r.Event.(type) {
	case event.ConfigChanged:
		return true
	case event.IKEInitiated, event.IKEEstablished, event.IKEDeleted, event.IKEFailed:
		return r.Subject.Conn != ""
	}
	return false
}

// run brings up what should be up, until ctx is done.
func (s *starter) run(ctx context.Context) {
	defer s.events.Close()
	for {
		due := s.tryDue(ctx)
		wait, cancel := context.WithDeadline(ctx, due)
		r, err := s.events.Next(wait)
		cancel()
		switch {
		case err == nil:
			s.hear(r)
		case ctx.Err() != nil || wait.Err() == nil:
			return
		}
	}
}

// tryDue starts what is due and returns when to look again.
func (s *starter) tryDue(ctx context.Context) time.Time {
	now := time.Now()
	due := now.Add(time.Hour)
	for conn, w := range s.wanted {
		if !w.next.IsZero() && !now.Before(w.next) {
			w.next = time.Time{}
			s.try(ctx, conn, w)
		}
		if !w.next.IsZero() && w.next.Before(due) {
			due = w.next
		}
	}
	return due
}

func (s *starter) try(ctx context.Context, conn string, w *wanted) {
	if len(w.live) > 0 {
		return
	}
	uid, err := s.initiate(ctx, conn, w.children)
	if err != nil {
		s.log.Warn("cannot initiate", zap.String("conn", conn), zap.Error(err))
		w.postpone()
		return
	}
	w.live[uid] = true
}

// hear notes what became of an attempt or an SA, ours or the peer's.
func (s *starter) hear(r event.Record) {
	if e, ok := r.Event.(event.ConfigChanged); ok {
		s.reload(e)
		return
	}
	w := s.wanted[r.Subject.Conn]
	if w == nil {
		return
	}
	switch e := r.Event.(type) {
	case event.IKEInitiated:
		w.live[r.Subject.IKE] = true
		w.resting = w.resting && e.IKE.Role != "initiator"
	case event.IKEEstablished:
		w.live[r.Subject.IKE] = true
		w.failures, w.next = 0, time.Time{}
	case event.IKEDeleted:
		w.ended(r.Subject.IKE, e.By == "operator")
	case event.IKEFailed:
		w.ended(r.Subject.IKE, e.Cause == event.CauseOperator)
	}
}

// ended notes the end of an SA. One of an earlier configuration does not matter.
func (w *wanted) ended(uid event.UID, byOperator bool) {
	if !w.live[uid] {
		return
	}
	delete(w.live, uid)
	w.resting = w.resting || byOperator
	if len(w.live) == 0 && !w.resting {
		w.postpone()
	}
}

func (w *wanted) postpone() {
	w.next = time.Now().Add(min(firstRetry<<min(w.failures, 10), lastRetry))
	w.failures++
}
