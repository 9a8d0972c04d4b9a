package sakit

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

// backend fulfils the contract, but for the fault that is named.
type backend struct {
	fault string
	epoch uint64
	busy  atomic.Int32

	mu       sync.Mutex
	next     uint32
	children map[sa.UID]sa.Child
}

func (b *backend) Probe(ctx context.Context) (sa.Capabilities, error) {
	return sa.Capabilities{
		Name: "reference", Usable: b.fault != "not usable", Reason: "a reference", Modes: []sa.Mode{sa.Tunnel, sa.Transport}, Offload: "none",
		Algorithms: []sa.Algorithm{{Type: 1, ID: 20, KeyBits: []uint16{128, 256}}}, Traps: true, ESN: true, Encap: true, TFC: true,
		MaxReplayWindow: 64, Settings: []string{sa.SettingMark, sa.SettingBypass, sa.SettingDiscard}, Epoch: b.epoch,
	}, ctx.Err()
}

func (b *backend) AllocateSPI(ctx context.Context, _, _ netip.Addr) (uint32, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.fault {
	case "context ignored":
		ctx = context.WithoutCancel(ctx)
	case "reserved SPI":
		return b.next - 200, nil
	case "SPI twice":
		return b.next, nil
	}
	b.next++
	return b.next, ctx.Err()
}

func (b *backend) Install(ctx context.Context, c sa.Child) error {
	if b.fault == "one call at a time or wrong" && b.crowded() {
		return errors.New("reference: two calls met")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if ctx.Err() != nil && b.fault != "installed although ctx is over" {
		return ctx.Err()
	}
	if known := c.Encr == 20 && c.Integ == 0; !known && b.fault != "unknown algorithm taken" {
		return sdk.ErrUnsupported
	}
	if needs := c.Handling.Needs(); len(needs) > 0 && !slices.Equal(needs, []string{sa.SettingMark}) && b.fault != "unknown setting taken" {
		return sdk.ErrUnsupported
	}
	if b.refuses(c) {
		return sdk.ErrUnsupported
	}
	if b.fault == "claims what it cannot" && c.KeyBits == 256 {
		return sdk.ErrUnsupported
	}
	if have, ok := b.children[c.UID]; ok {
		return b.again(have, c)
	}
	for uid, have := range b.children {
		if have.SPIIn == c.SPIIn && b.fault != "SPI taken twice" {
			return errors.New("reference: file exists")
		}
		if b.fault == "one child for each selector" && reflect.DeepEqual(have.LocalTS, c.LocalTS) {
			delete(b.children, uid)
		}
	}
	if b.fault != "keys are the caller's" {
		c.EncrIn = c.EncrIn.Clone()
	}
	b.children[c.UID] = c
	return nil
}

func (b *backend) SetTraps(ctx context.Context, _ string, traps []sa.Trap) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range traps {
		if len(t.LocalTS) == 0 && b.fault != "any trap is set" {
			return sdk.ErrInvalid
		}
		if t.Action != sa.Acquire && b.fault == "bypass claimed and refused" {
			return sdk.ErrUnsupported
		}
	}
	return ctx.Err()
}

func (b *backend) FreeSPI(_ context.Context, _, _ netip.Addr, spi uint32) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for uid, c := range b.children {
		if c.SPIIn == spi && b.fault == "any SPI is freed" {
			delete(b.children, uid)
		}
	}
	return nil
}

func (b *backend) Update(ctx context.Context, c sa.Child) error {
	b.mu.Lock()
	have, ok := b.children[c.UID]
	if ok && ctx.Err() == nil {
		switch b.fault {
		case "stays held":
			c.Held = have.Held
		case "stays where it was":
			c.Remote = have.Remote
		case "limits stay":
			if c.Soft != have.Soft {
				b.mu.Unlock()
				return errors.New("reference: limits cannot change")
			}
		}
		b.children[c.UID] = c
	}
	b.mu.Unlock()
	if ok || b.fault == "what is lost stays lost" {
		return ctx.Err()
	}
	return b.Install(ctx, c)
}

func (b *backend) again(have, c sa.Child) error {
	if b.fault == "second install fails" || !have.EncrIn.Equal(c.EncrIn) {
		return errors.New("reference: file exists")
	}
	return nil
}

func (b *backend) Remove(ctx context.Context, c sa.Child) (sa.Usage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	have, ok := b.children[c.UID]
	if !ok && b.fault == "second removal fails" {
		return sa.Usage{}, errors.New("reference: no such process")
	}
	if ok && (have.Owner == c.Owner || b.fault == "owners ignored") {
		delete(b.children, c.UID)
	}
	return sa.Usage{}, ctx.Err()
}

func (b *backend) Usage(ctx context.Context, c sa.Child) (sa.Usage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.children[c.UID]; !ok && b.fault != "counters of the dead" {
		return sa.Usage{}, errors.New("reference: no such process")
	}
	return sa.Usage{}, ctx.Err()
}

func (b *backend) List(ctx context.Context, owner string) ([]sa.Child, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []sa.Child
	for _, c := range b.children {
		if c.Owner == owner && b.fault != "not listed" {
			list = append(list, c)
		}
	}
	return list, ctx.Err()
}

// refuses what it claims to do.
func (b *backend) refuses(c sa.Child) bool {
	switch b.fault {
	case "transport claimed and refused":
		return c.Mode == sa.Transport
	case "ESN claimed and refused":
		return c.ESN
	case "window claimed and refused":
		return c.ReplayWindow >= 64 && c.ESN
	case "encapsulation claimed and refused":
		return c.Encap
	case "padding claimed and refused":
		return c.TFC > 0
	case "mark claimed and refused":
		return c.Handling.MarkMask != 0
	}
	return false
}

// crowded says that another call is running, once calls had a chance to meet.
func (b *backend) crowded() bool {
	defer b.busy.Add(-1)
	n := b.busy.Add(1)
	for range 200 {
		runtime.Gosched()
		n = max(n, b.busy.Load())
	}
	return n > 1
}

// InstallThenRemove implements Pipeliner.
func (b *backend) InstallThenRemove(ctx context.Context, c sa.Child) (installed, removed error) {
	if b.fault == "removal overtakes installation" {
		_, removed = b.Remove(ctx, c)
		return b.Install(ctx, c), removed
	}
	installed = b.Install(ctx, c)
	_, removed = b.Remove(ctx, c)
	return installed, removed
}

// process is a backend that can be killed.
type process struct{ *backend }

func (p process) Plugin() sa.Plugin { return p.backend }

func (p process) Restart(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == "does not come back" {
		return errors.New("reference: ended before its handshake")
	}
	clear(p.children)
	if p.fault != "epoch stays" {
		p.epoch++
	}
	return nil
}

// modest claims as little as the contract allows.
type modest struct{ sa.Plugin }

func (m modest) Probe(ctx context.Context) (sa.Capabilities, error) {
	c, err := m.Plugin.Probe(ctx)
	return sa.Capabilities{Name: c.Name, Usable: true, Reason: c.Reason, Modes: []sa.Mode{sa.Tunnel}, Algorithms: c.Algorithms, Offload: "none"}, err
}

func (m modest) Install(ctx context.Context, c sa.Child) error {
	if len(c.Handling.Needs()) > 0 {
		return sdk.ErrUnsupported
	}
	return m.Plugin.Install(ctx, c)
}
