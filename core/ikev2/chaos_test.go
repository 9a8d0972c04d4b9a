package ikev2

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/parley-ike/parley/core/machine"
)

// TestChaosEndsInOrder plays many short lives of two nodes on a network that loses, repeats and reorders packets, with
// plugins that fail, fall silent or answer late, and operators who stop SAs at any time. In the end all must be quiet, no
// closed SA may have left a child, established children must agree on keys and selectors, and every SA must replay.
func TestChaosEndsInOrder(t *testing.T) {
	t.Parallel()
	const worlds = 400
	established := 0
	for seed := range uint64(worlds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			c := newChaos(t, seed)
			c.live()
			if c.upAtEnd() {
				established++
			}
		})
	}
	if established < worlds/3 { // with half of all worlds stopped by an operator
		t.Errorf("only %d of %d worlds had an SA at the end: the test tests nothing", established, worlds)
	}
}

type chaos struct {
	*player
	rand   *rand.Rand
	loss   float64
	faulty float64
	stops  bool
}

func newChaos(t *testing.T, seed uint64) *chaos {
	t.Helper()
	c := &chaos{player: &player{newWorld(t)}, rand: rand.New(rand.NewPCG(seed, 7))}
	options := [][]string{{}, {"a.nat=198.51.100.1"}, {"b.ike=aes256gcm16-prfsha256-x25519"}, {"b.esp=aes256-sha256"},
		{"a.ike=aes128-sha256-x25519", "b.ike=aes128-sha256-x25519"}}
	c.makeNodes(append([]string{"a.liveness=20s", "b.liveness=30s"}, options[c.rand.IntN(len(options))]...))
	c.nodes[1].cookies = c.rand.IntN(3) == 0
	c.loss, c.faulty, c.stops = c.rand.Float64()*0.5, c.rand.Float64()*0.2, c.rand.IntN(2) == 0
	return c
}

// live has 60 s of disorder, and then rest.
func (c *chaos) live() {
	c.t.Helper()
	c.initiate("a", nil)
	if c.rand.IntN(4) == 0 {
		c.initiate("b", nil)
	}
	for range 120 {
		c.pass(500*time.Millisecond, c.move)
		if c.stops && c.rand.IntN(60) == 0 {
			c.command()
		}
	}
	c.loss, c.faulty = 0, 0
	c.settleDown()
	c.checkEnd()
}

// settleDown lets all that is closing close: the longest wait is a half-open time and a linger.
func (c *chaos) settleDown() {
	c.t.Helper()
	c.pass(2*time.Minute, c.move)
	for _, h := range c.all() {
		if !in(Established, Closed).has(h.State()) {
			c.t.Errorf("%s is still %v", h.label, h.State())
		}
		if h.State() == Closed && h.calls.Waiting() > 0 {
			c.t.Errorf("%s is closed and waits for %d calls", h.label, h.calls.Waiting())
		}
	}
}

func (c *chaos) upAtEnd() bool {
	return slices.ContainsFunc(c.all(), func(h *host) bool { return h.State() == Established })
}

func (c *chaos) command() {
	all := c.all()
	h := all[c.rand.IntN(len(all))]
	commands := []machine.Input{machine.Terminate{Reason: "chaos"}, machine.Terminate{Child: "lan"}, machine.Probe{}, machine.Initiate{}}
	if h.initiator { // only there is Initiate a command
		commands = append(commands, machine.Initiate{Children: []string{"lan"}})
	}
	c.step(h, commands[c.rand.IntN(len(commands))])
}

// move delivers what is in flight in any order, and answers calls.
func (c *chaos) move() {
	for range 200 {
		if len(c.flight) == 0 && !c.reply() {
			return
		}
		c.packet()
	}
}

func (c *chaos) packet() {
	if len(c.flight) == 0 {
		return
	}
	i := c.rand.IntN(len(c.flight))
	switch {
	case c.rand.Float64() < c.loss:
		c.flight = slices.Delete(c.flight, i, i+1)
	case c.rand.IntN(10) == 0:
		d := c.flight[i]
		c.arrive(d)
	default:
		c.deliver(i)
	}
}

// reply answers one call: well, with a failure, or never. A removal does not vanish: that it may is what reconciliation is
// for.
func (c *chaos) reply() bool {
	for _, n := range c.nodes {
		for i, p := range n.held {
			if p.behind(n.held[:i]) {
				continue
			}
			n.held = slices.Delete(n.held, i, i+1)
			_, removal := p.call.Op.(machine.RemoveChild)
			_, frees := p.call.Op.(machine.FreeSPI)
			_, allocates := p.call.Op.(machine.AllocateSPI) // an SPI that nobody hears of is the backend's to forget
			switch {
			case removal || frees || c.rand.Float64() >= c.faulty:
				n.answer(p)
			case c.rand.IntN(2) == 0:
				kind := machine.ErrorKind(1 + c.rand.IntN(int(machine.Internal)))
				c.step(p.sa, machine.Reply{Ticket: p.call.Ticket, Err: &machine.CallError{Kind: kind, Text: "chaos"}})
			case c.rand.IntN(2) == 0 && !allocates: // performed, but the answer is lost
				_, _ = n.plugin(p.call.Op)
			}
			return true
		}
	}
	return false
}
