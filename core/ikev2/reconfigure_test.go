package ikev2

import (
	"slices"
	"strings"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// reconfigure gives an SA another version of its node's connection. Words say what is different: "-lan" is gone, "dmz" is new with
// selectors of its own, "lan=10.1.7.0/24" has other local ones.
func (p *player) reconfigure(sa *host, words []string) {
	p.t.Helper()
	conn := *sa.node.conn
	conn.Children = slices.Clone(conn.Children)
	for _, w := range words {
		name, local, changed := strings.Cut(w, "=")
		i := slices.IndexFunc(conn.Children, func(c *policy.Child) bool { return c.Name == strings.TrimPrefix(name, "-") })
		switch {
		case strings.HasPrefix(name, "-"):
			conn.Children = slices.Delete(conn.Children, i, i+1)
		case changed:
			c := *conn.Children[i]
			c.LocalTS = p.selectors(local)
			conn.Children[i] = &c
		default:
			c := *conn.Children[0]
			c.Name, c.LocalTS, c.RemoteTS = name, p.selectors("10.11.0.0/16"), p.selectors("10.12.0.0/16")
			conn.Children = append(conn.Children, &c)
		}
	}
	p.step(sa, machine.Reconfigure{Connection: &conn})
}
