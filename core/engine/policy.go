package engine

import (
	"context"
	"fmt"

	"github.com/parley-ike/parley/core/ikev1"
	"github.com/parley-ike/parley/core/ikev2"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// Protocols returns what speaks by a policy: IKEv2, and IKEv1 when a connection has it, or nil. exportKeys has machines tell their keys.
func Protocols(s *policy.Snapshot, exportKeys bool) (Protocol, Protocol1) {
	two := NewIKEv2(&ikev2.Env{Policy: s, ExportKeys: exportKeys})
	if len(s.Speaking(majorVersion1).Connections) == 0 {
		return two, nil
	}
	return two, NewIKEv1(&ikev1.Env{Policy: s, ExportKeys: exportKeys})
}

// SetPolicy puts another policy in force for SAs to come. SAs that exist keep theirs.
func (e *Engine) SetPolicy(s *policy.Snapshot) {
	exports := false
	if old, ok := e.versions.Load().two.(*IKEv2); ok {
		exports = old.env.ExportKeys
	}
	two, one := Protocols(s, exports)
	e.set(versions{two, one})
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
