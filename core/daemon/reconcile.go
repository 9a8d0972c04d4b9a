package daemon

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/core/machine"
)

// reconcileBudget is how long one comparison may take.
const reconcileBudget = 30 * time.Second

// pluginReady is told of every service that can be called. An SA backend that was away may have lost everything, and one of
// an earlier daemon may hold what nobody owns any more.
func (d *daemon) pluginReady(kind, name string, restarted bool) {
	if kind != "sa" || !d.running.Load() || d.living.Err() != nil {
		return
	}
	d.log.Info("SA backend is there", zap.String("backend", name), zap.Bool("restarted", restarted))
	if d.chosen().Backend == "" { // it could not be started with the daemon
		d.pickAgain()
	}
	d.reconcile(name)
}

// pickAgain is for a daemon that found no SA backend at its start.
func (d *daemon) pickAgain() {
	d.pickBackend(d.living)
	d.engine.SetPolicy(d.fitted(d.inForce.Load().Policy))
}

// reconcile makes a backend hold what the engine owns, and nothing else of ours but what a daemon that was killed left and is still
// of use.
func (d *daemon) reconcile(backend string) {
	ctx, cancel := context.WithTimeout(d.living, reconcileBudget)
	defer cancel()
	var all []machine.ChildSA // with keys
	defer func() { machine.WipeChildren(all) }()
	done, err := d.host.Reconcile(ctx, backend, func() (_ []machine.ChildSA, err error) {
		all, err = d.engine.Installed(ctx)
		return of(backend, all), err
	}, func(c machine.ChildSA) bool { return d.legacy.spares(c, all, d.inForce.Load().Policy, time.Now()) })
	d.setTraps(ctx, backend)
	if d.living.Err() != nil {
		return
	}
	if err != nil {
		d.log.Error("an SA backend could not be reconciled; it is tried again", zap.String("backend", backend), zap.Error(err))
		return
	}
	d.legacy.compared(backend)
	if done.Reinstalled+done.Updated+done.Removed+done.Left > 0 {
		d.log.Info("SA backend reconciled", zap.String("backend", backend), zap.Int("kept", done.Kept),
			zap.Int("reinstalled", done.Reinstalled), zap.Int("updated", done.Updated), zap.Int("removed", done.Removed),
			zap.Int("left", done.Left))
	}
}

// of lists the children that are to be in a backend.
func of(backend string, all []machine.ChildSA) (list []machine.ChildSA) {
	for _, c := range all {
		if c.Backend == backend {
			list = append(list, c)
		}
	}
	return list
}

func (d *daemon) reconcileNowAndThen() {
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(reconcileEvery)
		defer tick.Stop()
		for {
			d.reconcileAll()
			d.reconcileLeases()
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	}()
	d.onClose(func(context.Context) { close(stop); <-done })
}

// reconcileAll begins with what an earlier daemon may have left.
func (d *daemon) reconcileAll() {
	ctx, cancel := context.WithTimeout(d.living, reconcileBudget)
	defer cancel()
	probed := d.host.Probe(ctx)
	if d.chosen().Backend == "" && chooseBackend(probed).Backend != "" { // it came up before there was an engine to tell
		d.pickAgain()
	}
	for name, c := range probed {
		if c.Usable {
			d.reconcile(name)
		}
	}
}
