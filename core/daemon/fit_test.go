package daemon

import (
	"strings"
	"testing"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/pluginhost"
	"github.com/parley-ike/parley/core/policy"
)

// A child that the chosen SA backend cannot do goes to another one that can, and is barred when there is none.
func TestAChildGoesWhereItCanBeDone(t *testing.T) {
	t.Parallel()
	xfrm := pluginhost.Capabilities{Usable: true, Modes: []machine.Mode{machine.Tunnel, machine.Transport}, ESN: true}
	away := xfrm
	away.Usable = false
	own := pluginhost.Capabilities{Usable: true, Modes: []machine.Mode{machine.Tunnel}, TFC: true}
	both := map[string]pluginhost.Capabilities{"xfrm": xfrm, "userspace": own}
	alone := map[string]pluginhost.Capabilities{"xfrm": away, "userspace": own}
	esn := policy.WithESN(policy.DefaultESP(), "both")
	for name, tt := range map[string]struct {
		child  policy.Child
		probed map[string]pluginhost.Capabilities
		want   string
		barred string
	}{
		"an ordinary one":              {policy.Child{}, both, "userspace", ""},
		"transport mode":               {policy.Child{Mode: policy.Transport}, both, "xfrm", ""},
		"transport mode, nobody can":   {policy.Child{Mode: policy.Transport}, alone, "userspace", "transport mode"},
		"transport mode, named":        {policy.Child{Mode: policy.Transport, Backend: "userspace"}, both, "userspace", "transport mode"},
		"long sequence numbers":        {policy.Child{ESP: esn}, both, "xfrm", ""},
		"padding":                      {policy.Child{TFC: 1400}, both, "userspace", ""},
		"padding, where nobody can":    {policy.Child{TFC: 1400, Backend: "xfrm"}, both, "xfrm", "tfc"},
		"a backend that nobody probed": {policy.Child{Mode: policy.Transport, Backend: "acme"}, both, "acme", ""},
	} {
		p := &policy.Snapshot{Connections: []*policy.Connection{{Name: "west", Children: []*policy.Child{&tt.child}}}}
		got := fitted(p, "userspace", tt.probed).Connections[0].Children[0]
		if got.Backend != tt.want || (got.Barred == "") != (tt.barred == "") || !strings.Contains(got.Barred, tt.barred) {
			t.Errorf("%s: %q, barred %q; want %q, %q", name, got.Backend, got.Barred, tt.want, tt.barred)
		}
		if tt.child.Barred != "" {
			t.Errorf("%s: the configuration itself was changed", name)
		}
	}
}
