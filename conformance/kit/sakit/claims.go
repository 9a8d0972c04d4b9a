package sakit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

func traps(ctx context.Context, f Fixture) error {
	trapper, _, err := f.trapper(ctx)
	if err != nil {
		return err
	}
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	for _, set := range [][]sa.Trap{{trap(c, 0), trap(c, 1)}, {trap(c, 0), trap(c, 1)}, {trap(c, 0)}} {
		if err := trapper.SetTraps(ctx, kitOwner, set); err != nil {
			return fmt.Errorf("setting %d traps: %w", len(set), err)
		}
	}
	problem := f.with(ctx, c, func() error {
		return errors.Join(f.looksLike(ctx, c), trapper.SetTraps(ctx, otherOwner, nil))
	})
	bad := trap(c, 0)
	bad.LocalTS = nil
	if trapper.SetTraps(ctx, kitOwner, []sa.Trap{bad}) == nil {
		problem = errors.Join(problem, errors.New("a trap without selectors was set"))
	}
	return errors.Join(problem, trapper.SetTraps(ctx, kitOwner, nil), kit.WantCanceled("set traps", trapper.SetTraps(kit.Canceled(ctx), kitOwner, nil)))
}

// trapper is the backend as one that catches packets.
func (f Fixture) trapper(ctx context.Context) (sa.Trapper, sa.Capabilities, error) {
	can, err := f.plugin().Probe(ctx)
	if err != nil {
		return nil, can, err
	}
	if !can.Traps {
		return nil, can, kit.Skip("the probe tells of no traps")
	}
	trapper, ok := f.plugin().(sa.Trapper)
	if !ok {
		return nil, can, errors.New("the probe tells of traps, and there are none")
	}
	return trapper, can, nil
}

func trap(c sa.Child, n int) sa.Trap {
	return sa.Trap{Conn: c.Conn, Name: c.Name, Local: c.Local, Remote: c.Remote, LocalTS: selector(10, n), RemoteTS: selector(11, n)}
}

func actions(ctx context.Context, f Fixture) error {
	trapper, can, err := f.trapper(ctx)
	if err != nil {
		return err
	}
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	var claimed bool
	var problems []error
	for name, action := range map[string]sa.Action{sa.SettingBypass: sa.Bypass, sa.SettingDiscard: sa.Discard} {
		t := trap(c, 0)
		t.Action = action
		set := trapper.SetTraps(ctx, kitOwner, []sa.Trap{t})
		if slices.Contains(can.Settings, name) {
			claimed = true
			problems = append(problems, set)
		} else {
			problems = append(problems, kit.WantError(name, set, sdk.ErrUnsupported))
		}
	}
	problems = append(problems, trapper.SetTraps(ctx, kitOwner, nil))
	if err := errors.Join(problems...); err != nil || claimed {
		return err
	}
	return kit.Skip("the probe tells of neither %s nor %s", sa.SettingBypass, sa.SettingDiscard)
}

// can gates a check by what the probe tells.
func can(claimed func(sa.Capabilities) bool, without string, change func(*sa.Child, sa.Capabilities)) func(context.Context, Fixture) error {
	return func(ctx context.Context, f Fixture) error {
		capabilities, err := f.plugin().Probe(ctx)
		if err != nil {
			return err
		}
		if !claimed(capabilities) {
			return kit.Skip("%s", without)
		}
		c, err := f.child(ctx, 0)
		if err != nil {
			return err
		}
		change(&c, capabilities)
		return f.with(ctx, c, func() error { return f.looksLike(ctx, c) })
	}
}

var transport = can(func(c sa.Capabilities) bool { return slices.Contains(c.Modes, sa.Transport) }, "the probe does not tell of transport mode",
	func(c *sa.Child, _ sa.Capabilities) {
		c.Mode = sa.Transport
		c.LocalTS, c.RemoteTS = host(c.Local), host(c.Remote)
	})

var esn = can(func(c sa.Capabilities) bool { return c.ESN }, "the probe does not tell of ESN", func(c *sa.Child, _ sa.Capabilities) { c.ESN = true })

var widestWindow = can(func(c sa.Capabilities) bool { return c.MaxReplayWindow > 0 }, "the probe tells of no replay window",
	func(c *sa.Child, can sa.Capabilities) { c.ReplayWindow, c.ESN = can.MaxReplayWindow, can.ESN })

func encap(ctx context.Context, f Fixture) error {
	return can(func(c sa.Capabilities) bool { return c.Encap }, "the probe does not tell of ESP in UDP", func(c *sa.Child, _ sa.Capabilities) {
		c.Encap, c.LocalPort, c.RemotePort = true, nattPort, nattPort
		if f.EncapPort != 0 {
			c.LocalPort = f.EncapPort
		}
	})(ctx, f)
}

// nattPort is that of RFC 3947.
const nattPort = 4500

var tfc = can(func(c sa.Capabilities) bool { return c.TFC }, "the probe does not tell of padding", func(c *sa.Child, _ sa.Capabilities) { c.TFC = 1200 })

// settings are values of Handling that need nothing of the machine.
var settings = map[string]sa.Handling{
	sa.SettingMark: {Mark: 1, MarkMask: 1}, sa.SettingOutputMark: {OutputMark: 1, OutputMarkMask: 1}, sa.SettingIfID: {IfID: 1}, sa.SettingDF: {ClearDF: true},
	sa.SettingECN: {IgnoreECN: true}, sa.SettingDSCP: {DSCP: sa.DSCPNone}, sa.SettingOffload: {Offload: sa.OffloadAuto},
}

func everySetting(ctx context.Context, f Fixture) error {
	capabilities, err := f.plugin().Probe(ctx)
	if err != nil {
		return err
	}
	var problems []error
	tried := 0
	for name, h := range settings {
		if !slices.Contains(capabilities.Settings, name) {
			continue
		}
		c, err := f.child(ctx, tried)
		if err == nil {
			c.Handling = h
			err = f.with(ctx, c, func() error { return f.looksLike(ctx, c) })
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("setting %s: %w", name, err))
		}
		tried++
	}
	if tried == 0 {
		return kit.Skip("the probe tells of no setting that needs nothing of the machine")
	}
	return errors.Join(problems...)
}

func limits(ctx context.Context, f Fixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	c.Soft, c.Hard = sa.Volume{Bytes: 1 << 30, Packets: 1 << 20}, sa.Volume{Bytes: 1 << 31, Packets: 1 << 21}
	return f.with(ctx, c, func() error {
		more := c
		more.Soft, more.Hard = sa.Volume{Bytes: 1 << 32}, sa.Volume{}
		return errors.Join(f.looksLike(ctx, c), f.plugin().Update(ctx, more), f.looksLike(ctx, more))
	})
}
