package ikev1

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// firsts returns the first messages of main mode and aggressive mode, as we send them.
func firsts(t testing.TB) (mainMode, aggressive []byte) {
	t.Helper()
	for _, mode := range []string{"", "yes"} {
		p := &player{newWorld(t)}
		p.makeNodes([]string{"aggressive=" + mode})
		p.initiate("a", nil)
		for p.answerCalls() {
		}
		mainMode, aggressive = aggressive, p.flight[0].Bytes
	}
	return mainMode, aggressive
}

func TestFirstMessagesAreInspected(t *testing.T) {
	mainMode, aggressive := firsts(t)
	for name, b := range map[string][]byte{"main": mainMode, "aggressive": aggressive} {
		got, err := InspectFirst(b)
		if err != nil || got.Cookie == 0 || got.Aggressive != (name == "aggressive") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if n := testing.AllocsPerRun(10, func() { _, _ = InspectFirst(b) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		for cut := range b {
			if _, err := InspectFirst(b[:cut]); !errors.Is(err, ErrNotFirst) {
				t.Fatalf("%s: %d octets of %d pass: %v", name, cut, len(b), err)
			}
		}
	}
}

// RFC2408-5.2-2: what is no first message never becomes an SA.
func TestOtherMessagesDoNotPassTheGate(t *testing.T) {
	t.Parallel()
	mainMode, aggressive := firsts(t)
	change := func(b []byte, at int, to byte) []byte {
		b = append([]byte(nil), b...)
		b[at] = to
		return b
	}
	for name, b := range map[string][]byte{
		"a responder's cookie":          change(mainMode, 15, 1),
		"first payload no SA":           change(mainMode, 16, byte(wire1.TypeKE)),
		"major version 2":               change(mainMode, 17, 0x20),
		"minor version 1":               change(mainMode, 17, 0x11),
		"quick mode":                    change(mainMode, 18, byte(wire1.QuickMode)),
		"encrypted":                     change(mainMode, 19, byte(wire1.FlagEncryption)),
		"a message ID, RFC2408-3.1-8":   change(mainMode, 23, 1),
		"another length, RFC2408-5.1-2": change(mainMode, 27, mainMode[27]+1),
		"aggressive without KE":         change(mainMode, 18, byte(wire1.Aggressive)),
		"aggressive, cut in a payload":  change(aggressive, wire.HeaderLen+3, 200),
	} {
		if _, err := InspectFirst(b); !errors.Is(err, ErrNotFirst) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// RFC2408-5.1-2, RFC2408-5.2-2: an SA ignores messages whose header is not one that its peer would send on it.
func TestHeadersAreChecked(t *testing.T) {
	t.Parallel()
	good := wire.Header{InitiatorSPI: 1, ResponderSPI: 2, Major: 1, Exchange: wire1.QuickMode, Flags: wire1.FlagEncryption, MessageID: 7, Length: 28}
	s := &SA{cookieI: 1, cookieR: 2, state: Established}
	d := machine.Datagram{Local: netip.MustParseAddrPort("192.0.2.1:500"), Bytes: make([]byte, 28)}
	if !s.concerns(good, d) {
		t.Fatal("a good header is refused")
	}
	for name, do := range map[string]func(*wire.Header){
		"cookie of the initiator": func(h *wire.Header) { h.InitiatorSPI = 9 },
		"cookie of the responder": func(h *wire.Header) { h.ResponderSPI = 9 },
		"no cookie":               func(h *wire.Header) { h.InitiatorSPI = 0 },
		"major version":           func(h *wire.Header) { h.Major = 2 },
		"minor version":           func(h *wire.Header) { h.Minor = 1 },
		"flags, RFC2408-3.1-3":    func(h *wire.Header) { h.Flags |= 0x08 },
		"length":                  func(h *wire.Header) { h.Length = 29 },
	} {
		h := good
		if do(&h); s.concerns(h, d) {
			t.Errorf("another %s is accepted", name)
		}
	}
}

func TestStatesHaveNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for s := Idle; s <= Closed; s++ {
		if seen[s.String()] || s.String() == "" || s.String() == "unknown" {
			t.Errorf("state %d is called %q", s, s)
		}
		seen[s.String()] = true
	}
	if got := State(99).String(); got != "unknown" {
		t.Error(got)
	}
}

// Message IDs are random and never used twice (RFC2409-5.7-1), by whichever side.
func TestMessageIDsAreNeverReused(t *testing.T) {
	t.Parallel()
	p := &player{newWorld(t)}
	p.makeNodes(nil)
	p.initiate("a", nil)
	s := p.sa("a1").SA
	seen := map[uint32]bool{}
	for range 2 * maxUsed {
		id := s.newMessageID()
		if id == 0 || seen[id] {
			t.Fatalf("message ID %08x after %d", id, len(seen))
		}
		seen[id] = true
	}
	if len(s.used) != maxUsed {
		t.Errorf("%d message IDs are remembered, at most %d may be", len(s.used), maxUsed)
	}
}

// Vendor IDs say what the peer can; of several ways of NAT traversal the RFC's counts.
func TestVendorIDsSayWhatThePeerCan(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		vendors []wire1.Vendor
		nat     nat
		dpd     bool
	}{
		{[]wire1.Vendor{}, nat{}, false},
		{[]wire1.Vendor{wire1.VendorDPD}, nat{}, true},
		{[]wire1.Vendor{wire1.VendorNATTDraft02n}, nat{can: true, draft: true}, false},
		{[]wire1.Vendor{wire1.VendorNATTDraft03, wire1.VendorNATT}, nat{can: true}, false},
		{[]wire1.Vendor{wire1.VendorNATT, wire1.VendorNATTDraft02}, nat{can: true}, false},
		{[]wire1.Vendor{wire1.VendorNATTDraft00, wire1.VendorStrongSwan}, nat{}, false},
	} {
		s, p := &SA{}, packet{}
		for _, v := range tt.vendors {
			p.Payloads = append(p.Payloads, v.ID())
		}
		if s.detectVendors(p); s.nat != tt.nat || s.dpd.able != tt.dpd {
			t.Errorf("%v: %+v, DPD %v", tt.vendors, s.nat, s.dpd.able)
		}
	}
}

// The drafts number modes and payloads otherwise (RFC 3947 section 5.1).
func TestDraftsOfNATTraversalHaveNumbersOfTheirOwn(t *testing.T) {
	t.Parallel()
	p := &player{newWorld(t)}
	p.makeNodes(nil)
	n := p.node("a")
	s := &SA{conn: n.conn, local: netip.MustParseAddrPort("192.0.2.1:4500"), remote: netip.MustParseAddrPort("192.0.2.2:4500"),
		nat: nat{can: true, draft: true, remote: true}}
	if got := s.encapsulations(n.conn.Children[0]); got[0] != wire1.EncapsulationUDPTunnelDraft || got[1] != wire1.EncapsulationUDPTunnel {
		t.Errorf("modes %v", got)
	}
	for _, payload := range append(s.natDetection(), s.originals(true, true)...) {
		if typ := payload.Type(); typ != wire1.TypeNATDDraft && typ != wire1.TypeNATOADraft {
			t.Errorf("payload %s", wire1.PayloadName(typ))
		}
	}
	s.local = netip.MustParseAddrPort("192.0.2.1:500")
	if got := s.encapsulations(n.conn.Children[0]); got[0] != wire1.EncapsulationTunnel { // RFC3947-5.1-2
		t.Errorf("on port 500 modes %v", got)
	}
}
