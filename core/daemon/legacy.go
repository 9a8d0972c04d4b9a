package daemon

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

const (
	// legacyWait is how long children of a daemon that was killed go on carrying packets unless new ones take their place: a
	// peer that would call us notices after half a minute of silence and some minutes of retransmissions.
	legacyWait = 5 * time.Minute
	// legacyQuiet gathers the connections that come up together after a start, before the backends are compared for them all.
	legacyQuiet = 2 * time.Second
)

// legacy knows what a daemon that was killed left in the SA backends. The peers do not know of its end yet, and without those
// children packets would go in clear until new ones are there.
type legacy struct {
	until time.Time

	mu    sync.Mutex
	taken map[string]bool               // backends whose legacy is known
	left  map[event.UID]machine.ChildSA // without keys
}

func newLegacy(until time.Time) *legacy {
	return &legacy{until: until, taken: map[string]bool{}, left: map[event.UID]machine.ChildSA{}}
}

// spares reports whether a child that nobody owns is left for now: it was there when its backend was first looked at, its
// connection still has it, and nothing that we own does its work.
func (l *legacy) spares(c machine.ChildSA, owned []machine.ChildSA, p *policy.Snapshot, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, known := l.left[c.UID]
	spared := (known || !l.taken[c.Backend]) && now.Before(l.until) && stillAllowed(p, c) &&
		!slices.ContainsFunc(owned, func(o machine.ChildSA) bool { return succeeds(o, c) })
	if delete(l.left, c.UID); spared {
		l.left[c.UID] = c
	}
	return spared
}

// stillAllowed reports whether a connection still has a child.
func stillAllowed(p *policy.Snapshot, c machine.ChildSA) bool {
	conn, ok := p.Connection(c.Conn)
	if ok {
		_, ok = conn.Child(c.Name)
	}
	return ok
}

// succeeds reports whether a child does the work of another one. One connection may have many peers.
func succeeds(c, old machine.ChildSA) bool {
	return c.Conn == old.Conn && c.Name == old.Name && (c.Remote == old.Remote || slices.Equal(c.RemoteTS, old.RemoteTS))
}

// compared notes that a backend was looked at: what comes to light later is no legacy.
func (l *legacy) compared(backend string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken[backend] = true
}

// backends lists where something is left.
func (l *legacy) backends() (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.left {
		if !slices.Contains(names, c.Backend) {
			names = append(names, c.Backend)
		}
	}
	return names
}

// endsLegacy selects events after which something left may have to go.
func endsLegacy(r event.Record) bool {
	switch r.Event.(type) {
	case event.ChildEstablished, event.ConfigChanged:
		return true
	}
	return false
}

// watchLegacy removes what is left when it is not needed any more, for as long as something may be left.
func (d *daemon) watchLegacy() {
	events := d.bus.Subscribe("legacy", bus.Latest(1, func(event.Record) string { return "" }), endsLegacy)
	ctx, cancel := context.WithDeadline(d.living, d.legacy.until)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		defer events.Close()
		for {
			_, err := events.Next(ctx)
			if d.living.Err() != nil {
				return
			}
			if err == nil {
				pause(d.living, legacyQuiet)
			}
			for _, name := range d.legacy.backends() {
				d.reconcile(name)
			}
			if err != nil {
				return
			}
		}
	}()
	d.onClose(func(context.Context) { <-done })
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, t time.Duration) {
	select {
	case <-time.After(t):
	case <-ctx.Done():
	}
}
