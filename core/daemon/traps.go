package daemon

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/ikev2"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/pluginhost"
	"github.com/parley-ike/parley/core/policy"
)

// traps knows which children have one.
type traps struct {
	mu  sync.Mutex
	set map[string][]pluginhost.Trap // by backend, as it has confirmed them
	// unset are policies that are not in force, by the backend that was to have them, "" for none.
	unset map[string]event.PoliciesNotSet
}

// fail remembers what is not in force, and tells whether that is new.
func (t *traps) fail(e event.PoliciesNotSet) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.unset == nil {
		t.unset = map[string]event.PoliciesNotSet{}
	}
	was, had := t.unset[e.Backend]
	t.unset[e.Backend] = e
	return !had || was.Reason != e.Reason || !slices.Equal(was.Policies, e.Policies)
}

func (t *traps) mend(backend string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.unset, backend)
}

// problems says in words what is not in force.
func (t *traps) problems() (all []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, backend := range slices.Sorted(maps.Keys(t.unset)) {
		e := t.unset[backend]
		all = append(all, strings.Join(e.Policies, ", ")+": "+e.Reason)
	}
	return all
}

func (t *traps) note(backend string, all []pluginhost.Trap) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.set == nil {
		t.set = map[string][]pluginhost.Trap{}
	}
	t.set[backend] = all
}

// has tells whether traffic for a child is waited for.
func (t *traps) has(conn, child string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, all := range t.set {
		if slices.ContainsFunc(all, func(t pluginhost.Trap) bool {
			return t.Conn == conn && t.Child == child && t.Action == pluginhost.Acquiring
		}) {
			return true
		}
	}
	return false
}

// trapsOf are the traps that a backend is to have: for its children that say start = "trap".
func trapsOf(p *policy.Snapshot, backend string) (all []pluginhost.Trap) {
	for _, c := range p.Connections {
		for _, child := range c.Children {
			if child.Start != policy.StartTrap || child.Backend != backend || child.Barred != "" || len(child.RemoteTS) == 0 {
				continue
			}
			local := child.LocalTS
			if child.LocalAssigned { // the address that the packets will have is not known yet
				local = append(local[:len(local):len(local)], anywhere(child.RemoteTS)...)
			}
			all = append(all, pluginhost.Trap{Conn: c.Name, Child: child.Name, Mode: machine.Mode(child.Mode), Local: c.Local.Addr, Remote: c.Remote.Addr,
				LocalTS: opSelectors(local), RemoteTS: opSelectors(child.RemoteTS), Handling: ikev2.Handling(child.Handling)})
		}
	}
	return all
}

// shuntsOf are the policies without SAs of the configuration, for the one backend that has them.
func shuntsOf(p *policy.Snapshot) (all []pluginhost.Trap) {
	for _, s := range p.Shunts {
		action := pluginhost.Bypass
		if s.Discard {
			action = pluginhost.Discard
		}
		all = append(all, pluginhost.Trap{Conn: s.Word(), Child: s.Name, LocalTS: opSelectors(s.LocalTS), RemoteTS: opSelectors(s.RemoteTS), Action: action})
	}
	return all
}

// shuntBackend is the SA backend that is given policies without SAs: the chosen one, or another that has them; "" when none has.
func shuntBackend(chosen string, probed map[string]pluginhost.Capabilities) string {
	for _, name := range append([]string{chosen}, backendOrder...) {
		can := probed[name]
		if can.Usable && slices.Contains(can.Settings, "bypass") && slices.Contains(can.Settings, "discard") {
			return name
		}
	}
	return ""
}

// anywhere selects all addresses of the families of others.
func anywhere(others []policy.Selector) (all []policy.Selector) {
	for _, zero := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		if slices.ContainsFunc(others, func(s policy.Selector) bool { return s.Start.BitLen() == zero.BitLen() }) {
			all = append(all, policy.SelectorOf(netip.PrefixFrom(zero, 0)))
		}
	}
	return all
}

func opSelectors(all []policy.Selector) []machine.Selector {
	out := make([]machine.Selector, len(all))
	for i, s := range all {
		out[i] = machine.Selector(s)
	}
	return out
}

// trapBudget is how long backends may take for their first policies before the daemon is ready without: reconciliation sets them later.
const trapBudget = 5 * time.Second

// setTraps gives a backend the traps of the configuration. One that has none is asked only when it should have some. Before
// there is a keeper nobody would do what traffic asks for.
func (d *daemon) setTraps(ctx context.Context, backend string) {
	if d.keeper.Load() == nil {
		return
	}
	p := d.fitted(d.inForce.Load().Policy)
	wanted := trapsOf(p, backend)
	d.mu.Lock()
	able := d.probed[backend].Traps
	if shunts := shuntsOf(p); len(shunts) > 0 && backend == shuntBackend(d.backend.Backend, d.probed) {
		wanted = append(wanted, shunts...)
	}
	d.mu.Unlock()
	if len(wanted) == 0 && !able {
		return
	}
	err := d.host.SetTraps(ctx, backend, wanted)
	if err == nil {
		d.traps.note(backend, wanted)
		d.traps.mend(backend)
		return
	}
	d.traps.note(backend, nil)
	if d.living.Err() == nil {
		d.notSet(event.PoliciesNotSet{Backend: backend, Policies: childNames(wanted), Reason: err.Error()})
	}
}

// notSet tells, once for each reason, that policies are not in force.
func (d *daemon) notSet(e event.PoliciesNotSet) {
	if !d.traps.fail(e) {
		return
	}
	d.log.Error("policies are not in force: what was to bypass protection or to be discarded is treated like other traffic, and children with "+
		"start = \"trap\" come up by the peer or by hand only", zap.String("backend", e.Backend), zap.Strings("policies", e.Policies), zap.String("reason", e.Reason))
	d.publish(e)
}

// judgeShunts tells when no SA backend has the policies without SAs that the configuration asks for.
func (d *daemon) judgeShunts() {
	d.mu.Lock()
	none := shuntBackend(d.backend.Backend, d.probed) == ""
	d.mu.Unlock()
	if shunts := shuntsOf(d.inForce.Load().Policy); none && len(shunts) > 0 {
		d.notSet(event.PoliciesNotSet{Policies: childNames(shunts), Reason: "no SA backend here can let traffic pass or drop it; that needs xfrm"})
		return
	}
	d.traps.mend("")
}

func childNames(all []pluginhost.Trap) (names []string) {
	for _, t := range all {
		names = append(names, t.Conn+"/"+t.Child)
	}
	return names
}

// setAllTraps is for a new configuration.
func (d *daemon) setAllTraps(ctx context.Context) {
	d.judgeShunts()
	d.mu.Lock()
	var names []string
	for name, c := range d.probed {
		if c.Usable {
			names = append(names, name)
		}
	}
	d.mu.Unlock()
	for _, name := range names {
		d.setTraps(ctx, name)
	}
}

// dropTraps leaves nothing behind when the daemon ends in order; when it dies, traps stay and nothing leaks in clear.
func (d *daemon) dropTraps(ctx context.Context) {
	d.traps.mu.Lock()
	set := d.traps.set
	d.traps.set = nil
	d.traps.mu.Unlock()
	for backend, all := range set {
		if len(all) == 0 {
			continue
		}
		if err := d.host.SetTraps(ctx, backend, nil); err != nil {
			d.log.Warn("traps stay", zap.String("backend", backend), zap.Error(err))
		}
	}
}

// acquired hears that a packet met a trap.
func (d *daemon) acquired(backend string, a pluginhost.Acquire) {
	if !d.running.Load() || !d.traps.has(a.Conn, a.Child) {
		return
	}
	d.bus.Publish(event.Record{Subject: event.Subject{Conn: a.Conn}, Event: event.TrafficTrapped{Backend: backend, Child: a.Child, Packet: packet(a)}})
	d.order(order{conn: a.Conn, children: []string{a.Child}, traffic: true})
}

// packet describes one for people.
func packet(a pluginhost.Acquire) string {
	if !a.Destination.Addr().IsValid() {
		return "a packet that the backend does not describe"
	}
	words := []string{fmt.Sprintf("protocol %d", a.Protocol)}
	if name := map[uint8]string{1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6"}[a.Protocol]; name != "" {
		words[0] = name
	}
	icmp := a.Protocol == 1 || a.Protocol == 58 // which have a type and a code instead of ports (RFC 4301 section 4.4.1.1)
	if icmp || a.Source.Port() == 0 && a.Destination.Port() == 0 {
		return strings.Join(append(words, "from", a.Source.Addr().String(), "to", a.Destination.Addr().String()), " ")
	}
	return strings.Join(append(words, "from", a.Source.String(), "to", a.Destination.String()), " ")
}
