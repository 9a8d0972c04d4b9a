package sakit

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-ike/parley/conformance/kit"
)

// rounds is how often a race between two calls is tried.
const rounds = 32

func keepsOrder(ctx context.Context, f Fixture) error {
	pipeliner, ok := f.plugin().(Pipeliner)
	if !ok {
		return kit.Skip("in one process a caller waits for each answer")
	}
	for range rounds {
		c, err := f.child(ctx, 0)
		if err != nil {
			return err
		}
		installed, removed := pipeliner.InstallThenRemove(ctx, c)
		if err := errors.Join(installed, removed, f.wantListed(ctx, kitOwner, c, 0)); err != nil {
			_, _ = f.plugin().Remove(ctx, c)
			return fmt.Errorf("a child that was installed and, without waiting, removed: %w", err)
		}
	}
	return nil
}

func survives(ctx context.Context, f Fixture) error {
	if f.Process == nil {
		return kit.Skip("there is no process to kill")
	}
	before, err := f.plugin().Probe(ctx)
	if err != nil {
		return err
	}
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	if err := f.plugin().Install(ctx, c); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if err := f.Process.Restart(ctx); err != nil {
		return fmt.Errorf("after SIGKILL: %w", err)
	}
	problem := f.keptOrTold(ctx, c.SPIIn, before.Epoch, func() error { return f.looksLike(ctx, c) })
	_, err = f.plugin().Remove(ctx, c)
	return errors.Join(problem, err, f.wantListed(ctx, kitOwner, c, 0))
}

// keptOrTold accepts what is as it was, or an epoch that tells that it is not.
func (f Fixture) keptOrTold(ctx context.Context, spi uint32, epoch uint64, asItWas func() error) error {
	now, err := f.plugin().Probe(ctx)
	if err != nil || now.Epoch != epoch {
		return err
	}
	if err := asItWas(); err != nil {
		return fmt.Errorf("the child with SPI %08x is not as it was after SIGKILL, and the epoch is still %d: %w", spi, epoch, err)
	}
	return nil
}
