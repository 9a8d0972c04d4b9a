package daemon

import (
	"net/netip"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// What a daemon that was killed left goes on carrying packets until the same is there again, and no longer than is of use.
func TestWhatAKilledDaemonLeftStaysUntilItIsReplaced(t *testing.T) {
	t.Parallel()
	start := time.Now()
	conns := &policy.Snapshot{Connections: []*policy.Connection{{Name: "west", Children: []*policy.Child{{Name: "lan"}}}}}
	child := func(uid byte, name, remote, net string) machine.ChildSA {
		return machine.ChildSA{UID: event.UID{uid}, Backend: "xfrm", Conn: "west", Name: name, Remote: netip.MustParseAddr(remote),
			RemoteTS: []machine.Selector{{Start: netip.MustParseAddr(net), End: netip.MustParseAddr(net)}}}
	}
	old := child(1, "lan", "192.0.2.1", "10.1.0.0")
	for name, c := range map[string]struct {
		child machine.ChildSA
		owned []machine.ChildSA
		conns *policy.Snapshot
		after time.Duration
		want  bool
	}{
		"nothing is there yet":               {old, nil, conns, 0, true},
		"another peer of the connection":     {old, []machine.ChildSA{child(2, "lan", "192.0.2.2", "10.2.0.0")}, conns, 0, true},
		"another child":                      {old, []machine.ChildSA{child(2, "dmz", "192.0.2.1", "10.1.0.0")}, conns, 0, true},
		"the same is there again":            {old, []machine.ChildSA{child(2, "lan", "192.0.2.1", "10.1.0.7")}, conns, 0, false},
		"the peer moved and is there again":  {old, []machine.ChildSA{child(2, "lan", "192.0.2.9", "10.1.0.0")}, conns, 0, false},
		"the configuration has it no more":   {child(1, "dmz", "192.0.2.1", "10.1.0.0"), nil, conns, 0, false},
		"the configuration has no such peer": {old, nil, &policy.Snapshot{}, 0, false},
		"nobody came for it":                 {old, nil, conns, legacyWait, false},
	} {
		l := newLegacy(start.Add(legacyWait))
		for _, turn := range []string{"first", "again"} {
			if turn == "again" {
				l.compared("xfrm")
			}
			if got := l.spares(c.child, c.owned, c.conns, start.Add(c.after)); got != c.want {
				t.Errorf("%s, %s: spared %t", name, turn, got)
			}
		}
		if left := len(l.backends()); (left == 1) != c.want {
			t.Errorf("%s: something left in %d backends", name, left)
		}
	}
}

// What comes to light later is no legacy, but something that we lost sight of.
func TestWhatComesToLightLaterIsNoLegacy(t *testing.T) {
	t.Parallel()
	l := newLegacy(time.Now().Add(legacyWait))
	l.compared("xfrm")
	conns := &policy.Snapshot{Connections: []*policy.Connection{{Name: "west", Children: []*policy.Child{{Name: "lan"}}}}}
	if l.spares(machine.ChildSA{Backend: "xfrm", Conn: "west", Name: "lan"}, nil, conns, time.Now()) {
		t.Error("it is left")
	}
}
