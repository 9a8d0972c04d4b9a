package control

import (
	"slices"

	"github.com/parley-ike/parley/bus/event"
)

// unreachable returns what took the way to the peer away, if it has not come back.
func (t *tale) unreachable() (lost event.PeerUnreachable, is bool) {
	for _, r := range t.a.events() {
		switch e := r.Event.(type) {
		case event.PeerUnreachable:
			lost, is = e, true
		case event.PeerReachable, event.AddressChanged:
			is = false
		}
	}
	return lost, is
}

// hindered returns what keeps us from even trying.
func (t *tale) hindered() (r event.Record, reason string, is bool) {
	for _, r := range t.troubles {
		if e, ok := r.Event.(event.PeerUnreachable); ok {
			return r, e.Reason, true
		}
	}
	return r, "", false
}

// wayBack says what to do about a way that is gone.
func (t *tale) wayBack() {
	t.remedy("", "give this machine the address and the route back; what should be up comes up by itself then")
	t.remedy(t.setting("mobike"), "or give it another way to the peer: the SA moves there, if both sides can (mobike)")
}

// ailing lists the last bad news of plugins.
func (t *tale) ailing() []event.Record {
	return slices.DeleteFunc(slices.Clone(t.troubles), func(r event.Record) bool {
		p, _ := troubled(r.Event)
		return p.Name == ""
	})
}
