package sakit

import (
	"context"
	"errors"
)

func rekey(ctx context.Context, f Fixture) error {
	before, errBefore := f.child(ctx, 0)
	after, errAfter := f.child(ctx, 0)
	if err := errors.Join(errBefore, errAfter); err != nil {
		return err
	}
	if err := f.plugin().Install(ctx, before); err != nil {
		return err
	}
	return f.with(ctx, after, func() error {
		problem := errors.Join(f.wantListed(ctx, kitOwner, before, 1), f.wantListed(ctx, kitOwner, after, 1))
		_, err := f.plugin().Remove(ctx, before)
		return errors.Join(problem, err, f.wantListed(ctx, kitOwner, before, 0), f.looksLike(ctx, after))
	})
}

func held(ctx context.Context, f Fixture) error {
	before, errBefore := f.child(ctx, 0)
	after, errAfter := f.child(ctx, 0)
	if err := errors.Join(errBefore, errAfter); err != nil {
		return err
	}
	after.ReqID, after.Held = before.ReqID, true
	if err := f.plugin().Install(ctx, before); err != nil {
		return err
	}
	return f.with(ctx, after, func() error {
		problem := f.looksLike(ctx, after)
		after.Held = false
		problem = errors.Join(problem, f.plugin().Update(ctx, after), f.looksLike(ctx, after), f.looksLike(ctx, before))
		_, err := f.plugin().Remove(ctx, before)
		return errors.Join(problem, err, f.looksLike(ctx, after))
	})
}

func moves(ctx context.Context, f Fixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	moved := c
	moved.Remote = c.Remote.Next()
	return f.with(ctx, c, func() error {
		for range 2 { // the second time changes nothing
			if err := f.plugin().Update(ctx, moved); err != nil {
				return err
			}
			if err := errors.Join(f.looksLike(ctx, moved), f.wantListed(ctx, kitOwner, moved, 1)); err != nil {
				return err
			}
		}
		return errors.Join(f.plugin().Update(ctx, c), f.looksLike(ctx, c)) // and back
	})
}

func updateLost(ctx context.Context, f Fixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	if err := f.plugin().Update(ctx, c); err != nil {
		return err
	}
	problem := f.looksLike(ctx, c)
	_, err = f.plugin().Remove(ctx, c)
	return errors.Join(problem, err, f.wantListed(ctx, kitOwner, c, 0))
}
