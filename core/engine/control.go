package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
)

// ask has a shard run f and returns its result.
func ask[T any](ctx context.Context, e *Engine, r *runner, f func(s *Shard, now time.Time) T) (T, error) {
	answer := make(chan T, 1)
	var none T
	if !r.inbox.putCommand(func(s *Shard, now time.Time) { answer <- f(s, now) }, false) {
		return none, ErrBusy
	}
	select {
	case v := <-answer:
		return v, nil
	case <-ctx.Done():
		return none, ctx.Err()
	case <-e.quit:
		return none, ErrStopped
	}
}

// each has every shard run f, all at the same time, and returns the sum of what comes back before ctx is done.
func (e *Engine) each(ctx context.Context, f func(s *Shard, now time.Time) int) int {
	answers := make(chan int, len(e.runners))
	asked := 0
	for _, r := range e.runners {
		if r.inbox.putCommand(func(s *Shard, now time.Time) { answers <- f(s, now) }, true) {
			asked++
		}
	}
	sum := 0
	for range asked {
		select {
		case n := <-answers:
			sum += n
		case <-ctx.Done():
			return sum
		case <-e.quit:
			return sum
		}
	}
	return sum
}

// Initiate makes an IKE SA of a connection and starts negotiating with the children named; the first is made in IKE_AUTH.
// It returns when the first step is done: what becomes of it is told by events with the UID.
func (e *Engine) Initiate(ctx context.Context, conn string, children []string) (event.UID, error) {
	select {
	case <-e.stopping:
		return event.UID{}, ErrStopping
	default:
	}
	local, remote, err := e.addresses(ctx, conn)
	if err != nil {
		return event.UID{}, err
	}
	type result struct {
		uid event.UID
		err error
	}
	r := e.runners[e.turn.Add(1)%uint64(len(e.runners))]
	got, err := ask(ctx, e, r, func(s *Shard, now time.Time) result {
		uid, err := s.Initiate(now, conn, children, local, remote)
		return result{uid, err}
	})
	if err != nil {
		return event.UID{}, err
	}
	return got.uid, got.err
}

// Up makes children of a connection: inside its IKE SA when that is up, else as Initiate does. joined tells which; what becomes
// of the children is told by events with the UID of the IKE SA. Of several IKE SAs the one established last is taken.
func (e *Engine) Up(ctx context.Context, conn string, children []string) (uid event.UID, joined bool, err error) {
	var latest machine.Info
	for _, r := range e.runners {
		info, err := ask(ctx, e, r, func(s *Shard, _ time.Time) machine.Info { return s.newest(conn) })
		if err != nil {
			return event.UID{}, false, err
		}
		if info.Established.After(latest.Established) {
			latest = info
		}
	}
	if latest.Established.IsZero() {
		uid, err = e.Initiate(ctx, conn, children)
		return uid, false, err
	}
	n, err := e.command(ctx, Selector{UID: latest.UID}, machine.Initiate{Children: children})
	if err == nil && n == 0 { // it has just ended
		uid, err = e.Initiate(ctx, conn, children)
		return uid, false, err
	}
	return latest.UID, true, err
}

// addresses returns where the messages of a connection come from and go to.
func (e *Engine) addresses(ctx context.Context, conn string) (local, remote netip.AddrPort, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("engine: cannot initiate %q: %w", conn, err)
		}
	}()
	_, v := e.versions.Load().of(conn)
	ends, err := v.Endpoints(conn)
	if err != nil {
		return local, remote, err
	}
	return e.between(ctx, ends)
}

// between returns where messages come from and go to between two ends.
func (e *Engine) between(ctx context.Context, ends Endpoints) (local, remote netip.AddrPort, err error) {
	to, err := e.resolve(ctx, ends)
	if err != nil {
		return local, remote, err
	}
	remote = netip.AddrPortFrom(to, e.c.RemotePort)
	switch {
	case ends.Local.IsValid() && !ends.Local.IsUnspecified():
		return netip.AddrPortFrom(ends.Local, e.c.Port), remote, nil
	case e.c.LocalFor == nil:
		return local, remote, errors.New("it names no local address and there is no routing table to ask")
	}
	local, err = e.c.LocalFor(to)
	return local, remote, err
}

// resolve returns the address of the remote end.
func (e *Engine) resolve(ctx context.Context, ends Endpoints) (netip.Addr, error) {
	switch {
	case ends.Remote.IsValid():
		return ends.Remote.Unmap(), nil
	case ends.Host == "":
		return netip.Addr{}, errors.New("it names no remote address: the peer has to initiate, or set remote { address }")
	case e.c.Resolve == nil:
		return netip.Addr{}, fmt.Errorf("nobody resolves the name %q", ends.Host)
	}
	return e.c.Resolve(ctx, ends.Host)
}

// reachBudget is how long finding a gateway may take.
const reachBudget = 10 * time.Second

// reach looks for the way to a gateway beside the shards, because a name may have to be looked up.
func (e *Engine) reach(o machine.Owner, conn string, to machine.Gateway, then func(*Shard, time.Time, netip.AddrPort, netip.AddrPort)) {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), reachBudget)
		defer cancel()
		_, v := e.versions.Load().of(conn)
		ends, err := v.Endpoints(conn)
		if err != nil {
			return
		}
		ends.Remote, ends.Host = to.Addr, to.Host
		if local, remote, err := e.between(ctx, ends); err == nil {
			e.of(uint64(o)).inbox.putCommand(func(s *Shard, now time.Time) { then(s, now, local, remote) }, true)
		}
	}()
}

// Redirect asks the clients that sel matches to go to another gateway (RFC 5685), and returns how many SAs there are. Events
// tell which of them can be asked.
func (e *Engine) Redirect(ctx context.Context, sel Selector, to machine.Gateway) (int, error) {
	return e.command(ctx, sel, machine.Redirect{To: to})
}

// Reauthenticate repeats the authentication of the IKE SAs that sel matches, and returns how many there are. Where the peer
// began the SA it is asked to do so. It goes on after it returns.
func (e *Engine) Reauthenticate(ctx context.Context, sel Selector) (int, error) {
	return e.command(ctx, sel, machine.Reauthenticate{})
}

// Terminate deletes the IKE SAs that sel matches, or with child set their child SAs of that name, and returns how many IKE
// SAs it reached. The deletions go on after it returns.
func (e *Engine) Terminate(ctx context.Context, sel Selector, child, reason string) (int, error) {
	return e.command(ctx, sel, machine.Terminate{Child: child, Reason: reason})
}

// Migrate moves the IKE SAs that sel matches to other addresses of ours (RFC 4555), and returns how many there were.
func (e *Engine) Migrate(ctx context.Context, sel Selector, local netip.AddrPort, additional []netip.Addr) (int, error) {
	return e.command(ctx, sel, machine.Migrate{Local: local, Additional: additional})
}

// Path tells the IKE SAs that sel matches that their peer cannot be reached any more and why, or with "" that it can again, and
// returns how many there are.
func (e *Engine) Path(ctx context.Context, sel Selector, lost string) (int, error) {
	return e.command(ctx, sel, machine.Path{Lost: lost})
}

// Rekey replaces the IKE SAs that sel matches, or with child set their child SAs of that name, and returns how many IKE SAs it
// reached. What becomes of it is told by events.
func (e *Engine) Rekey(ctx context.Context, sel Selector, child string) (int, error) {
	return e.command(ctx, sel, machine.Rekey{Child: child})
}

// Probe checks the liveness of the peers that sel matches, and returns how many there are.
func (e *Engine) Probe(ctx context.Context, sel Selector) (int, error) {
	return e.command(ctx, sel, machine.Probe{})
}

func (e *Engine) command(ctx context.Context, sel Selector, in machine.Input) (int, error) {
	total := 0
	for _, r := range e.runners {
		n, err := ask(ctx, e, r, func(s *Shard, now time.Time) int { return s.Command(now, sel, in) })
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

// SetProtocol puts another configuration of IKEv2 in force for SAs to come. SAs that exist keep theirs.
func (e *Engine) SetProtocol(p Protocol) { e.set(versions{p, e.versions.Load().one}) }

func (e *Engine) set(v versions) {
	e.versions.Store(&v)
	for _, r := range e.runners {
		r.inbox.putCommand(func(s *Shard, _ time.Time) {
			s.SetProtocol(v.two)
			s.SetIKEv1(v.one)
		}, true)
	}
}

// snapshotChunk is how many SAs are described at a stretch: at some microseconds each, a pause that no peer notices.
const snapshotChunk = 256

// SAs describes all SAs. Each is shown at one instant, all together over a short time: shards work on in between. Times are as people
// see them.
func (e *Engine) SAs(ctx context.Context) ([]machine.Info, error) {
	all, err := collect(ctx, e, func(m machine.Machine) []machine.Info { return []machine.Info{m.Info()} })
	for i := range all {
		all[i].Created, all[i].Established = e.onWall(all[i].Created), e.onWall(all[i].Established)
	}
	return all, err
}

// Installed lists the child SAs that SAs hold or may hold in an SA backend, for reconciliation. It carries keys; the caller
// wipes them.
//
// A child that moves to another IKE SA meanwhile could be missed on its way, and somebody would take it for nobody's. So the
// list is made anew when an IKE SA was rekeyed while it was made.
func (e *Engine) Installed(ctx context.Context) ([]machine.ChildSA, error) {
	for range installedTries {
		before := e.counters.adopted.Load()
		all, err := collect(ctx, e, machine.Machine.Installed)
		if err != nil || e.counters.spawned.Load() == before {
			return all, err
		}
		machine.WipeChildren(all)
	}
	return nil, ErrMoving
}

// installedTries is how often the list of children is begun anew: at a thousand rekeyings a second, which is more than a machine
// does in earnest, half of the attempts for ten thousand SAs would fail.
const installedTries = 10

// ErrMoving says that children moved between IKE SAs all the time while they were to be listed.
var ErrMoving = errors.New("engine: IKE SAs are being rekeyed all the time; the list of their children was never complete; try again")

// collect asks every machine of every shard, a chunk at a time.
func collect[T any](ctx context.Context, e *Engine, f func(machine.Machine) []T) ([]T, error) {
	var all []T
	for _, r := range e.runners {
		owners, err := ask(ctx, e, r, func(s *Shard, _ time.Time) []machine.Owner { return s.owners() })
		for err == nil && len(owners) > 0 {
			n := min(len(owners), snapshotChunk)
			chunk := owners[:n]
			owners = owners[n:]
			var part []T
			part, err = ask(ctx, e, r, func(s *Shard, _ time.Time) []T { return describe(s, chunk, f) })
			all = append(all, part...)
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func describe[T any](s *Shard, owners []machine.Owner, f func(machine.Machine) []T) []T {
	var part []T
	for _, o := range owners {
		if e := s.sas[o]; e != nil {
			part = append(part, f(e.machine)...)
		}
	}
	return part
}
