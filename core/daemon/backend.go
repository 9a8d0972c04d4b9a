package daemon

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/pluginhost"
	"github.com/parley-ike/parley/core/policy"
)

// backendOrder is which SA backend is taken when several can be used: the kernel before our own ESP. Backends of vendors
// come first, because somebody configured them; memory is never chosen by itself, because it carries no packet.
var backendOrder = []string{"xfrm", "userspace"}

// chooseBackend picks the SA backend for children that name none, and says why it and no other. A backend is "" when none
// can be used.
func chooseBackend(probed map[string]pluginhost.Capabilities) event.BackendChosen {
	var names []string
	for name := range probed {
		if !slices.Contains(backendOrder, name) && name != "memory" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = append(names, backendOrder...)
	var chosen string
	var reasons []string
	for _, name := range names {
		c, offered := probed[name]
		if !offered {
			continue
		}
		reasons = append(reasons, name+": "+reasonOf(c))
		if c.Usable && chosen == "" {
			chosen = name
		}
	}
	if len(reasons) == 0 {
		reasons = []string{"no plugin offers an SA backend that carries packets"}
	}
	return event.BackendChosen{Backend: chosen, Reason: strings.Join(reasons, "; ")}
}

// withBackend returns the policy with the chosen SA backend written into every child that names none, so that events and
// displays say where a child is.
func withBackend(p *policy.Snapshot, backend string) *policy.Snapshot {
	out := &policy.Snapshot{}
	for _, c := range p.Connections {
		conn := *c
		conn.Children = nil
		for _, child := range c.Children {
			copied := *child
			if copied.Backend == "" {
				copied.Backend = backend
			}
			conn.Children = append(conn.Children, &copied)
		}
		out.Connections = append(out.Connections, &conn)
	}
	return out
}

func reasonOf(c pluginhost.Capabilities) string {
	state := "not usable"
	if c.Usable {
		state = "usable"
	}
	if c.Reason == "" {
		return state
	}
	return fmt.Sprintf("%s (%s)", state, c.Reason)
}
