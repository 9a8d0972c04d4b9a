package pluginhost

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parley-ike/parley/core/machine"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// target is a service of a plugin.
type target struct {
	supervisor *supervisor
	service    string
	method     *basev1.KEMethod // of ke targets, when the plugin told
}

func (t target) session() (*session, *machine.CallError) {
	if s := t.supervisor.session.Load(); s != nil {
		return s, nil
	}
	return nil, failure(machine.Unavailable, "plugin %s is down", t.supervisor.entry.Name)
}

// routes says who does what. It is never changed, only replaced.
type routes struct {
	ke   map[uint16]target
	auth map[string]target
	sa   map[string]target
	cred []target // in the order of the catalogue
}

// reroute makes the routes from the manifests. Among plugins that provide the same, the first in the catalogue wins; but
// once all had their first attempt, a route stays with its plugin, which alone understands the states that it made.
func (h *Host) reroute() {
	h.mu.Lock()
	defer h.mu.Unlock()
	old, fresh := h.routes.Load(), &routes{ke: map[uint16]target{}, auth: map[string]target{}, sa: map[string]target{}}
	for _, s := range h.supervisors {
		for _, p := range s.provided() {
			t := target{supervisor: s, service: p.GetName()}
			switch p.GetKind() {
			case "ke":
				addMethods(fresh.ke, old.ke, t, p, h.settled)
			case "auth":
				for _, name := range p.GetAuths() {
					choose(fresh.auth, old.auth, name, t, h.settled)
				}
			case "sa":
				choose(fresh.sa, old.sa, p.GetName(), t, h.settled)
			case "cred":
				fresh.cred = append(fresh.cred, t)
			}
		}
	}
	h.routes.Store(fresh)
}

func addMethods(fresh, old map[uint16]target, t target, p *basev1.Provided, sticky bool) {
	for _, id := range p.GetMethods() {
		if id == 0 || id > 1<<16-1 {
			continue
		}
		t.method = nil
		if i := slices.IndexFunc(p.GetKeyExchanges(), func(m *basev1.KEMethod) bool { return m.GetId() == id }); i >= 0 {
			t.method = p.GetKeyExchanges()[i]
		}
		choose(fresh, old, uint16(id), t, sticky)
	}
}

func choose[K comparable](fresh, old map[K]target, key K, t target, sticky bool) {
	was, had := old[key]
	_, taken := fresh[key]
	owner := had && was.supervisor == t.supervisor && was.service == t.service
	if !taken || (sticky && owner) {
		fresh[key] = t
	}
}

// route finds who performs an operation.
func (h *Host) route(s service) (target, *machine.CallError) {
	r := h.routes.Load()
	var t target
	var ok bool
	switch s.kind {
	case "ke":
		t, ok = r.ke[s.method]
	case "auth":
		t, ok = r.auth[s.name]
	case "sa":
		if s.name == "" {
			var why string
			if s.name, why = h.defaultBackend(); s.name == "" && why != "" {
				return t, failure(machine.Unsupported, "no SA backend can be used here: %s", why)
			}
		}
		t, ok = r.sa[s.name]
	}
	if !ok {
		return t, h.missing(s)
	}
	return t, nil
}

// String names what a service does.
func (s service) String() string {
	switch s.kind {
	case "ke":
		return fmt.Sprintf("key exchange method %d", s.method)
	case "auth":
		return fmt.Sprintf("authentication %q", s.name)
	}
	return fmt.Sprintf("SA backend %q", s.name)
}

// missing is final, unless a plugin that could provide it never came up.
func (h *Host) missing(what service) *machine.CallError {
	var absent []string
	for _, s := range h.supervisors {
		if slices.Contains(s.entry.Kinds, what.kind) && s.provided() == nil {
			absent = append(absent, s.entry.Name)
		}
	}
	if len(absent) > 0 {
		return failure(machine.Unavailable, "no plugin that is up provides %s; not up: %s", what, strings.Join(absent, ", "))
	}
	return failure(machine.Unsupported, "no plugin provides %s; add one of kind %s to the configuration", what, what.kind)
}
