package kit

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
)

// skeyid is what both sides of an IKEv1 exchange ask for.
func (f AuthFixture) skeyid(prf uint16) auth.SKEYID {
	return auth.SKEYID{Auth: f.Auth, Local: f.East, Remote: f.West, PRF: prf, Data: octets('n')}
}

// derives reports whether p gives SKEYID at all; an authenticator need not.
func (f AuthFixture) derives(ctx context.Context, p auth.Plugin) bool {
	_, err := auth.DeriveSKEYID(ctx, p, f.EastHost, f.skeyid(5))
	return !errors.Is(err, sdk.ErrUnsupported)
}

func authSKEYID(ctx context.Context, f AuthFixture) error {
	east, west := f.Open(), f.Open()
	if !f.derives(ctx, east) {
		return nil
	}
	seen := map[string]string{}
	for prf := range prfs {
		at := f.skeyid(prf)
		other, changed := at, at
		other.Local, other.Remote = at.Remote, at.Local
		changed.Data = octets('o')
		a, errA := auth.DeriveSKEYID(ctx, east, f.EastHost, at)
		b, errB := auth.DeriveSKEYID(ctx, west, f.WestHost, other)
		c, errC := auth.DeriveSKEYID(ctx, east, f.EastHost, changed)
		d, errD := auth.DeriveSKEYID(ctx, east, f.WrongHost, at)
		if err := errors.Join(errA, errB, errC, errD); err != nil {
			return fmt.Errorf("PRF %d: %w", prf, err)
		}
		if len(a) != prfs[prf]().Size() || !bytes.Equal(a, b) {
			return fmt.Errorf("PRF %d: %d and %d octets, which differ or are not as long as the PRF's output", prf, len(a), len(b))
		}
		for what, value := range map[string][]byte{"itself": a, "other nonces": c, "another key": d} {
			if before, ok := seen[string(value)]; ok {
				return fmt.Errorf("PRF %d: %s gives the value of %s", prf, what, before)
			}
			seen[string(value)] = what
		}
	}
	return nil
}

func authNoSKEYID(ctx context.Context, f AuthFixture) error {
	p := f.Open()
	if !f.derives(ctx, p) {
		return nil
	}
	_, none := auth.DeriveSKEYID(ctx, p, f.EmptyHost, f.skeyid(5))
	strange := f.skeyid(5)
	strange.Auth = "no such method"
	_, other := auth.DeriveSKEYID(ctx, p, f.EastHost, strange)
	return errors.Join(WantError("SKEYID without a key", none, sdk.ErrNoCredential), WantError("SKEYID by another setting", other, sdk.ErrUnsupported))
}

// authVersion looks at those who give SKEYID: with it there is nothing to sign, and a proof of IKEv2 must not be made of HASH_I.
func authVersion(ctx context.Context, f AuthFixture) error {
	p := f.Open()
	if !f.derives(ctx, p) {
		return nil
	}
	v, err := f.proof(ctx, p, f.EastHost, 5)
	if err != nil {
		return err
	}
	s := f.signEast(5)
	s.Version, v.Version = 1, 1
	_, err = p.Sign(ctx, f.EastHost, s)
	return errors.Join(WantError("sign", err, sdk.ErrUnsupported), f.refused(ctx, p, f.WestHost, "verify", v, sdk.ErrUnsupported))
}
