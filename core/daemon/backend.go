package daemon

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/pluginhost"
)

// backendOrder is which SA backend is taken when several can be used: the kernel before our own ESP, and that before
// PF_KEY, which lacks the best ciphers. Backends of vendors come first, because somebody configured them.
var backendOrder = []string{"xfrm", "userspace", "pfkey"}

// byNameOnly are backends that children must name: memory carries no packet, and the places of a card are few.
var byNameOnly = []string{"memory", "offload"}

// chooseBackend picks the SA backend for children that name none, and says why it and no other. A backend is "" when none
// can be used.
func chooseBackend(probed map[string]pluginhost.Capabilities) event.BackendChosen {
	var names []string
	for name := range probed {
		if !slices.Contains(backendOrder, name) && !slices.Contains(byNameOnly, name) {
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
