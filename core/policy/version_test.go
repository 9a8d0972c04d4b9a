package policy

import "testing"

func TestAConnectionComesUpByTheVersionsThatItNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		version, initiates uint8
		one, two           bool
	}{{0, 2, false, true}, {1, 1, true, false}, {2, 2, false, true}, {AnyVersion, 2, true, true}} {
		c := &Connection{Version: test.version}
		if c.Initiates() != test.initiates || c.Speaks(1) != test.one || c.Speaks(2) != test.two || c.Speaks(3) {
			t.Errorf("version %d: initiates %d, speaks IKEv1 %v, IKEv2 %v", test.version, c.Initiates(), c.Speaks(1), c.Speaks(2))
		}
	}
}

func TestEachVersionWorksByItsOwnConnections(t *testing.T) {
	t.Parallel()
	s := &Snapshot{Connections: []*Connection{{Name: "old", Version: 1}, {Name: "new"}, {Name: "both", Version: AnyVersion}}, Shunts: []*Shunt{{}}}
	for version, want := range map[uint8][]string{1: {"old", "both"}, 2: {"new", "both"}} {
		part := s.Speaking(version)
		if len(part.Connections) != 2 || part.Connections[0].Name != want[0] || part.Connections[1].Name != want[1] || len(part.Shunts) != 1 {
			t.Errorf("IKEv%d: %+v", version, part)
		}
	}
}
