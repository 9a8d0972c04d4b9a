package daemon

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/config"
	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/pluginhost"
)

// reloadBudget is how long applying a configuration may take: a plugin that does not answer must not keep the next one away.
const reloadBudget = 30 * time.Second

// reload reads the configuration again and puts it in force, or with dryRun only says what would happen. What is wrong is
// found out before anything changes. It returns the configuration that was read.
func (d *daemon) reload(ctx context.Context, dryRun bool) (*config.Snapshot, config.Changes, error) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	ctx, cancel := context.WithTimeout(ctx, reloadBudget)
	defer cancel()
	old := d.inForce.Load()
	next, err := d.options.Load()
	if err != nil {
		return nil, config.Changes{}, d.refuse(err, dryRun)
	}
	changes := config.Diff(old, next)
	if dryRun {
		return next, changes, nil
	}
	if err := d.configurePlugins(ctx, old, next); err != nil {
		return nil, changes, d.refuse(err, false)
	}
	d.apply(ctx, old, next, changes)
	return next, changes, nil
}

// refuse tells that a configuration is not put in force.
func (d *daemon) refuse(err error, dryRun bool) error {
	if !dryRun {
		d.publish(event.ConfigRejected{Source: d.options.Config, Reason: err.Error()})
		d.log.Error("the configuration stays as it is", zap.String("config", d.options.Config), zap.Error(err))
	}
	return err
}

// configurePlugins gives the plugins what differs for them. When one refuses, those that took theirs get the old one back.
func (d *daemon) configurePlugins(ctx context.Context, old, next *config.Snapshot) error {
	before, err := services(old)
	if err != nil {
		return err
	}
	after, err := services(running(old, next))
	if err != nil {
		return err
	}
	if err := d.host.Reconfigure(ctx, after); err != nil {
		return errors.Join(err, d.host.Reconfigure(ctx, before))
	}
	return nil
}

// services returns the configuration of each plugin's services.
func services(s *config.Snapshot) (map[string][]pluginhost.ServiceConfig, error) {
	entries, err := catalogue(s, "", nil)
	all := map[string][]pluginhost.ServiceConfig{}
	for _, e := range entries {
		all[e.Name] = e.Services
	}
	return all, err
}

// running returns what of a new configuration a running daemon can take: all but what config.Changes calls Restart.
func running(old, next *config.Snapshot) *config.Snapshot {
	merged := *next
	merged.Daemon, merged.NATS, merged.Plugins = old.Daemon, old.NATS, old.Plugins
	return &merged
}

// changeChildren has the IKE SAs of connections go on with other children.
func (d *daemon) changeChildren(ctx context.Context, conns []string) {
	for _, name := range conns {
		if _, err := d.engine.Reconfigure(ctx, name); err != nil {
			d.log.Error("the children of a connection could not be changed", zap.String("conn", name), zap.Error(err))
		}
	}
}

// apply puts a configuration in force. The SAs of connections that are gone or different end, or where only children are, those;
// who is to start them again hears it on the bus.
func (d *daemon) apply(ctx context.Context, old, next *config.Snapshot, c config.Changes) {
	d.inForce.Store(running(old, next))
	if c.Pools {
		d.pools.SetPools(next.Pools)
	}
	d.engine.SetPolicy(d.fitted(next.Policy))
	e := event.ConfigChanged{Source: d.options.Config, Old: old.Hash, New: next.Hash, Added: c.Added, Removed: c.Removed,
		Pools: c.Pools, Credentials: c.Credentials, Restart: c.Restart}
	for _, change := range c.Changed {
		if change.ChildrenOnly {
			e.Children = append(e.Children, change.Connection)
		} else {
			e.Changed = append(e.Changed, change.Connection)
		}
	}
	d.changeChildren(ctx, e.Children)
	for _, name := range append(e.Changed[:len(e.Changed):len(e.Changed)], e.Removed...) {
		if _, err := d.engine.Terminate(ctx, engine.Selector{Conn: name}, "", "the configuration changed"); err != nil {
			d.log.Error("the SAs of a changed connection could not be deleted", zap.String("conn", name), zap.Error(err))
		}
	}
	d.setAllTraps(ctx)
	d.publish(e)
	d.log.Info("configuration in force", zap.String("config", d.options.Config), zap.Strings("added", e.Added),
		zap.Strings("changed", e.Changed), zap.Strings("removed", e.Removed), zap.Strings("after a restart", e.Restart))
}

// serve waits for the end, and reloads when it is told to.
func (d *daemon) serve(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.options.Reload:
			_, _, _ = d.reload(ctx, false) // told in the log and on the bus
		}
	}
}
