package daemon

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parley-ike/parley/core/pluginhost"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// narrow leaves of a child's proposals what its SA backend can carry, so that nothing else is proposed or accepted: an SA that a
// backend refuses when both sides have agreed is no tunnel. A replay window that nobody chose becomes as large as the backend can.
func narrow(c *policy.Child, can pluginhost.Capabilities) {
	if !can.Usable {
		return
	}
	all := c.ESP
	if c.ESP = carried(all, can.Algorithms); width(c.ESP) < width(all) {
		c.BackendReason += "; of the proposals it carries " + texts(c.ESP)
	}
	if c.ReplayWindow == policy.DefaultReplayWindow && can.MaxReplayWindow != 0 {
		c.ReplayWindow = min(c.ReplayWindow, can.MaxReplayWindow)
	}
}

// carried returns what can be done of proposals, in their order. A backend that lists no algorithm may do any.
func carried(all []policy.Proposal, algorithms []pluginhost.Algorithm) (out []policy.Proposal) {
	if len(algorithms) == 0 {
		return all
	}
	for _, p := range all {
		left := slices.DeleteFunc(slices.Clone(p), func(t policy.Transform) bool { return !does(algorithms, t) })
		if has(left, wire2.TransformENCR) == has(p, wire2.TransformENCR) && has(left, wire2.TransformINTEG) == has(p, wire2.TransformINTEG) {
			out = append(out, left)
		}
	}
	return out
}

func width(all []policy.Proposal) (n int) {
	for _, p := range all {
		n += len(p)
	}
	return n
}

// texts writes proposals as the configuration does.
func texts(all []policy.Proposal) string {
	var words []string
	for _, p := range all {
		words = append(words, p.String())
	}
	return strings.Join(words, " ")
}

// does tells whether a transform is none of a backend's business, or among what it can do.
func does(algorithms []pluginhost.Algorithm, t policy.Transform) bool {
	if t.Type != wire2.TransformENCR && t.Type != wire2.TransformINTEG || t.ID == 0 {
		return true
	}
	return slices.ContainsFunc(algorithms, func(a pluginhost.Algorithm) bool {
		return a.Type == uint8(t.Type) && a.ID == t.ID && (t.KeyBits == 0 || slices.Contains(a.KeyBits, uint16(t.KeyBits)))
	})
}

func has(p policy.Proposal, typ wire2.TransformType) bool {
	return slices.ContainsFunc(p, func(t policy.Transform) bool { return t.Type == typ && t.ID != 0 })
}

// lacksSuite says why a backend can carry none of what a child proposes; "" when it can.
func lacksSuite(c *policy.Child, backend string, can pluginhost.Capabilities) string {
	if len(c.ESP) == 0 || len(carried(c.ESP, can.Algorithms)) > 0 {
		return ""
	}
	return fmt.Sprintf("SA backend %s can carry none of the child's proposals; write others (it does %s), or name another backend", backend, words(can.Algorithms))
}

// words lists algorithms as the configuration writes them.
func words(algorithms []pluginhost.Algorithm) string {
	var all policy.Proposal
	for _, a := range algorithms {
		sizes := a.KeyBits
		if sizes == nil {
			sizes = []uint16{0}
		}
		for _, bits := range sizes {
			all = append(all, policy.Transform{Type: wire2.TransformType(a.Type), ID: a.ID, KeyBits: int(bits)})
		}
	}
	return all.String()
}
