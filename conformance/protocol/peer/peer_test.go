package peer

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"
)

// RFC 7296 section 2.13 has no vector; this one is of HMAC-SHA2-256 by RFC 4231 section 4.3, whose first block is prf+ with the
// counter in the data.
func TestPRFIsHMAC(t *testing.T) {
	t.Parallel()
	want, _ := hex.DecodeString("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
	if got := prf([]byte("Jefe"), []byte("what do ya want "), []byte("for nothing?")); !bytes.Equal(got, want) {
		t.Errorf("got %x", got)
	}
	if got := prfPlus([]byte("Jefe"), []byte("seed"), 40); !bytes.Equal(got[:32], prf([]byte("Jefe"), []byte("seed"), []byte{1})) ||
		!bytes.Equal(got[32:], prf([]byte("Jefe"), got[:32], []byte("seed"), []byte{2})[:8]) {
		t.Errorf("prf+ gives %x", got)
	}
}

// pair is both halves of one SA.
func pair(s Suite) (us, them *SA) {
	us = &SA{Suite: s, Initiator: true, SPIi: 1, SPIr: 2, Ni: Random(16), Nr: Random(16)}
	us.Agreed(Random(32))
	other := *us
	other.Initiator = false
	return us, &other
}

var suites = []Suite{{}, {AEAD: true}}

func TestWhatIsSealedOpens(t *testing.T) {
	t.Parallel()
	for _, s := range suites {
		us, them := pair(s)
		for n := range 40 {
			m := us.Request(Informational, Payload{Type: TypeVendor, Body: Random(n)})
			b := us.Seal(m, Oddities{})
			got, sealed, err := them.Open(b)
			if err != nil || !bytes.Equal(got.Body(TypeVendor), m.Body(TypeVendor)) || sealed.PadLen > 15 {
				t.Fatalf("%d octets: %v %v", n, got, err)
			}
			for i := 17; i < len(b); i++ {
				forged := slices.Clone(b)
				forged[i] ^= 0x10
				if got, _, err := them.Open(forged); err == nil {
					t.Fatalf("octet %d changed: %v", i, got)
				}
			}
		}
	}
}

func TestFragmentsComeTogetherAgain(t *testing.T) {
	t.Parallel()
	us, them := pair(suites[1])
	m := us.Request(IKEAuth, Payload{Type: TypeVendor, Body: Random(1000)}, NotifyPayload(40000))
	var parts []Sealed
	for _, b := range us.Fragment(m, 300) {
		_, sealed, err := them.Open(b)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, sealed)
	}
	got, err := Reassemble(Message{}, parts)
	if err != nil || len(parts) != 4 || !bytes.Equal(got.Body(TypeVendor), m.Body(TypeVendor)) || len(got.Payloads) != 2 {
		t.Errorf("%d parts: %v %v", len(parts), got, err)
	}
	if _, err := Reassemble(Message{}, parts[1:]); err == nil {
		t.Error("a part is missing, and nobody minds")
	}
}

func TestKeyExchangesAgree(t *testing.T) {
	t.Parallel()
	for _, method := range []uint16{X25519, P256, MODP2048} {
		a, b := NewExchange(method), NewExchange(method)
		one, err := a.Agree(KEPayload(method, b.Public).Body)
		other, err2 := b.Agree(KEPayload(method, a.Public).Body)
		if err != nil || err2 != nil || !bytes.Equal(one, other) {
			t.Errorf("method %d: %x and %x: %v %v", method, one, other, err, err2)
		}
		if _, err := a.Agree(KEPayload(99, b.Public).Body); err == nil {
			t.Errorf("method %d: a value of another method is taken", method)
		}
	}
}

// What a daemon may get wrong must not pass unseen.
func TestFaultsAreSeen(t *testing.T) {
	t.Parallel()
	good := Message{SPIi: 1, Version: Version2, Exchange: Informational, Payloads: []Payload{
		SAPayload(Suite{}.Proposal(1)), KEPayload(X25519, nil), NoncePayload(Random(16)), NotifyPayload(40000), DeletePayload(ProtoIKE),
		DeletePayload(ProtoESP, SPI()), TSPayload(TypeTSi, Net("10.0.0.0/8")), CPPayload(CFGRequest, Attribute{Type: InternalIP4Address}),
		{Type: TypeIDi, Body: []byte{IDFQDN, 0, 0, 0, 'x'}}, AuthPayload(2, Random(32)),
	}}
	if faults := good.Faults(); len(faults) > 0 {
		t.Fatalf("faults where none are: %v", faults)
	}
	decoded, err := Decode(good.Encode())
	if err != nil || len(decoded.Faults()) > 0 || len(decoded.Payloads) != len(good.Payloads) {
		t.Fatalf("%v %v", decoded, err)
	}
	for name, spoil := range map[string]func(m *Message){
		"version":             func(m *Message) { m.Version = 0x21 },
		"version flag":        func(m *Message) { m.Flags = FlagVersion },
		"reserved flag":       func(m *Message) { m.Flags = 1 },
		"zero SPI":            func(m *Message) { m.SPIi = 0 },
		"exchange":            func(m *Message) { m.Exchange = 38 },
		"critical bit":        func(m *Message) { m.Payloads[4].Flags = Critical },
		"reserved bit":        func(m *Message) { m.Payloads[4].Flags = 1 },
		"proposal reserved":   func(m *Message) { m.Payloads[0].Body[1] = 1 },
		"transform reserved":  func(m *Message) { m.Payloads[0].Body[13] = 1 },
		"transform count":     func(m *Message) { m.Payloads[0].Body[7]++ },
		"KE reserved":         func(m *Message) { m.Payloads[1].Body[3] = 1 },
		"nonce":               func(m *Message) { m.Payloads[2].Body = Random(15) },
		"notify protocol":     func(m *Message) { m.Payloads[3].Body[0] = 1 },
		"notify SPI":          func(m *Message) { m.Payloads[3] = Notify{Protocol: ProtoIKE, SPI: Random(8), Kind: 40000}.Payload() },
		"delete SPI size":     func(m *Message) { m.Payloads[4].Body[1] = 4 },
		"delete of no SPIs":   func(m *Message) { m.Payloads[5] = DeletePayload(ProtoESP) },
		"selector count":      func(m *Message) { m.Payloads[6].Body[0] = 2 },
		"selector length":     func(m *Message) { m.Payloads[6].Body[7] = 17 },
		"selectors' reserved": func(m *Message) { m.Payloads[6].Body[2] = 1 },
		"CP reserved":         func(m *Message) { m.Payloads[7].Body[1] = 1 },
		"attribute reserved":  func(m *Message) { m.Payloads[7].Body[4] = 0x80 },
		"ID reserved":         func(m *Message) { m.Payloads[8].Body[3] = 1 },
		"AUTH reserved":       func(m *Message) { m.Payloads[9].Body[3] = 1 },
	} {
		m := good
		m.Payloads = slices.Clone(good.Payloads)
		for i := range m.Payloads {
			m.Payloads[i].Body = slices.Clone(m.Payloads[i].Body)
		}
		spoil(&m)
		if len(m.Faults()) == 0 {
			t.Errorf("%s: not seen", name)
		}
	}
	for _, b := range [][]byte{nil, good.Encode()[:27], append(good.Encode(), 0), Message{Lie: Lie(uint32(29)), SPIi: 1}.Encode(),
		Message{SPIi: 1, Payloads: []Payload{{Type: TypeVendor, Lie: Lie(uint16(3))}}}.Encode()} {
		if m, err := Decode(b); err == nil {
			t.Errorf("decoded: %v", m)
		}
	}
}
