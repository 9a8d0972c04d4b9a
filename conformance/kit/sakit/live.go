package sakit

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/sdk/secret"
)

func probe(ctx context.Context, f Fixture) error {
	a, err := f.plugin().Probe(ctx)
	if err != nil {
		return err
	}
	if a.Name == "" || a.Reason == "" || len(a.Modes) == 0 || len(a.Algorithms) == 0 || a.Offload == "" {
		return fmt.Errorf("incomplete: %+v", a)
	}
	if !a.Usable {
		return fmt.Errorf("not usable here: %s", a.Reason)
	}
	b, err := f.plugin().Probe(ctx)
	if err != nil || !reflect.DeepEqual(a, b) {
		return fmt.Errorf("a second probe tells %+v, the first %+v, error %v", b, a, err)
	}
	return nil
}

func allocates(ctx context.Context, f Fixture) error {
	local, remote := f.addresses()
	seen := map[uint32]bool{}
	for range 256 {
		spi, err := f.plugin().AllocateSPI(ctx, local, remote)
		if err != nil {
			return err
		}
		if spi < 256 || seen[spi] {
			return fmt.Errorf("SPI %08x is reserved or was given out before", spi)
		}
		seen[spi] = true
	}
	return nil
}

func lives(ctx context.Context, f Fixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	if err := f.with(ctx, c, func() error { return f.looksLike(ctx, c) }); err != nil {
		return err
	}
	if _, err := f.plugin().Usage(ctx, c); err == nil {
		return errors.New("a removed child has counters")
	}
	return f.wantListed(ctx, kitOwner, c, 0)
}

func everyAlgorithm(ctx context.Context, f Fixture) error {
	suites, err := f.suites(ctx)
	if err != nil {
		return err
	}
	for n, s := range suites {
		c, err := f.childWith(ctx, n, s)
		if err == nil {
			err = f.with(ctx, c, func() error { return nil })
		}
		if err != nil {
			return fmt.Errorf("encryption %d with %d bits, integrity %d: %w", s.encr, s.keyBits, s.integ, err)
		}
	}
	return nil
}

func idempotent(ctx context.Context, f Fixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	return f.with(ctx, c, func() error {
		if err := f.plugin().Install(ctx, c); err != nil {
			return fmt.Errorf("install again: %w", err)
		}
		return f.wantListed(ctx, kitOwner, c, 1)
	})
}

func keyed(ctx context.Context, f Fixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	other, err := f.child(ctx, 1)
	if err != nil {
		return err
	}
	other.SPIIn = c.SPIIn
	return f.with(ctx, c, func() error {
		if err := f.plugin().Install(ctx, other); err == nil {
			_, err := f.plugin().Remove(ctx, other)
			return errors.Join(fmt.Errorf("two children have the inbound SPI %08x", c.SPIIn), err)
		}
		return errors.Join(f.looksLike(ctx, c), f.wantListed(ctx, kitOwner, other, 0))
	})
}

func removeTwice(ctx context.Context, f Fixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	if _, err := f.plugin().Remove(ctx, c); err != nil {
		return fmt.Errorf("never installed: %w", err)
	}
	if err := f.with(ctx, c, func() error { return nil }); err != nil {
		return err
	}
	_, err = f.plugin().Remove(ctx, c)
	return err
}

func owners(ctx context.Context, f Fixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	return f.with(ctx, c, func() error {
		theirs := c
		theirs.Owner = otherOwner
		_, err := f.plugin().Remove(ctx, theirs)
		return errors.Join(err, f.wantListed(ctx, otherOwner, c, 0), f.wantListed(ctx, kitOwner, c, 1))
	})
}

func frees(ctx context.Context, f Fixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	for range 2 { // the second time it is not there
		if err := f.plugin().FreeSPI(ctx, c.Local, c.Remote, c.SPIIn); err != nil {
			return err
		}
	}
	if c, err = f.child(ctx, 0); err != nil {
		return err
	}
	return f.with(ctx, c, func() error {
		return errors.Join(f.plugin().FreeSPI(ctx, c.Local, c.Remote, c.SPIIn), f.looksLike(ctx, c))
	})
}

func owned(ctx context.Context, f Fixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	mine := c
	mine.EncrIn, mine.EncrOut, mine.IntegIn, mine.IntegOut = c.EncrIn.Clone(), c.EncrOut.Clone(), c.IntegIn.Clone(), c.IntegOut.Clone()
	return f.with(ctx, mine, func() error {
		for _, k := range []secret.Bytes{mine.EncrIn, mine.EncrOut, mine.IntegIn, mine.IntegOut} {
			k.Wipe() // as the core does once the backend has answered
		}
		if err := f.plugin().Install(ctx, c); err != nil {
			return fmt.Errorf("after the keys of the first call were wiped, the same child again: %w", err)
		}
		return nil
	})
}

func manyAtOnce(ctx context.Context, f Fixture) error {
	many := f.Many
	if many == 0 {
		many = defaultMany
	}
	return kit.Together(func(worker int) error {
		var problems []error
		for n := worker; n < many; n += kit.Concurrency {
			c, err := f.child(ctx, n)
			if err == nil {
				err = f.with(ctx, c, func() error { return f.wantListed(ctx, kitOwner, c, 1) })
			}
			problems = append(problems, err)
		}
		return errors.Join(problems...)
	})
}

func obeysContext(ctx context.Context, f Fixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	_, allocate := f.plugin().AllocateSPI(kit.Canceled(ctx), c.Local, c.Remote)
	install := f.plugin().Install(kit.Canceled(ctx), c)
	update := f.plugin().Update(kit.Canceled(ctx), c)
	_, list := f.plugin().List(kit.Canceled(ctx), kitOwner)
	_, remove := f.plugin().Remove(ctx, c)
	return errors.Join(kit.WantCanceled("allocate an SPI", allocate), kit.WantCanceled("install", install), kit.WantCanceled("update", update),
		kit.WantCanceled("list", list), remove)
}
