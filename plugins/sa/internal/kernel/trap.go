package kernel

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

// trapSet are all traps of an owner.
type trapSet struct {
	Owner string    `json:"owner"`
	Traps []sa.Trap `json:"traps"`
}

// trap is a trap in the kernel: policies without SAs. Where a child has the same policies they lead to the child.
type trap struct{ sa.Trap }

// child is what a trap's policies are made from.
func (t *trap) child() *sa.Child {
	return &sa.Child{Conn: t.Conn, Name: t.Name, ReqID: t.ReqID, Mode: t.Mode, Local: t.Local, Remote: t.Remote, LocalTS: t.LocalTS, RemoteTS: t.RemoteTS, Handling: t.Handling}
}

// Outer gives an address that is not known the form "any" of the family that is.
func Outer(c *sa.Child) (local, remote netip.Addr) {
	local, remote = c.Local, c.Remote
	known := local
	switch {
	case remote.IsValid():
		known = remote
	case !local.IsValid():
		known = c.RemoteTS[0].Start
	}
	any := netip.IPv4Unspecified()
	if known.Is6() {
		any = netip.IPv6Unspecified()
	}
	if !local.IsValid() {
		local = any
	}
	if !remote.IsValid() {
		remote = any
	}
	return local, remote
}

// SetTraps implements sa.Trapper.
func (b *Backend) SetTraps(ctx context.Context, owner string, traps []sa.Trap) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := ctx.Err()
	if err == nil {
		err = b.setTraps(trapSet{owner, traps})
	}
	if err != nil {
		return fmt.Errorf("%s: setting %d traps: %w", b.name, len(traps), err)
	}
	return nil
}

func (b *Backend) setTraps(set trapSet) error {
	if err := b.ready(); err != nil {
		return err
	}
	set.Traps = slices.Clone(set.Traps)
	for i := range set.Traps {
		t := &set.Traps[i]
		err := b.checkTrap(*t)
		if err == nil {
			t.ReqID, err = b.trapID(t, set.Traps[:i])
		}
		if err != nil {
			return fmt.Errorf("child %s of %s: %w", t.Name, t.Conn, err)
		}
	}
	before := b.journal.trapped(set.Owner)
	if err := b.journal.setTraps(set); err != nil {
		return err
	}
	return b.lead(append(before, b.journal.trapped(set.Owner)...), DirOut, DirFwd, DirIn)
}

// trapID is the reqid that a trap had before, or that of a child from it, else a new one.
func (b *Backend) trapID(t *sa.Trap, before []sa.Trap) (uint32, error) {
	all, _ := Policies((&trap{Trap: *t}).child())
	for _, x := range all {
		if have := b.journal.traps[x]; have != nil && have.Conn == t.Conn && have.Name == t.Name {
			return have.ReqID, nil
		}
		if e := b.journal.owner(x, DirIn); e != nil && e.Child.Conn == t.Conn && e.Child.Name == t.Name {
			return e.ReqID, nil
		}
	}
	return b.driver.NewReqID(t.ReqID, func(id uint32) bool {
		return b.journal.taken(id) || slices.ContainsFunc(before, func(o sa.Trap) bool { return o.ReqID == id })
	})
}

func (b *Backend) checkTrap(t sa.Trap) error {
	c := (&trap{Trap: t}).child()
	if len(c.LocalTS) == 0 || len(c.RemoteTS) == 0 {
		return fmt.Errorf("a trap without traffic selectors: %w", sdk.ErrInvalid)
	}
	if _, err := Policies(c); err != nil {
		return err
	}
	if _, able := b.driver.(Shunter); t.Action > sa.Discard || t.Action != sa.Acquire && !able {
		return fmt.Errorf("traffic that passes in clear or is dropped (action %d): %w", t.Action, sdk.ErrUnsupported)
	}
	if err := b.checkHandling(c); err != nil {
		return err
	}
	if local, remote := Outer(c); local.BitLen() != remote.BitLen() {
		return fmt.Errorf("outer addresses %v and %v are not two of one family: %w", local, remote, sdk.ErrInvalid)
	}
	return nil
}
