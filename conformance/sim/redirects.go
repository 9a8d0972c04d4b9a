package sim

import (
	"math/rand/v2"
	"net/netip"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// redirects say how west sends east to its second address (RFC 5685).
type redirects struct {
	at      int  // 0: not at all, 1: IKE_SA_INIT, 2: IKE_AUTH, 3: when an operator says so
	deaf    bool // east does not go where it is sent, and is served
	endless bool // the second address sends it there as well
}

const redirectsSalt = 0x5ed15ec7

// drawRedirects makes up the redirects of a world, in some of those in which the nodes stay where they are.
func drawRedirects(seed uint64, f faults) redirects {
	r := rand.New(rand.NewPCG(seed, redirectsSalt))
	if f.roaming.moving() || r.IntN(5) != 0 {
		return redirects{}
	}
	d := redirects{at: 1 + r.IntN(3), deaf: r.IntN(5) == 0}
	d.endless = d.at != 3 && !d.deaf && r.IntN(6) == 0
	return d
}

// ordered reports whether an operator ends an SA of east by sending it elsewhere. With unique = "keep" it finds no place there before
// that.
func (d redirects) ordered() bool { return d.at == 3 }

// hopeless reports whether east is sent around for ever.
func (d redirects) hopeless() bool { return d.endless }

// connect lets east follow.
func (d redirects) connect(name string, c *policy.Connection) {
	if d.at == 0 {
		return
	}
	if name == "east" {
		c.FollowRedirects = !d.deaf
		c.Remote.Addr = netip.Addr{}
		return
	}
	c.Local.Addr = netip.Addr{}
	switch d.at {
	case 1:
		c.RedirectTo, c.RedirectAt = d.elsewhere().String(), policy.RedirectInit
	case 2:
		c.RedirectTo, c.RedirectAt = d.elsewhere().String(), policy.RedirectAuth
	}
}

func (d redirects) elsewhere() netip.Addr { return addressesOf["west"][1] }

// others returns what west has beside a connection: the one for its second address.
func (d redirects) others(name string, c *policy.Connection) []*policy.Connection {
	if name == "east" || d.at == 0 || d.at == 3 || d.endless {
		return nil
	}
	second := *c
	second.Name, second.Local.Addr, second.RedirectTo = c.Name+"-2", d.elsewhere(), ""
	return []*policy.Connection{&second}
}

// plan has west's operator send east elsewhere.
func (d redirects) plan(w *world) {
	if d.at != 0 {
		w.nodes[1].has = []netip.Addr{westAddr, d.elsewhere()}
	}
	if d.at == 3 {
		w.clock.in(storm/3, func() { w.nodes[1].command(machine.Redirect{To: machine.Gateway{Addr: d.elsewhere()}}) })
	}
}
