package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// session is how the IKE SAs of a world relate and live. It has randomness of its own.
type session struct {
	rand      *rand.Rand
	unique    [2]policy.Unique
	childless [2]policy.Childless
	transport bool
	again     int // further attempts of east
	reauth    int // orders to reauthenticate
}

// drawSession makes up the session of a world. Most worlds are as they come without configuration.
func drawSession(seed uint64, f faults) session {
	r := rand.New(rand.NewPCG(seed, 0x5e5510))
	one := func(common, rare, rarest int) int { return []int{common, common, common, rare, rarest}[r.IntN(5)] }
	s := session{rand: r, again: one(0, 1, 3), reauth: one(0, 1, 2), transport: one(0, 0, 1) == 1 && !f.nat && !f.wrongSelectors && !f.roaming.moving() && f.redirects.at == 0}
	for i := range s.unique {
		s.unique[i] = policy.Unique(one(int(policy.UniqueReplace), int(policy.UniqueNever), int(policy.UniqueKeep)))
		s.childless[i] = policy.Childless(one(int(policy.ChildlessAllow), int(policy.ChildlessNever), int(policy.ChildlessPrefer)))
	}
	return s
}

// apply puts the session into the connection of a node.
func (s session) apply(node int, c *policy.Connection) {
	c.Unique, c.Childless = s.unique[node], s.childless[node]
	if s.transport {
		child := c.Children[0]
		child.Mode, child.LocalTS, child.RemoteTS = policy.Transport, nil, nil // the hosts themselves
	}
}

// plan lays down what operators order in the storm.
func (s session) plan(w *world) {
	sometime := func(do func()) { w.clock.in(time.Duration(s.rand.Int64N(int64(storm))), do) }
	for range s.again {
		sometime(w.nodes[0].initiate)
	}
	for range s.reauth {
		n := w.nodes[s.rand.IntN(2)]
		sometime(func() { n.command(machine.Reauthenticate{}) })
	}
}

// sole: where a side permits one IKE SA only, there is one at most after the calm.
func (s session) sole(w *world) {
	if s.unique[0] == policy.UniqueNever && s.unique[1] == policy.UniqueNever {
		return
	}
	for _, n := range w.nodes {
		if up := len(n.established()); up > 1 {
			w.fail("%s has %d IKE SAs, though unique is %v and %v", n.name, up, s.unique[0], s.unique[1])
		}
	}
}

func (s session) String() string {
	return fmt.Sprintf("unique %v, childless %v, transport %v, again %d, reauth %d", s.unique, s.childless, s.transport, s.again, s.reauth)
}
