package sim

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// history is what worlds of IKEv1 have beside the faults of the first worlds: aggressive mode, perfect forward secrecy, fragments, and children
// that come and go. It has randomness of its own.
type history struct {
	rand       *rand.Rand
	on         bool
	aggressive bool
	pfs        bool
	size       int  // of datagrams, above which messages go in fragments
	churn      int  // commands to make and to end the child, in the storm
	push       bool // who gives addresses sets them (mode configuration)
	forgetful  bool // a Delete may be lost, which nobody confirms in IKEv1 (RFC 2408 section 5.15): then one side has children that the other forgot
}

// drawHistory makes up the history of a world, and takes away what IKEv1 does not have.
func drawHistory(seed uint64, f *faults, s *session) history {
	r := rand.New(rand.NewPCG(seed, 0x2409))
	f.cookies, f.otherGroup = false, false
	*s = session{rand: s.rand, unique: [2]policy.Unique{policy.UniqueNever, policy.UniqueNever}, again: s.again}
	h := history{rand: r, on: true, aggressive: r.IntN(3) == 0, pfs: r.IntN(2) == 0,
		forgetful: f.loss+f.corrupt+f.rebind+f.silent+f.late+f.failing > 0 || f.crashes+f.pauses > 0}
	if r.IntN(2) == 0 {
		h.churn = r.IntN(10)
	}
	if h.size = policy.DefaultFragmentSize; r.IntN(2) == 0 {
		h.size = policy.MinFragmentSize + r.IntN(200)
	}
	h.push = f.addresses.asked() && r.IntN(2) == 0
	f.starved = h.push && f.addresses.four == 0 && !slices.Contains(f.addresses.ask, netip.IPv6Unspecified())
	return h
}

// connect makes a connection one of IKEv1.
func (h history) connect(w *world, name string, c *policy.Connection) {
	if !h.on {
		return
	}
	c.Version, c.Aggressive, c.AllowAggressivePSK = 1, h.aggressive, h.aggressive
	c.FragmentSize, c.Push = h.size, h.push
	ike, esp := "aes128-sha256-ecp256", "aes128-sha256"
	if h.pfs {
		esp += "-ecp256"
	}
	if name == "west" && w.faults.wrongProposal {
		ike = "aes256-sha512-ecp256"
	}
	c.IKE = []policy.Proposal{w.proposal(ike)}
	p, err := policy.ParseProposal(policy.ScopeESP, esp)
	if err != nil {
		w.fail("proposal: %v", err)
	}
	c.Children[0].ESP = []policy.Proposal{p}
}

// plan lays down what operators order in the storm.
func (h history) plan(w *world) {
	for range h.churn {
		n := w.nodes[h.rand.IntN(2)]
		end := h.rand.IntN(2) == 0
		w.clock.in(time.Duration(h.rand.Int64N(int64(storm))), func() {
			if end {
				n.command(machine.Terminate{Child: "lan", Reason: "changed my mind"})
			} else {
				n.command(machine.Initiate{Children: []string{"lan"}})
			}
		})
	}
}
