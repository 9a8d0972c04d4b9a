package daemon

import (
	"context"
	"path/filepath"
	"slices"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/control"
	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/pool"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// leasesFile lies in the state folder.
const leasesFile = "leases"

// startPools opens the address pools with what they remember.
func (d *daemon) startPools(context.Context) (err error) {
	path := filepath.Join(d.config.Daemon.StateDir, leasesFile)
	d.pools, err = pool.Open(pool.Config{Pools: d.inForce.Load().Pools, Path: path, Deliver: d.deliver, Stored: d.leasesStored})
	if err != nil {
		return err
	}
	if damage := d.pools.Damage(); damage != nil {
		d.log.Error("the file of leases was damaged; what could be read is in force, the rest lies aside",
			zap.Int("lines lost", damage.Lines), zap.String("aside", damage.Path))
	}
	d.onClose(func(context.Context) { d.pools.Close() })
	return nil
}

// leasesStored is told when leases can no longer be stored, and when they can again.
func (d *daemon) leasesStored(path string, err error) {
	if err != nil {
		d.log.Error("leases are given, and forgotten when the daemon ends before they can be stored", zap.Error(err))
		d.publish(event.PoolStoreFailed{Path: path, Reason: err.Error()})
		return
	}
	d.log.Info("all leases are stored again", zap.String("path", path))
	d.publish(event.PoolStoreMended{Path: path})
}

// caller takes what SAs ask for to who performs it: the pools, or the plugins.
type caller struct {
	pools   *pool.Service
	plugins engine.Caller
}

// Submit implements engine.Caller.
func (c caller) Submit(batch []machine.Request) {
	if !slices.ContainsFunc(batch, forPools) {
		c.plugins.Submit(batch)
		return
	}
	var leases, rest []machine.Request
	for _, r := range batch {
		if forPools(r) {
			leases = append(leases, r)
		} else {
			rest = append(rest, r)
		}
	}
	c.pools.Submit(leases)
	c.plugins.Submit(rest)
}

func forPools(r machine.Request) bool { return pool.Performs(r.Call.Op) }

// Cancel implements engine.Caller. Who does not know the ticket ignores it.
func (c caller) Cancel(o machine.Owner, t machine.Ticket) {
	c.pools.Cancel(o, t)
	c.plugins.Cancel(o, t)
}

// reconcileLeases gives back what is held by SAs that are no more.
func (d *daemon) reconcileLeases() {
	ctx, cancel := context.WithTimeout(d.living, reconcileBudget)
	defer cancel()
	all, err := d.engine.SAs(ctx)
	if err != nil {
		return // the daemon ends, or the next time will do
	}
	alive := map[event.UID]bool{}
	for _, sa := range all {
		alive[sa.Inner.Holder] = true
	}
	if n := d.pools.Retain(alive); n > 0 {
		d.log.Warn("addresses of IKE SAs that are no more were given back", zap.Int("sas", n))
	}
}

// poolList describes the pools for the control API.
func (d *daemon) poolList() (list []control.Pool) {
	for _, s := range d.pools.Stats() {
		p := control.Pool{Name: s.Name, Size: s.Size.String(), Used: s.Used, Kept: s.Kept}
		for _, r := range s.Ranges {
			p.Ranges = append(p.Ranges, r.String())
		}
		for _, l := range s.Leases {
			id := policy.Identity{Type: wire2.IDType(l.Identity.Type), Data: string(l.Identity.Data)}
			p.Leases = append(p.Leases, control.Lease{Addr: l.Addr, Identity: id.String(), Holders: l.Holders, From: l.From, Since: l.Since, Until: l.Until})
		}
		list = append(list, p)
	}
	return list
}
