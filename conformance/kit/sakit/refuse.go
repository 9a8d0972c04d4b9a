package sakit

import (
	"context"
	"errors"
	"slices"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

func unsupported(ctx context.Context, f Fixture) error {
	c, err := f.child(ctx, 0)
	if err != nil {
		return err
	}
	encr, integ := c, c
	encr.Encr = 1023 // the last before private use
	integ.Integ = 1023
	var problems []error
	for what, wrong := range map[string]sa.Child{"encryption 1023": encr, "integrity 1023": integ} {
		problems = append(problems, kit.WantError(what, f.plugin().Install(ctx, wrong), sdk.ErrUnsupported), f.wantListed(ctx, kitOwner, wrong, 0))
	}
	return errors.Join(append(problems, unknownSettings(ctx, f, c))...)
}

// unknownSettings asks for settings that the backend has not told of.
func unknownSettings(ctx context.Context, f Fixture, c sa.Child) error {
	can, err := f.plugin().Probe(ctx)
	if err != nil {
		return err
	}
	problems := []error{}
	for name, h := range settings {
		if wrong := c; !slices.Contains(can.Settings, name) {
			wrong.Handling = h
			problems = append(problems, kit.WantError("setting "+name, f.plugin().Install(ctx, wrong), sdk.ErrUnsupported), f.wantListed(ctx, kitOwner, wrong, 0))
		}
	}
	return errors.Join(problems...)
}
