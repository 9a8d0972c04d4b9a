package engine

import (
	"context"
	"fmt"

	"github.com/parley-ike/parley/core/ikev2"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// SetPolicy puts another policy in force for SAs to come. SAs that exist keep theirs.
func (e *Engine) SetPolicy(s *policy.Snapshot) {
	env := &ikev2.Env{Policy: s}
	if old, ok := e.versions.Load().two.(*IKEv2); ok {
		env.Limits, env.ExportKeys = old.env.Limits, old.env.ExportKeys
	}
	e.set(versions{NewIKEv2(env), e.versions.Load().one})
}

// Reconfigure has the IKE SAs of a connection go on with its present version, which differs in the children only, and returns how
// many there are. It goes on after it returns.
func (e *Engine) Reconfigure(ctx context.Context, conn string) (int, error) {
	c := e.versions.Load().connection(conn)
	if c == nil {
		return 0, fmt.Errorf("there is no connection %q in the configuration", conn)
	}
	return e.command(ctx, Selector{Conn: conn}, machine.Reconfigure{Connection: c})
}
