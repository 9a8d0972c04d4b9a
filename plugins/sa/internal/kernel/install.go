package kernel

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

// Install implements sa.Plugin.
func (b *Backend) Install(ctx context.Context, c sa.Child) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := ctx.Err()
	if err == nil {
		err = b.install(&c)
	}
	if err != nil {
		return fmt.Errorf("%s: installing child %s of %s (SPI %08x in, %08x out): %w", b.name, c.Name, c.Conn, c.SPIIn, c.SPIOut, err)
	}
	return nil
}

// Update implements sa.Plugin.
func (b *Backend) Update(ctx context.Context, c sa.Child) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := ctx.Err()
	if err == nil {
		err = b.update(&c)
	}
	if err != nil {
		return fmt.Errorf("%s: updating child %s of %s (SPI %08x in, %08x out): %w", b.name, c.Name, c.Conn, c.SPIIn, c.SPIOut, err)
	}
	return nil
}

// prepare checks a description and gets ready for it.
func (b *Backend) prepare(c *sa.Child) error {
	if err := b.check(c); err != nil {
		return err
	}
	if _, err := Policies(c); err != nil {
		return err
	}
	if err := b.ready(); err != nil {
		return err
	}
	if err := b.driver.Check(c); err != nil {
		return err
	}
	if c.Encap {
		return b.encapsulate()
	}
	return nil
}

func (b *Backend) install(c *sa.Child) error {
	if err := b.prepare(c); err != nil {
		return err
	}
	if err := b.single(c); err != nil {
		return err
	}
	e, old := newEntry(*c), b.journal.entries[c.UID]
	switch {
	case old != nil && old.same(e) && b.holds(old):
		return b.lead(old.traffic, DirIn, DirFwd, DirOut) // the same again; its policies are made sure of
	case old != nil && old.sameSAs(e) && b.within(old, e):
		return b.move(old, e, c)
	}
	return b.replace(old, e, c)
}

// single refuses a child that would take the place of another one's SA (RFC 4301 section 4.1).
func (b *Backend) single(c *sa.Child) error {
	for _, h := range halves(c) {
		if e := b.journal.sas[h.At()]; e != nil && e.Child.UID != c.UID && b.holds(e) {
			return fmt.Errorf("SPI %08x at %v is that of child %s of %s, which has to be removed first: %w", h.SPI, h.Dst, e.Child.Name, e.Child.Conn, sdk.ErrInvalid)
		}
	}
	return nil
}

// replace makes a child, in the place of an earlier one with its UID if there is one. When that has the same keys, numbers and
// windows go on.
func (b *Backend) replace(old, e *entry, c *sa.Child) error {
	var before []Traffic
	var numbers carried
	if old != nil {
		if old.Keys == e.Keys {
			numbers = b.survivors(old)
			if old.Live && !numbers.all(&old.Child) {
				return errLost
			}
		}
		if !old.inPlace(e) { // what was left half made under the same keys is completed
			if err := b.dropSAs(old); err != nil { // its policies stay: they block until the new SAs are there
				return err
			}
		}
		before = old.traffic
	}
	id, err := b.kin(c)
	if err != nil {
		return err
	}
	e.ReqID, e.Born = id, b.journal.born+1
	if err := b.journal.put(e); err != nil {
		return err
	}
	err = b.bring(e, c, numbers)
	if errors.Is(err, ErrElsewhere) && old == nil {
		err = b.bringElsewhere(e, c, numbers)
	}
	if err != nil {
		return errors.Join(err, b.take(e))
	}
	return errors.Join(b.live(e), b.lead(before, DirOut, DirFwd, DirIn))
}

// errLost: an AEAD key must not see an IV twice, and the window of a new SA would let replays pass.
var errLost = fmt.Errorf("its SAs have vanished from the kernel, and nobody knows their last sequence numbers; a new child with fresh keys is needed: %w", sdk.ErrInvalid)

// live notes that the kernel had all of a child: from now on what is missing is lost.
func (b *Backend) live(e *entry) error {
	e.Live = true
	return b.journal.put(e)
}

// carried is what the kernel still has of the numbers and windows of a child; nil for nothing.
type carried struct{ in, out *State }

// survivors looks also where a child was before an update that was cut short.
func (b *Backend) survivors(e *entry) (n carried) {
	for _, c := range e.places() {
		if s, err := b.driver.GetSA(&c, Inbound(&c)); err == nil && n.in == nil {
			n.in = s
		}
		if s, err := b.driver.GetSA(&c, Outbound(&c)); err == nil && n.out == nil {
			n.out = s
		}
	}
	return n
}

func (n carried) all(c *sa.Child) bool { return n.in != nil && (n.out != nil || c.Held) }

// kin is the reqid of a child whose policies c shares, so that both may send under them, or of the trap that it comes from, which
// ends the kernel's waiting for an SA; else its own.
func (b *Backend) kin(c *sa.Child) (uint32, error) {
	selectors, _ := Policies(c)
	for _, t := range selectors {
		if e := b.journal.owner(t, DirIn); e != nil && e.Child.UID != c.UID && e.Child.Conn == c.Conn && e.Child.Name == c.Name {
			return e.ReqID, nil
		}
		if trap := b.journal.traps[t]; trap != nil && trap.Action == sa.Acquire && trap.Conn == c.Conn && trap.Name == c.Name {
			return trap.ReqID, nil
		}
	}
	return b.driver.NewReqID(c.ReqID, b.journal.taken)
}

// bring makes everything in the order that leaks nothing.
func (b *Backend) bring(e *entry, c *sa.Child, numbers carried) error {
	to := *c
	to.ReqID = e.ReqID
	if err := b.arrange(e); err != nil {
		return err
	}
	if err := b.driver.PutSA(&to, Inbound(&to), numbers.in); err != nil {
		return fmt.Errorf("inbound SA: %w", b.driver.Meaning(err))
	}
	if err := b.lead(e.traffic, DirIn, DirFwd); err != nil {
		return err
	}
	if !c.Held {
		if err := b.driver.PutSA(&to, Outbound(&to), numbers.out); err != nil {
			return fmt.Errorf("outbound SA: %w", b.driver.Meaning(err))
		}
	}
	for i, t := range e.traffic {
		if err := b.lead([]Traffic{t}, DirOut); err != nil && i > 0 {
			return fmt.Errorf("%v; and packets may have left on the SA already", err) // no ErrElsewhere: its numbers were used
		} else if err != nil {
			return err
		}
	}
	return nil
}

// bringElsewhere makes a child's SAs anew, under their keys: no policy has led to the outbound one yet, so that it has used no number,
// and the window of the inbound one goes on.
func (b *Backend) bringElsewhere(e *entry, c *sa.Child, numbers carried) error {
	to := e.kernel()
	if s, err := b.driver.GetSA(to, Inbound(to)); err == nil && s != nil {
		numbers.in = s
	}
	if err := b.dropSAs(e); err != nil {
		return err
	}
	return b.bring(e, c, numbers)
}

// lead makes policies of these directions lead to whom they belong to now; those that nobody needs are deleted.
func (b *Backend) lead(all []Traffic, dirs ...uint8) error {
	for _, dir := range dirs {
		for _, t := range all {
			var err error
			switch to := b.journal.leads(t, dir); {
			case to == nil:
				err = b.driver.DropPolicy(t, dir)
			case to.child == nil:
				err = b.driver.(Shunter).PutShunt(to.action, t, dir)
			default:
				err = b.driver.PutPolicy(to.child, t, dir)
			}
			if err != nil {
				return fmt.Errorf("policy %v to %v: %w", t.Local, t.Remote, b.driver.Meaning(err))
			}
		}
	}
	return nil
}

// lost tells whether something of a child has vanished for good.
func (b *Backend) lost(e *entry) bool { return e.Live && !b.holds(e) && !b.survivors(e).all(&e.Child) }

// holds tells whether the kernel still has the SAs.
func (b *Backend) holds(e *entry) bool {
	c := e.kernel()
	for _, h := range halves(c) {
		if m, err := b.driver.GetSA(c, h); err != nil || m == nil {
			return false
		}
	}
	return true
}

// within tells whether the kernel has a child's SAs, where they are or where they go: a driver may have moved them with others.
func (b *Backend) within(old, e *entry) bool {
	c, to := old.kernel(), e.Child
	to.ReqID = old.ReqID
	for _, h := range halves(c) {
		here, err := b.driver.GetSA(c, h)
		if err == nil && here == nil {
			here, err = b.driver.GetSA(&to, Direction(&to, h.Out))
		}
		if err != nil || here == nil {
			return false
		}
	}
	return true
}

func (b *Backend) check(c *sa.Child) error {
	switch {
	case b.cfg.Owner != "" && c.Owner != b.cfg.Owner:
		return fmt.Errorf("its owner is %q, this plugin serves %q: %w", c.Owner, b.cfg.Owner, sdk.ErrInvalid)
	case c.SPIIn < minSPI || c.SPIOut < minSPI:
		return fmt.Errorf("an SPI below 256 (RFC 4303 section 2.1): %w", sdk.ErrInvalid)
	case !c.Local.IsValid() || c.Local.BitLen() != c.Remote.BitLen():
		return fmt.Errorf("outer addresses %v and %v are not two of one family: %w", c.Local, c.Remote, sdk.ErrInvalid)
	case c.Encap && (c.LocalPort == 0 || c.RemotePort == 0):
		return fmt.Errorf("UDP encapsulation without ports: %w", sdk.ErrInvalid)
	}
	return b.checkHandling(c)
}

// Remove implements sa.Plugin.
func (b *Backend) Remove(_ context.Context, c sa.Child) (sa.Usage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.ready(); err != nil {
		return sa.Usage{}, fmt.Errorf("%s: removing child %s of %s: %w", b.name, c.Name, c.Conn, err)
	}
	e := b.journal.entries[c.UID]
	if e == nil || e.Child.Owner != c.Owner {
		return sa.Usage{}, nil
	}
	usage, _ := b.usage(e)
	if err := b.take(e); err != nil {
		return usage, fmt.Errorf("%s: removing child %s of %s: %w", b.name, c.Name, c.Conn, err)
	}
	return usage, nil
}

// take undoes bring in the other order. Policies that another child shares lead to it then.
func (b *Backend) take(e *entry) error {
	b.journal.drop(e.Child.UID)
	err := b.lead(e.traffic, DirOut, DirFwd, DirIn)
	if err == nil {
		err = b.dropSAs(e)
	}
	if err == nil {
		err = b.clear(e)
	}
	if err != nil {
		b.journal.add(e) // for another try
		return err
	}
	return b.journal.gone(e.Child.UID)
}

// dropSAs deletes the SAs of a child, also where it was before.
func (b *Backend) dropSAs(e *entry) error {
	for _, c := range e.places() {
		for _, h := range []Half{Outbound(&c), Inbound(&c)} {
			if err := b.driver.DropSA(&c, h); err != nil {
				return fmt.Errorf("SA %08x: %w", h.SPI, b.driver.Meaning(err))
			}
		}
	}
	return nil
}
