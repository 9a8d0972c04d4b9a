package main

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/conformance/kit/sakit"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/ke"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

func judgeSA(ctx context.Context, _ *judgeOptions, s *subject, p *basev1.Provided, tell func(kit.Result)) error {
	return judge(ctx, s, sakit.Checks(), sakit.Fixture{Process: backend{s, p.GetName()}, EncapPort: s.encapPort}, tell)
}

// judgeKE has two processes, so that one finishes what the other initiated.
func judgeKE(ctx context.Context, o *judgeOptions, s *subject, p *basev1.Provided, tell func(kit.Result)) error {
	second, err := launch(ctx, o.launch)
	if err != nil {
		return err
	}
	defer second.close()
	turn := 0
	open := func() ke.Plugin {
		turn++
		return []*subject{s, second}[turn%2].now().KE(p.GetName())
	}
	return judge(ctx, s, kit.KEChecks(), open, tell)
}

// judgeAuth proves with pre-shared keys of the kit, so that authenticators that ask a store for other derivations fail.
func judgeAuth(ctx context.Context, _ *judgeOptions, s *subject, p *basev1.Provided, tell func(kit.Result)) error {
	for _, setting := range p.GetAuths() {
		fixture := kit.PSKFixture(func() auth.Plugin { return s.now().Auth(p.GetName()) }, setting)
		err := judge(ctx, s, kit.AuthChecks(), fixture, func(r kit.Result) {
			r.Name = setting + ": " + r.Name
			tell(r)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// judgeCred judges what the flags say that the store has.
func judgeCred(ctx context.Context, o *judgeOptions, s *subject, p *basev1.Provided, tell func(kit.Result)) error {
	if o.knownPeer != "" {
		if err := judgePSK(ctx, o, s, p, tell); err != nil {
			return err
		}
	}
	return o.keys.judge(ctx, s, p, tell)
}

func judgePSK(ctx context.Context, o *judgeOptions, s *subject, p *basev1.Provided, tell func(kit.Result)) error {
	fixture := kit.CredFixture{Open: func() cred.Plugin { return s.now().Cred(p.GetName()) }, Known: peer(o.knownPeer), Unknown: peer("nobody.invalid")}
	if o.keyFile != "" {
		key, err := os.ReadFile(o.keyFile)
		if err != nil {
			return err
		}
		if fixture.Key = bytes.TrimRight(key, "\r\n"); len(fixture.Key) == 0 {
			return fmt.Errorf("%s: %w", o.keyFile, errNoKey)
		}
	}
	return judge(ctx, s, kit.CredChecks(), fixture, tell)
}

// peer asks for the pre-shared key of a peer that is known by its FQDN (RFC 7296 section 3.5: type 2).
func peer(name string) cred.Query {
	return cred.Query{Purpose: cred.PSK, Remote: cred.Identity{Type: 2, Data: []byte(name)}}
}
