package daemon

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/policy"
)

// keeper keeps children up that should be: those that say start = "up", those that say start = "trap" when there is
// traffic, and for a while those that say on_dead = "restart" and whose peer died. It is a subscriber: it hears what becomes of SAs and sends commands. What an operator took down stays
// down until he brings it up again.
type keeper struct {
	up     func(ctx context.Context, conn string, children []string) (uid event.UID, joined bool, err error)
	policy func() *policy.Snapshot // in force
	log    *zap.Logger
	bus    *bus.Bus
	events *bus.Subscription
	orders chan order
	kept   map[string]*kept
}

// order is an operator's word: Up and Down of a connection, or of some of its children. Traffic is no operator's, but that of a
// packet that met a child's trap.
type order struct {
	conn          string
	children      []string
	down, traffic bool
}

// maxOrders bounds the orders that wait. They are taken at once.
const maxOrders = 64

func newKeeper(b *bus.Bus, p func() *policy.Snapshot, log *zap.Logger, up func(context.Context, string, []string) (event.UID, bool, error)) *keeper {
	k := &keeper{up: up, policy: p, log: log, bus: b, kept: map[string]*kept{}, orders: make(chan order, maxOrders),
		events: b.Subscribe("keeper", bus.DropOldest(4096), concernsKeeper)}
	for _, c := range p().Connections {
		k.keep(c)
	}
	return k
}

// keep begins to look after a connection, from now on.
func (k *keeper) keep(c *policy.Connection) {
	w := newKept(c, rand.Float64)
	if k.kept[c.Name] = w; len(w.missing()) > 0 {
		w.next = time.Now()
	}
}

// reload forgets what a new configuration removed or changed, and begins anew with what it has instead. The SAs of before end
// without being missed. Where only children changed, all else that is known stays so.
func (k *keeper) reload(e event.ConfigChanged) {
	for _, name := range e.Children {
		if c, ok := k.policy().Connection(name); ok && k.kept[name] != nil {
			k.kept[name].reconfigure(c)
		}
	}
	for _, name := range slices.Concat(e.Removed, e.Changed) {
		delete(k.kept, name)
	}
	for _, name := range slices.Concat(e.Added, e.Changed) {
		if c, ok := k.policy().Connection(name); ok {
			k.keep(c)
		}
	}
}

func concernsKeeper(r event.Record) bool {
	switch r.Event.(type) {
	case event.ConfigChanged:
		return true
	case event.IKEInitiated, event.IKEEstablished, event.IKERekeyed, event.IKEDeleted, event.IKEFailed,
		event.ChildEstablished, event.ChildRekeyed, event.ChildDeleted, event.ChildFailed:
		return r.Subject.Conn != ""
	}
	return false
}

// order takes an operator's word. What there is no room for is dropped: the events of the SAs tell as much of it.
func (k *keeper) order(o order) {
	select {
	case k.orders <- o:
	default:
	}
}

// run keeps up what should be up, until ctx is done.
func (k *keeper) run(ctx context.Context) {
	defer k.events.Close()
	records := make(chan event.Record)
	go k.listen(ctx, records)
	for {
		timer := time.NewTimer(time.Until(k.tryDue(ctx)))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case o := <-k.orders:
			k.obey(o)
		case r, open := <-records:
			if !open {
				return
			}
			k.hear(r)
		}
		timer.Stop()
	}
}

// listen hands over events until there are no more.
func (k *keeper) listen(ctx context.Context, records chan<- event.Record) {
	defer close(records)
	for {
		r, err := k.events.Next(ctx)
		if err != nil {
			return
		}
		select {
		case records <- r:
		case <-ctx.Done():
			return
		}
	}
}

// idle is how long there may be nothing to do.
const idle = time.Hour

// tryDue starts what is due and returns when to look again.
func (k *keeper) tryDue(ctx context.Context) time.Time {
	now := time.Now()
	due := now.Add(idle)
	for _, w := range k.kept {
		if !w.next.IsZero() && !now.Before(w.next) {
			w.next = time.Time{}
			k.try(ctx, w)
		}
		if !w.next.IsZero() && w.next.Before(due) {
			due = w.next
		}
	}
	return due
}

// try asks for what is missing. An attempt that is under way is waited for: it ends by itself.
func (k *keeper) try(ctx context.Context, w *kept) {
	missing := w.missing()
	if len(missing) == 0 || w.attempts() {
		return
	}
	uid, joined, err := k.up(ctx, w.conn.Name, missing)
	k.noteHindrance(w, err)
	if _, known := w.sas[uid]; err == nil && !joined && !known {
		w.sas[uid] = false
	}
	if err != nil || joined { // a child that fails may tell of it or not
		w.postpone()
	}
}

// noteHindrance tells why not even an attempt can begin, once.
func (k *keeper) noteHindrance(w *kept, err error) {
	before := w.hindered
	w.hindered = ""
	if err == nil {
		return
	}
	if w.hindered = err.Error(); w.hindered != before {
		k.log.Warn("cannot initiate; it is tried again", zap.String("conn", w.conn.Name), zap.Error(err))
		k.bus.Publish(event.Record{Subject: event.Subject{Conn: w.conn.Name}, Event: event.PeerUnreachable{Reason: w.hindered}})
	}
}

// hear notes what became of an SA, ours or the peer's.
func (k *keeper) hear(r event.Record) {
	if e, ok := r.Event.(event.ConfigChanged); ok {
		k.reload(e)
		return
	}
	if w := k.kept[r.Subject.Conn]; w != nil {
		w.hear(r)
	}
}

func (k *keeper) obey(o order) {
	if w := k.kept[o.conn]; w != nil {
		w.obey(o)
	}
}
