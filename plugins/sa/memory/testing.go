package memory

import (
	"context"
	"slices"

	"github.com/parley-ike/parley/sdk/sa"
)

// What follows is not part of the contract: it is how a test looks into the backend and breaks it.

// SetFault makes every later call ask f first; nil ends that.
func (p *Plugin) SetFault(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// enter asks the fault, outside the lock because it may wait.
func (p *Plugin) enter(ctx context.Context, call string, c sa.Child) error {
	p.mu.Lock()
	fault := p.fault
	p.mu.Unlock()
	if fault != nil {
		if err := fault(ctx, call, c); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Counts returns what was done so far.
func (p *Plugin) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := p.counts
	counts.Installed, counts.Reserved = len(p.children), len(p.reserved)
	return counts
}

// Child returns an installed child with its keys.
func (p *Plugin) Child(owner string, uid sa.UID) (sa.Child, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.children[key{owner, uid}]
	return clone(c), ok
}

// Traps returns the traps of an owner.
func (p *Plugin) Traps(owner string) []sa.Trap {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.traps[owner])
}

// Lose forgets everything and changes the epoch, as a data plane does that was restarted.
func (p *Plugin) Lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.children {
		p.forget(c)
	}
	p.epoch++
}
