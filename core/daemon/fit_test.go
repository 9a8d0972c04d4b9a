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
	xfrm := pluginhost.Capabilities{Usable: true, Modes: []machine.Mode{machine.Tunnel, machine.Transport}, ESN: true,
		MaxReplayWindow: 4096, Settings: []string{"mark", "if_id"}}
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
		"a mark":                       {policy.Child{Handling: policy.Handling{MarkMask: 1}}, both, "xfrm", ""},
		"a mark, nobody can":           {policy.Child{Handling: policy.Handling{MarkMask: 1}}, alone, "userspace", "has no mark (0x0/0x1)"},
		"a number, named":              {policy.Child{Handling: policy.Handling{IfID: 7}, Backend: "userspace"}, both, "userspace", "has no if_id (7)"},
		"a setting that nobody has":    {policy.Child{Handling: policy.Handling{ClearDF: true}, Backend: "xfrm"}, both, "xfrm", "has no df (clear)"},
		"a long window":                {policy.Child{ReplayWindow: 8192, Backend: "xfrm"}, both, "xfrm", "replay_window = 4096"},
		"a backend that nobody probed": {policy.Child{Mode: policy.Transport, Backend: "acme"}, both, "acme", ""},
	} {
		p := &policy.Snapshot{Connections: []*policy.Connection{{Name: "west", Children: []*policy.Child{&tt.child}}}}
		got := fitted(p, "userspace", tt.probed).Connections[0].Children[0]
		if got.Backend != tt.want || (got.Barred == "") != (tt.barred == "") || !strings.Contains(got.Barred, tt.barred) {
			t.Errorf("%s: %q, barred %q; want %q, %q", name, got.Backend, got.Barred, tt.want, tt.barred)
		}
		if got.BackendReason == "" {
			t.Errorf("%s: nobody says why it is in %s", name, got.Backend)
		}
		if tt.child.Barred != "" {
			t.Errorf("%s: the configuration itself was changed", name)
		}
	}
}

// What is to bypass or to be discarded goes where that can be done.
func TestShuntsGoToABackendThatHasThem(t *testing.T) {
	t.Parallel()
	xfrm := pluginhost.Capabilities{Usable: true, Settings: []string{"bypass", "discard"}}
	for chosen, probed := range map[string]map[string]pluginhost.Capabilities{
		"xfrm": {"xfrm": xfrm}, "userspace": {"userspace": {Usable: true}, "xfrm": xfrm}, "acme": {"acme": {Usable: true}, "xfrm": xfrm}} {
		if got := shuntBackend(chosen, probed); got != "xfrm" {
			t.Errorf("%s: %q", chosen, got)
		}
	}
	if got := shuntBackend("userspace", map[string]pluginhost.Capabilities{"userspace": {Usable: true}, "xfrm": {Settings: xfrm.Settings}}); got != "" {
		t.Errorf("to one that cannot be used: %q", got)
	}
	all := shuntsOf(&policy.Snapshot{Shunts: []*policy.Shunt{{Name: "a"}, {Name: "b", Discard: true}}})
	if len(all) != 2 || all[0].Action != pluginhost.Bypass || all[1].Action != pluginhost.Discard {
		t.Errorf("%+v", all)
	}
}

// Who insists on a device proposes only what that does.
func TestAChildThatInsistsOnADeviceProposesWhatThatCanDo(t *testing.T) {
	t.Parallel()
	gcm128 := pluginhost.Algorithm{Type: 1, ID: 20, KeyBits: []uint16{128}}
	can := pluginhost.Capabilities{Usable: true, Modes: []machine.Mode{machine.Tunnel}, ESN: true, MaxReplayWindow: 4096, Settings: []string{"offload"},
		Algorithms: []pluginhost.Algorithm{{Type: 1, ID: 20, KeyBits: []uint16{128, 256}}},
		Devices:    []pluginhost.Device{{Name: "eth1", Packet: true, Crypto: true, Algorithms: []pluginhost.Algorithm{gcm128}, MaxReplayWindow: 32}}}
	probed := map[string]pluginhost.Capabilities{"offload": can}
	for name, tt := range map[string]struct {
		offload policy.Offload
		window  uint32
		barred  string
		bits    int
	}{
		"as much as it can":   {policy.Offload{Mode: policy.OffloadAuto}, 64, "", 256},
		"on any device":       {policy.Offload{Mode: policy.OffloadAuto, Required: true}, 32, "", 128},
		"on that one":         {policy.Offload{Mode: policy.OffloadPacket, Device: "eth1", Required: true}, 32, "", 128},
		"on one that has not": {policy.Offload{Mode: policy.OffloadAuto, Device: "eth0", Required: true}, 64, "no device here", 256},
	} {
		child := &policy.Child{Backend: "offload", ReplayWindow: policy.DefaultReplayWindow, ESP: policy.DefaultESP(), Handling: policy.Handling{Offload: tt.offload}}
		p := &policy.Snapshot{Connections: []*policy.Connection{{Name: "west", Children: []*policy.Child{child}}}}
		got := fitted(p, "xfrm", probed).Connections[0].Children[0]
		largest := 0
		for _, x := range got.ESP[0] {
			largest = max(largest, x.KeyBits)
		}
		if !strings.Contains(got.Barred, tt.barred) || (got.Barred == "") != (tt.barred == "") || got.ReplayWindow != tt.window || largest != tt.bits {
			t.Errorf("%s: barred %q, window %d, keys of %d bits; want %q, %d, %d", name, got.Barred, got.ReplayWindow, largest, tt.barred, tt.window, tt.bits)
		}
	}
}
