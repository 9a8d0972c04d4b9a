package xfrm

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

// Install implements sa.Plugin.
func (p *Plugin) Install(ctx context.Context, c sa.Child) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := ctx.Err()
	if err == nil {
		err = p.install(&c)
	}
	if err != nil {
		return fmt.Errorf("sa/xfrm: installing child %s of %s (SPI %08x in, %08x out): %w", c.Name, c.Conn, c.SPIIn, c.SPIOut, err)
	}
	return nil
}

// Update implements sa.Plugin.
func (p *Plugin) Update(ctx context.Context, c sa.Child) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := ctx.Err()
	if err == nil {
		err = p.update(&c)
	}
	if err != nil {
		return fmt.Errorf("sa/xfrm: updating child %s of %s (SPI %08x in, %08x out): %w", c.Name, c.Conn, c.SPIIn, c.SPIOut, err)
	}
	return nil
}

// prepare checks a description and gets ready for it.
func (p *Plugin) prepare(c *sa.Child) error {
	if err := p.check(c); err != nil {
		return err
	}
	if _, err := policies(c); err != nil {
		return err
	}
	if err := p.ready(); err != nil {
		return err
	}
	if c.Encap {
		return p.encapsulate()
	}
	return nil
}

func (p *Plugin) install(c *sa.Child) error {
	if err := p.prepare(c); err != nil {
		return err
	}
	e, old := newEntry(*c), p.journal.entries[c.UID]
	switch {
	case old != nil && old.same(e) && p.holds(old):
		return p.lead(old.traffic, dirIn, dirFwd, dirOut) // the same again; its policies are made sure of
	case old != nil && old.sameSAs(e) && p.holds(old):
		return p.move(old, e, c)
	}
	return p.replace(old, e, c)
}

// replace makes a child, in the place of an earlier one with its UID if there is one. When that has the same keys, numbers and
// windows go on.
func (p *Plugin) replace(old, e *entry, c *sa.Child) error {
	var before []traffic
	var numbers carried
	if old != nil {
		if old.Keys == e.Keys {
			numbers = p.survivors(old)
			if old.Live && !numbers.all(&old.Child) {
				return errLost
			}
		}
		if err := p.dropSAs(old); err != nil { // its policies stay: they block until the new SAs are there
			return err
		}
		before = old.traffic
	}
	e.ReqID, e.Born = p.kin(c), p.journal.born+1
	if err := p.journal.put(e); err != nil {
		return err
	}
	if err := p.bring(e, c, numbers); err != nil {
		return errors.Join(err, p.take(e))
	}
	return errors.Join(p.live(e), p.lead(before, dirOut, dirFwd, dirIn))
}

// errLost: an AEAD key must not see an IV twice, and the window of a new SA would let replays pass.
var errLost = fmt.Errorf("its SAs have vanished from the kernel, and nobody knows their last sequence numbers; a new child with fresh keys is needed: %w", sdk.ErrInvalid)

// live notes that the kernel had all of a child: from now on what is missing is lost.
func (p *Plugin) live(e *entry) error {
	e.Live = true
	return p.journal.put(e)
}

// carried is what the kernel still has of the numbers and windows of a child; nil for nothing.
type carried struct{ in, out []attribute }

// survivors looks also where a child was before an update that was cut short.
func (p *Plugin) survivors(e *entry) (n carried) {
	for _, c := range append([]sa.Child{e.Child}, e.Was...) {
		if s, err := p.kernel.getSA(inbound(&c)); err == nil && s != nil && n.in == nil {
			n.in = s.carry(false)
		}
		if s, err := p.kernel.getSA(outbound(&c)); err == nil && s != nil && n.out == nil {
			n.out = s.carry(true)
		}
	}
	return n
}

func (n carried) all(c *sa.Child) bool { return n.in != nil && (n.out != nil || c.Held) }

// kin is the reqid of a child whose policies c shares, so that both may send under them, or of the trap that it comes from, which
// ends the kernel's waiting for an SA; else its own.
func (p *Plugin) kin(c *sa.Child) uint32 {
	selectors, _ := policies(c)
	for _, t := range selectors {
		if e := p.journal.owner(t, dirIn); e != nil && e.Child.UID != c.UID && e.Child.Conn == c.Conn && e.Child.Name == c.Name {
			return e.ReqID
		}
		if trap := p.journal.traps[t]; trap != nil && trap.Conn == c.Conn && trap.Name == c.Name {
			return trap.ReqID
		}
	}
	return c.ReqID
}

// bring makes everything in the order that leaks nothing.
func (p *Plugin) bring(e *entry, c *sa.Child, numbers carried) error {
	to := *c
	to.ReqID = e.ReqID
	if err := p.arrange(e); err != nil {
		return err
	}
	if err := p.kernel.putSA(&to, inbound(&to), numbers.in); err != nil {
		return fmt.Errorf("inbound SA: %w", meaning(err))
	}
	if err := p.lead(e.traffic, dirIn, dirFwd); err != nil {
		return err
	}
	if !c.Held {
		if err := p.kernel.putSA(&to, outbound(&to), numbers.out); err != nil {
			return fmt.Errorf("outbound SA: %w", meaning(err))
		}
	}
	return p.lead(e.traffic, dirOut)
}

// lead makes policies of these directions lead to whom they belong to now; those that nobody needs are deleted.
func (p *Plugin) lead(all []traffic, dirs ...uint8) error {
	for _, dir := range dirs {
		for _, t := range all {
			var err error
			if c := p.journal.leads(t, dir); c != nil {
				err = p.kernel.putPolicy(c, t, dir)
			} else {
				err = p.kernel.dropPolicy(t, dir)
			}
			if err != nil {
				return fmt.Errorf("policy %v to %v: %w", t.local, t.remote, meaning(err))
			}
		}
	}
	return nil
}

// lost tells whether something of a child has vanished for good.
func (p *Plugin) lost(e *entry) bool { return e.Live && !p.holds(e) && !p.survivors(e).all(&e.Child) }

// holds tells whether the kernel still has the SAs.
func (p *Plugin) holds(e *entry) bool {
	c := e.kernel()
	for _, h := range halves(c) {
		if m, err := p.kernel.getSA(h); err != nil || m == nil || m.Reqid != reqID(c) {
			return false
		}
	}
	return true
}

func (p *Plugin) check(c *sa.Child) error {
	switch {
	case p.cfg.Owner != "" && c.Owner != p.cfg.Owner:
		return fmt.Errorf("its owner is %q, this plugin serves %q: %w", c.Owner, p.cfg.Owner, sdk.ErrInvalid)
	case c.SPIIn < minSPI || c.SPIOut < minSPI:
		return fmt.Errorf("an SPI below 256 (RFC 4303 section 2.1): %w", sdk.ErrInvalid)
	case !c.Local.IsValid() || c.Local.BitLen() != c.Remote.BitLen():
		return fmt.Errorf("outer addresses %v and %v are not two of one family: %w", c.Local, c.Remote, sdk.ErrInvalid)
	case c.ReplayWindow > maxReplayWindow:
		return fmt.Errorf("replay window of %d packets; at most %d: %w", c.ReplayWindow, maxReplayWindow, sdk.ErrUnsupported)
	case c.Encap && (c.LocalPort == 0 || c.RemotePort == 0):
		return fmt.Errorf("UDP encapsulation without ports: %w", sdk.ErrInvalid)
	}
	_, err := transforms(c, c.EncrOut, c.IntegOut)
	return err
}

// Remove implements sa.Plugin.
func (p *Plugin) Remove(_ context.Context, c sa.Child) (sa.Usage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.ready(); err != nil {
		return sa.Usage{}, fmt.Errorf("sa/xfrm: removing child %s of %s: %w", c.Name, c.Conn, err)
	}
	e := p.journal.entries[c.UID]
	if e == nil || e.Child.Owner != c.Owner {
		return sa.Usage{}, nil
	}
	usage, _ := p.usage(e)
	if err := p.take(e); err != nil {
		return usage, fmt.Errorf("sa/xfrm: removing child %s of %s: %w", c.Name, c.Conn, err)
	}
	return usage, nil
}

// take undoes bring in the other order. Policies that another child shares lead to it then.
func (p *Plugin) take(e *entry) error {
	p.journal.drop(e.Child.UID)
	err := p.lead(e.traffic, dirOut, dirFwd, dirIn)
	if err == nil {
		err = p.dropSAs(e)
	}
	if err == nil {
		err = p.clear(e)
	}
	if err != nil {
		p.journal.add(e) // for another try
		return err
	}
	return p.journal.gone(e.Child.UID)
}

// dropSAs deletes the SAs of a child, also where it was before.
func (p *Plugin) dropSAs(e *entry) error {
	for _, c := range append([]sa.Child{e.Child}, e.Was...) {
		for _, h := range []half{outbound(&c), inbound(&c)} {
			if err := p.kernel.dropSA(h); err != nil {
				return fmt.Errorf("SA %08x: %w", h.spi, meaning(err))
			}
		}
	}
	return nil
}
