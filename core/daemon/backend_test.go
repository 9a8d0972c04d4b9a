package daemon

import (
	"testing"

	"github.com/parley-ike/parley/core/pluginhost"
)

func TestTheKernelIsPreferredAndTheReasonNamesAll(t *testing.T) {
	t.Parallel()
	yes, no := pluginhost.Capabilities{Usable: true, Reason: "works"}, pluginhost.Capabilities{Reason: "the kernel has no ESP"}
	for name, c := range map[string]struct {
		probed map[string]pluginhost.Capabilities
		want   string
		reason string
	}{
		"kernel":         {map[string]pluginhost.Capabilities{"xfrm": yes, "userspace": yes}, "xfrm", "xfrm: usable (works); userspace: usable (works)"},
		"no kernel ESP":  {map[string]pluginhost.Capabilities{"xfrm": no, "userspace": yes}, "userspace", "xfrm: not usable (the kernel has no ESP); userspace: usable (works)"},
		"vendor":         {map[string]pluginhost.Capabilities{"xfrm": yes, "acme": yes}, "acme", "acme: usable (works); xfrm: usable (works)"},
		"nothing usable": {map[string]pluginhost.Capabilities{"xfrm": no}, "", "xfrm: not usable (the kernel has no ESP)"},
		"only memory":    {map[string]pluginhost.Capabilities{"memory": yes}, "", "no plugin offers an SA backend that carries packets"},
	} {
		got := chooseBackend(c.probed)
		if got.Backend != c.want || got.Reason != c.reason {
			t.Errorf("%s: got %q (%s), want %q (%s)", name, got.Backend, got.Reason, c.want, c.reason)
		}
	}
}
