package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

const (
	// roamQuiet is how long addresses and routes must stay as they are before SAs move: an interface that comes up causes
	// half a dozen changes within some milliseconds.
	roamQuiet = 200 * time.Millisecond
	// roamAtMost is when they move though it never gets quiet.
	roamAtMost = 2 * time.Second
	// roamBudget is how long moving them may take.
	roamBudget = 10 * time.Second
)

// startRoaming watches the machine's addresses and routes, and moves IKE SAs whose address is not the one by which their peer
// is reached any more (RFC 4555 section 3.5). Without the watch SAs stay where they are.
func (d *daemon) startRoaming(context.Context) error {
	changes, err := watchNetwork(d.living)
	if err != nil {
		d.log.Warn("changes of addresses are not seen, so that no SA moves by itself", zap.Error(err))
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lost := map[event.UID]bool{}; settled(d.living, changes); {
			lost = d.roam(lost)
		}
	}()
	d.onClose(func(context.Context) { <-done })
	return nil
}

// watchNetwork returns a channel that holds a token when something changed, until ctx ends.
func watchNetwork(ctx context.Context) (<-chan struct{}, error) {
	addrs, routes := make(chan netlink.AddrUpdate, 16), make(chan netlink.RouteUpdate, 16)
	if err := netlink.AddrSubscribe(addrs, ctx.Done()); err != nil {
		return nil, err
	}
	if err := netlink.RouteSubscribe(routes, ctx.Done()); err != nil {
		return nil, err
	}
	changes := make(chan struct{}, 1)
	tell := func() {
		select {
		case changes <- struct{}{}:
		default:
		}
	}
	go each(addrs, tell)
	go each(routes, tell)
	return changes, nil
}

func each[T any](updates <-chan T, f func()) {
	for range updates {
		f()
	}
}

// settled waits for a change and until no more follow. It reports false when ctx has ended.
func settled(ctx context.Context, changes <-chan struct{}) bool {
	select {
	case <-changes:
	case <-ctx.Done():
		return false
	}
	limit := time.After(roamAtMost)
	for {
		select {
		case <-changes:
		case <-time.After(roamQuiet):
			return true
		case <-limit:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// roam moves every IKE SA to the address from which its peer is reached now, and tells those that have lost the way to their peer,
// or have it back. Given and returned are those without a way.
func (d *daemon) roam(before map[event.UID]bool) map[event.UID]bool {
	ctx, cancel := context.WithTimeout(d.living, roamBudget)
	defer cancel()
	sas, err := d.engine.SAs(ctx)
	present, now := addresses(), map[event.UID]bool{}
	for _, sa := range sas {
		if sa.Established.IsZero() || err != nil {
			continue
		}
		if to, additional := d.way(sa, present); to.IsValid() {
			d.log.Info("an IKE SA moves", zap.String("conn", sa.Conn), zap.Stringer("from", sa.IKE.Local.Addr()), zap.Stringer("to", to.Addr()))
			_, err = d.engine.Migrate(ctx, engine.Selector{UID: sa.UID}, to, additional)
			continue
		}
		lost := d.lost(sa, present)
		if now[sa.UID] = lost != ""; now[sa.UID] != before[sa.UID] {
			_, err = d.engine.Path(ctx, engine.Selector{UID: sa.UID}, lost)
		}
	}
	if err != nil && d.living.Err() == nil {
		d.log.Error("IKE SAs could not be moved", zap.Error(err))
	}
	return now
}

// way returns where an SA has to move to reach its peer, the zero value for nowhere, and what other addresses the peer is to be told.
func (d *daemon) way(sa machine.Info, present []netip.Addr) (to netip.AddrPort, additional []netip.Addr) {
	conn, known := d.inForce.Load().Policy.Connection(sa.Conn)
	if !known || !conn.MOBIKE {
		return to, nil
	}
	to, additional = d.reach(conn, sa, present)
	if to.Addr() == sa.IKE.Local.Addr() {
		return netip.AddrPort{}, nil
	}
	return to, additional
}

// lost says why an SA cannot reach its peer from its address, "" when it can.
func (d *daemon) lost(sa machine.Info, present []netip.Addr) string {
	if local := sa.IKE.Local.Addr().Unmap(); !slices.Contains(present, local) {
		return fmt.Sprintf("our address %v is gone", local)
	}
	if _, err := d.transport.LocalFor(sa.IKE.Remote.Addr()); err != nil {
		return fmt.Sprintf("there is no route to %v", sa.IKE.Remote.Addr())
	}
	return ""
}

// reach returns from where the peer of an SA is reached now, the zero value for nowhere, and what other addresses the peer is to
// be told. A configured address that is there stays, and so does one that the peer chose; without a route to the peer the first
// additional one is tried.
func (d *daemon) reach(conn *policy.Connection, sa machine.Info, present []netip.Addr) (local netip.AddrPort, additional []netip.Addr) {
	for _, a := range conn.Local.Additional {
		if slices.Contains(present, a) {
			additional = append(additional, a)
		}
	}
	if a := conn.Local.Addr; a.IsValid() && slices.Contains(present, a) {
		return netip.AddrPortFrom(a, 0), additional
	}
	if sa.IKE.Role == "responder" && slices.Contains(present, sa.IKE.Local.Addr()) {
		return sa.IKE.Local, additional
	}
	local, err := d.transport.LocalFor(sa.IKE.Remote.Addr())
	if err != nil && len(additional) > 0 {
		return netip.AddrPortFrom(additional[0], 0), additional[1:]
	}
	return local, additional
}

// addresses lists the machine's addresses.
func addresses() (all []netip.Addr) {
	list, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil
	}
	for _, a := range list {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			all = append(all, ip.Unmap())
		}
	}
	return all
}
