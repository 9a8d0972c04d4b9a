package sim

import (
	"fmt"
	"math/rand/v2"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// messages says how IKE messages travel in a world: how large they are, how large the path lets them be (RFC 7383), and how many
// requests may be at a peer at once (RFC 7296 section 2.3).
type messages struct {
	mtu    int  // octets; larger IP datagrams vanish. 0: none do
	bulky  bool // IKE_AUTH is larger than any mtu
	size   [2]int
	window [2]int
	churn  int // commands to make and to end children, in the storm
}

// messagesSalt tells the generator of messages from that of the world.
const messagesSalt = 0x5e55a6e5

// drawMessages makes up the messages of a world. Every mtu lets the smallest fragments pass, or there was no way.
func drawMessages(seed uint64) messages {
	r := rand.New(rand.NewPCG(seed, messagesSalt))
	var m messages
	m.bulky = r.IntN(3) == 0
	if r.IntN(3) == 0 {
		m.mtu = 576 + r.IntN(700)
	}
	for i := range m.size {
		m.size[i] = []int{policy.DefaultFragmentSize, policy.DefaultFragmentSize, policy.MinFragmentSize + r.IntN(400), 0}[r.IntN(4)]
		if m.mtu != 0 && m.bulky && m.size[i] == 0 { // hopeless otherwise
			m.size[i] = policy.DefaultFragmentSize
		}
		m.window[i] = 1 + r.IntN(2)*r.IntN(8)
	}
	if r.IntN(3) == 0 {
		m.churn = r.IntN(30)
	}
	return m
}

// uncertain reports whether a message has so many fragments that a little loss may cost several repetitions.
func (m messages) uncertain() bool { return m.bulky || m.mtu != 0 }

const (
	// selectors of a bulky child: 30 of 16 octets in either TS payload are about 1000 octets of IKE_AUTH.
	bulkySelectors = 30
	// furtherChildren may be made and ended in the storm, by either side.
	furtherChildren = 3
)

// connect gives a side its sizes, and the children.
func (m messages) connect(w *world, name string, c *policy.Connection) {
	side := map[string]int{"east": 0, "west": 1}[name]
	c.FragmentSize, c.Window = m.size[side], m.window[side]
	local, remote := 1+side, 2-side // the second octets of both sides' networks
	if lan := c.Children[0]; m.bulky && !w.faults.wrongSelectors {
		lan.LocalTS, lan.RemoteTS = nil, nil
		for i := range bulkySelectors {
			lan.LocalTS = append(lan.LocalTS, w.selector(fmt.Sprintf("10.%d.%d.0/24", local, 2*i)))
			lan.RemoteTS = append(lan.RemoteTS, w.selector(fmt.Sprintf("10.%d.%d.0/24", remote, 2*i)))
		}
	}
	for i := range furtherChildren {
		c.Children = append(c.Children, &policy.Child{Name: furtherChild(i),
			LocalTS:  []policy.Selector{w.selector(fmt.Sprintf("10.%d%d.0.0/16", local, i))},
			RemoteTS: []policy.Selector{w.selector(fmt.Sprintf("10.%d%d.0.0/16", remote, i))}})
	}
}

func furtherChild(i int) string { return fmt.Sprintf("further-%d", i) }

// off turns off what the defaults have turned on.
func (m messages) off(name string, c *policy.Connection) {
	if m.size[map[string]int{"east": 0, "west": 1}[name]] == 0 {
		c.FragmentSize = 0
	}
}

// swallows reports whether a datagram is too large for the path. IP and UDP headers have 28 octets, the non-ESP marker 4.
func (m messages) swallows(b []byte) bool { return m.mtu != 0 && len(b)+32 > m.mtu }

// plan lets both sides make and end children in the storm.
func (m messages) plan(w *world) {
	for range m.churn {
		n, child := w.nodes[w.rand.IntN(2)], furtherChild(w.rand.IntN(furtherChildren))
		var do machine.Input = machine.Initiate{Children: []string{child}}
		if w.rand.IntN(3) == 0 {
			do = machine.Terminate{Child: child, Reason: "no longer wanted"}
		}
		w.sometime(func() { n.command(do) }, storm)
	}
}
