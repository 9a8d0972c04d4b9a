package daemon

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/zap"

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
		for settled(d.living, changes) {
			d.roam()
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

// roam moves every IKE SA to the address from which its peer is reached now.
func (d *daemon) roam() {
	ctx, cancel := context.WithTimeout(d.living, roamBudget)
	defer cancel()
	sas, err := d.engine.SAs(ctx)
	present := addresses()
	for _, sa := range sas {
		conn, known := d.inForce.Load().Policy.Connection(sa.Conn)
		if !known || !conn.MOBIKE || sa.Established.IsZero() {
			continue
		}
		local, additional := d.reach(conn, sa, present)
		if !local.IsValid() || local.Addr() == sa.IKE.Local.Addr() {
			continue
		}
		d.log.Info("an IKE SA moves", zap.String("conn", sa.Conn), zap.Stringer("from", sa.IKE.Local.Addr()), zap.Stringer("to", local.Addr()))
		if _, err = d.engine.Migrate(ctx, engine.Selector{UID: sa.UID}, local, additional); err != nil {
			break
		}
	}
	if err != nil && d.living.Err() == nil {
		d.log.Error("IKE SAs could not be moved", zap.Error(err))
	}
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

// addresses lists the machine's addresses by which a peer could reach it.
func addresses() (all []netip.Addr) {
	list, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil
	}
	for _, a := range list {
		if ip, ok := netip.AddrFromSlice(a.IP); ok && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			all = append(all, ip.Unmap())
		}
	}
	return all
}
