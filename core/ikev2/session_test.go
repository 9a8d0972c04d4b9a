package ikev2

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// makeSession reads what nodes say of how SAs relate. Scripts that do not care have many side by side.
func (p *player) makeSession(conn *policy.Connection, get func(key, or string) string) {
	p.t.Helper()
	i := slices.Index(policy.UniqueWords(), get("unique", "never"))
	if i < 0 {
		p.t.Fatalf("no policy %q", get("unique", ""))
	}
	conn.Unique = policy.Unique(i)
	conn.Reauth = p.duration(get("reauth", "0s"))
	if i = slices.Index(policy.ChildlessWords(), get("childless", "never")); i < 0 {
		p.t.Fatalf("no policy %q", get("childless", ""))
	}
	conn.Childless = policy.Childless(i)
	conn.FollowRedirects = get("follow", "") != ""
	conn.RedirectGrace = p.duration(get("grace", "30s"))
	if at, to, ok := strings.Cut(get("redirect", ""), ":"); ok { // redirect=init:192.0.2.9
		conn.RedirectTo, conn.RedirectAt = to, policy.RedirectAt(slices.Index(policy.RedirectWords(), at))
	}
	for _, c := range conn.Children {
		c.Mode = policy.Mode(slices.Index(policy.ModeWords(), get("mode", "tunnel")))
		c.TFC = uint16(len(get("tfc", ""))) // as many octets as letters
		c.Barred = strings.ReplaceAll(get("barred", ""), "_", " ")
	}
	if get("children", "") == "none" {
		conn.Children = nil
	}
}

// sessionCommands adds the commands of a driver that sees all SAs.
func (p *player) sessionCommands(commands map[string]func(), arg func(int) string) {
	commands["replace"] = func() { // replace SA BY [contact|reauth|not|GRACE]
		in := machine.Replaced{By: p.sa(arg(2)).uid}
		switch how := arg(3); how {
		case "":
		case "contact":
			in.Cause = machine.ReplaceContact
		case "reauth":
			in.Cause = machine.ReplaceReauth
		case "not":
			in.Cause = machine.ReplaceNot
		default:
			in.Grace = p.duration(how)
		}
		p.step(p.sa(arg(1)), in)
	}
	commands["redirect"] = func() { p.step(p.sa(arg(1)), machine.Redirect{To: machine.GatewayOf(arg(2))}) }
	commands["redirected"] = func() { // redirected SA XXX: what the driver does when an SA was redirected, as often as there are letters
		h := p.sa(arg(1))
		in := machine.Initiate{Redirected: machine.Redirected{From: h.remote.Addr(), At: make([]time.Time, len(arg(2)))}}
		for i := range in.Redirected.At {
			in.Redirected.At[i] = p.now
		}
		p.step(h.node.newSA(true, h.local, h.remote), in)
	}
	commands["reauth"] = func() { p.step(p.sa(arg(1)), machine.Reauthenticate{}) }
	commands["renew"] = func() { // renew SA CHILD: what the driver does when an SA asks for a new one
		h := p.sa(arg(1))
		next := h.node.newSA(true, netip.AddrPortFrom(h.local.Addr(), portIKE), netip.AddrPortFrom(h.remote.Addr(), portIKE))
		p.step(next, machine.Initiate{Children: []string{arg(2)}, Replaces: h.uid, Wants: h.Info().Inner.Assigned})
	}
	commands["esp"] = func() { // esp NODE: one packet comes in by every child of the node
		n := p.node(arg(1))
		if n.packets == nil {
			n.packets = map[uint32]uint64{}
		}
		for spi := range n.backend {
			n.packets[spi]++
		}
	}
}

// driver answers what only the driver of all SAs knows, and leaves the rest to the plugins.
func (n *node) driver(p pending) (machine.Result, *machine.CallError) {
	if op, ours := p.call.Op.(machine.Admit); ours {
		return n.admitSA(p.sa, op), nil
	}
	return n.plugin(p.call.Op)
}

// admitSA counts the other SAs between the identities, those that are established: the simplest roster there is.
func (n *node) admitSA(h *host, op machine.Admit) machine.Admitted {
	var answer machine.Admitted
	for _, other := range n.sas {
		same := other.describe().LocalID == op.IKE.LocalID && other.describe().RemoteID == op.IKE.RemoteID
		if other == h || other.State() != Established || !same {
			continue
		}
		answer.Others++
		if op.Keep && !op.Contact && other.uid != op.Replaces && answer.Instead == (event.UID{}) {
			answer.Instead = other.uid
		}
	}
	return answer
}

// renderTraits shows what is not as usual with a child.
func renderTraits(c machine.ChildSA) (s string) {
	if c.Mode == machine.Transport {
		s += " transport"
	}
	if c.TFC != 0 {
		s += fmt.Sprintf(" tfc %d", c.TFC)
	}
	if c.ESN {
		s += " esn"
	}
	return s
}

func renderGateway(r machine.Renew) string {
	if r.To == (machine.Gateway{}) {
		return ""
	}
	return fmt.Sprintf(" at %v, sent there by %v, %s", r.To, r.Redirected.From, plural(len(r.Redirected.At), "redirect"))
}
