package daemon

import (
	"strings"
	"testing"

	"github.com/parley-ike/parley/core/pluginhost"
	"github.com/parley-ike/parley/core/policy"
)

// pfkey is what Linux can do through PF_KEY: no combined-mode cipher, no SHA2-256 with RFC 4868's ICV, windows of 32 packets.
var pfkey = pluginhost.Capabilities{Usable: true, MaxReplayWindow: 32, Algorithms: []pluginhost.Algorithm{
	{Type: 1, ID: 12, KeyBits: []uint16{128, 256}}, {Type: 3, ID: 13}, {Type: 3, ID: 14},
}}

func esp(t *testing.T, all ...string) (out []policy.Proposal) {
	t.Helper()
	for _, s := range all {
		p, err := policy.ParseProposal(policy.ScopeESP, s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// What a backend cannot carry is not proposed, and not accepted either: both use the same list.
func TestOnlyWhatTheBackendCarriesIsProposed(t *testing.T) {
	t.Parallel()
	anything := pluginhost.Capabilities{Usable: true}
	for name, tt := range map[string]struct {
		can    pluginhost.Capabilities
		esp    []policy.Proposal
		want   string
		barred string
	}{
		"the defaults":              {pfkey, policy.DefaultESP(), "aes256-aes128-sha384-sha512-x25519-ecp256-ecp384-modp2048-modp3072-none", ""},
		"one of two sizes":          {pfkey, esp(t, "aes192-aes128-sha512"), "aes128-sha512", ""},
		"nothing":                   {pfkey, esp(t, "aes256gcm16", "aes256-sha256"), "", "aes128-aes256-sha384-sha512"},
		"a cipher without its MAC":  {pfkey, esp(t, "aes256-sha256", "aes256-sha512"), "aes256-sha512", ""},
		"a backend that lists none": {anything, esp(t, "aes256gcm16", "aes256-sha256"), "aes256gcm16 aes256-sha256", ""},
		"one that is not usable":    {pluginhost.Capabilities{Algorithms: pfkey.Algorithms}, esp(t, "aes256gcm16"), "aes256gcm16", ""},
	} {
		child := policy.Child{Backend: "pfkey", ESP: tt.esp}
		p := &policy.Snapshot{Connections: []*policy.Connection{{Name: "west", Children: []*policy.Child{&child}}}}
		got := fitted(p, "xfrm", map[string]pluginhost.Capabilities{"pfkey": tt.can}).Connections[0].Children[0]
		if tt.barred != "" {
			if !strings.Contains(got.Barred, tt.barred) {
				t.Errorf("%s: barred %q, want the remedy %q", name, got.Barred, tt.barred)
			}
			continue
		}
		if texts(got.ESP) != tt.want || got.Barred != "" {
			t.Errorf("%s: %q, barred %q; want %q", name, texts(got.ESP), got.Barred, tt.want)
		}
		if told := strings.Contains(got.BackendReason, tt.want); told != (width(got.ESP) < width(tt.esp)) {
			t.Errorf("%s: the reason for the backend is %q", name, got.BackendReason)
		}
		if len(child.ESP) != len(tt.esp) || len(child.ESP[0]) != len(tt.esp[0]) {
			t.Errorf("%s: the configuration itself was changed", name)
		}
	}
}

func TestAReplayWindowThatNobodyChoseFitsTheBackend(t *testing.T) {
	t.Parallel()
	for chosen, want := range map[uint32]uint32{0: 0, 32: 32, policy.DefaultReplayWindow: 32, 128: 0} {
		child := policy.Child{Backend: "pfkey", ReplayWindow: chosen}
		p := &policy.Snapshot{Connections: []*policy.Connection{{Children: []*policy.Child{&child}}}}
		got := fitted(p, "", map[string]pluginhost.Capabilities{"pfkey": pfkey}).Connections[0].Children[0]
		if chosen == 128 {
			if !strings.Contains(got.Barred, "32 packets at most") {
				t.Errorf("a window of 128 packets: barred %q", got.Barred)
			}
			continue
		}
		if got.ReplayWindow != want || got.Barred != "" {
			t.Errorf("a window of %d packets becomes %d, barred %q; want %d", chosen, got.ReplayWindow, got.Barred, want)
		}
	}
}

// A child that names no backend goes where its proposals can be carried.
func TestAChildsProposalsChooseItsBackend(t *testing.T) {
	t.Parallel()
	child := policy.Child{ESP: esp(t, "aes256gcm16")}
	p := &policy.Snapshot{Connections: []*policy.Connection{{Children: []*policy.Child{&child}}}}
	xfrm := pluginhost.Capabilities{Usable: true, Algorithms: []pluginhost.Algorithm{{Type: 1, ID: 20, KeyBits: []uint16{256}}}}
	got := fitted(p, "pfkey", map[string]pluginhost.Capabilities{"pfkey": pfkey, "xfrm": xfrm}).Connections[0].Children[0]
	if got.Backend != "xfrm" || got.Barred != "" {
		t.Errorf("%q, barred %q", got.Backend, got.Barred)
	}
}
