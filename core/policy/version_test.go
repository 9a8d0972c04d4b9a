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

func TestWhatIKEv1CannotSayIsKnown(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		scope    Scope
		proposal string
		beyond   int
	}{
		{ScopeIKE, "aes256-sha256-prfsha256-modp2048-ecp384-x25519", 0}, {ScopeIKE, "aes256gcm16-prfsha256-modp2048", 1},
		{ScopeESP, "aes256gcm16-modp2048-none", 0}, {ScopeESP, "aes128-sha1-noesn", 0}, {ScopeESP, "chacha20poly1305-x25519", 1},
		{ScopeIKE, "aes256-sha256-prfsha256-mlkem768", 1}, {ScopeESP, "aes256-sha512-mlkem768-none", 1},
	} {
		p, err := ParseProposal(test.scope, test.proposal)
		if err != nil {
			t.Errorf("%q: %v", test.proposal, err)
		}
		if got := p.BeyondIKEv1(test.scope); len(got) != test.beyond {
			t.Errorf("%q: %v", test.proposal, got)
		}
	}
	for scope, all := range map[Scope][]Proposal{ScopeIKE: append(DefaultIKEv1(), CompatibleIKEv1()...), ScopeESP: CompatibleESP()[1:]} {
		for _, p := range all {
			if got := p.BeyondIKEv1(scope); len(got) != 0 {
				t.Errorf("%v: %v by default", p, got)
			}
		}
	}
}

func TestTheFirstGroupIsTheFirstAsWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint16{"aes128-sha256-none": 0, "aes128-sha256-none-modp2048-ecp256": 14, "aes256gcm16-x25519-ecp256": 31} {
		p, err := ParseProposal(ScopeESP, text)
		if got := FirstGroup([]Proposal{p}); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
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
