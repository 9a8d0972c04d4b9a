package userspace

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

func TestTheCanaryKnowsItsAnswer(t *testing.T) {
	if err := new(Plugin).Canary(context.Background()); err != nil {
		t.Fatal(err)
	}
	good := canaryPacket
	canaryPacket = append([]byte{1}, good[1:]...)
	defer func() { canaryPacket = good }()
	if err := new(Plugin).Canary(context.Background()); err == nil {
		t.Error("a wrong answer was taken for right")
	}
}

func TestProbeNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	if err := lacking(filepath.Join(t.TempDir(), "tun")); err == nil || !strings.Contains(err.Error(), "modprobe tun") {
		t.Errorf("missing device: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED the rest: it needs root to tell capabilities apart")
	}
	p, err := New(Config{}, Sockets{})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := p.Probe(context.Background()); err != nil || c.Name != "userspace" || c.Reason == "" || c.Epoch == 0 || len(c.Algorithms) != 8 {
		t.Errorf("Probe = %+v, %v", c, err)
	}
}

func TestConfigurationIsCheckedAndHasASchema(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{{Device: "a/b"}, {Device: ".."}, {Device: "sixteen-letters-"}, {MTU: 100}, {MTU: 10000}, {MTU: -1}} {
		if _, err := New(c, Sockets{}); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
	var s struct{ Properties map[string]any }
	if err := json.Unmarshal(Schema(), &s); err != nil {
		t.Fatal(err)
	}
	kind := reflect.TypeFor[Config]()
	for i := range kind.NumField() {
		name := kind.Field(i).Tag.Get("json")
		if _, ok := s.Properties[name]; !ok {
			t.Errorf("the schema lacks %q", name)
		}
	}
	if len(s.Properties) != kind.NumField() {
		t.Errorf("%d properties for %d fields", len(s.Properties), kind.NumField())
	}
}

func TestAllocatedSPIsAreFreshAndNotReserved(t *testing.T) {
	t.Parallel()
	p, _ := New(Config{}, Sockets{})
	seen := map[uint32]bool{}
	for range 2000 {
		spi, err := p.AllocateSPI(context.Background(), outer4[0], outer4[1])
		if err != nil || spi < 256 || seen[spi] {
			t.Fatalf("SPI %x, %v", spi, err)
		}
		seen[spi] = true
	}
}

func TestInstallRefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	p, _ := New(Config{StateDir: t.TempDir(), Owner: "test"}, Sockets{})
	for name, c := range map[string]struct {
		change func(*sa.Child)
		kind   error
	}{
		"transport mode":    {func(c *sa.Child) { c.Mode = sa.Transport }, sdk.ErrUnsupported},
		"unknown cipher":    {func(c *sa.Child) { c.Encr = 3 }, sdk.ErrUnsupported},
		"large window":      {func(c *sa.Child) { c.ReplayWindow = 5000 }, sdk.ErrUnsupported},
		"a mark":            {func(c *sa.Child) { c.Handling.MarkMask = 1 }, sdk.ErrUnsupported},
		"reserved SPI":      {func(c *sa.Child) { c.SPIOut = 255 }, sdk.ErrInvalid},
		"mixed families":    {func(c *sa.Child) { c.Remote = outer6[1] }, sdk.ErrInvalid},
		"no ports":          {func(c *sa.Child) { c.Encap = true }, sdk.ErrInvalid},
		"no selectors":      {func(c *sa.Child) { c.LocalTS = nil }, sdk.ErrInvalid},
		"backward selector": {func(c *sa.Child) { c.LocalTS = []sa.Selector{{Start: inner4[1], End: inner4[0]}} }, sdk.ErrInvalid},
		"no common family": {func(c *sa.Child) {
			c.LocalTS, c.RemoteTS = c.LocalTS[:1], c.RemoteTS[1:]
		}, sdk.ErrInvalid},
		"short key":     {func(c *sa.Child) { c.EncrOut = c.EncrOut[:5] }, sdk.ErrInvalid},
		"another owner": {func(c *sa.Child) { c.Owner = "someone" }, sdk.ErrInvalid},
	} {
		child := gcm.ends(t)[0]
		c.change(&child)
		if err := p.Install(context.Background(), child); !errors.Is(err, c.kind) || !strings.HasPrefix(err.Error(), "sa/userspace: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRemoveOfAnUnknownChildIsASuccess(t *testing.T) {
	t.Parallel()
	p, _ := New(Config{StateDir: t.TempDir()}, Sockets{})
	defer p.Close(false)
	if _, err := p.Remove(context.Background(), gcm.ends(t)[0]); err != nil {
		t.Error(err)
	}
}

// Selectors.

func ts(proto uint8, from, to uint16, prefix string) sa.Selector {
	s := selector(netip.MustParsePrefix(prefix))
	s.Protocol, s.StartPort, s.EndPort = proto, from, to
	return s
}

func TestSelectorsCoverWhatTheySay(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddr("10.0.0.5")
	for _, c := range []struct {
		s    sa.Selector
		f    flow
		port uint16
		want bool
	}{
		{ts(0, 0, 65535, "10.0.0.0/24"), flow{proto: 6}, 1, true},
		{ts(0, 0, 65535, "10.0.1.0/24"), flow{proto: 6}, 1, false},
		{ts(0, 0, 65535, "::/0"), flow{proto: 6}, 1, false},
		{ts(17, 0, 65535, "10.0.0.0/24"), flow{proto: 6, ports: true}, 1, false},
		{ts(17, 53, 53, "10.0.0.0/24"), flow{proto: 17, ports: true}, 53, true},
		{ts(17, 53, 53, "10.0.0.0/24"), flow{proto: 17, ports: true}, 54, false},
		{ts(17, 53, 53, "10.0.0.0/24"), flow{proto: 17}, 0, false},  // a fragment, RFC 4301 section 7
		{ts(17, 0, 65535, "10.0.0.0/24"), flow{proto: 17}, 0, true}, // all ports cover it
		{ts(17, 65535, 0, "10.0.0.0/24"), flow{proto: 17}, 0, true}, // OPAQUE, RFC 7296 section 3.13.1
		{ts(17, 65535, 0, "10.0.0.0/24"), flow{proto: 17, ports: true}, 1, false},
		{ts(1, 8<<8, 8<<8|255, "10.0.0.0/24"), flow{proto: 1, ports: true}, 8 << 8, true}, // ICMP echo
		{ts(1, 8<<8, 8<<8|255, "10.0.0.0/24"), flow{proto: 1, ports: true}, 3 << 8, false},
	} {
		if got := holds(&c.s, addr, &c.f, c.port); got != c.want {
			t.Errorf("%+v covers %+v port %d: %v", c.s, c.f, c.port, got)
		}
	}
}

func TestRulesAreOrderedByWhatIsSpecific(t *testing.T) {
	t.Parallel()
	make := func(born uint64, local, remote sa.Selector) *child {
		c := &child{born: born, Child: sa.Child{UID: sa.UID{byte(born)}, LocalTS: []sa.Selector{local}, RemoteTS: []sa.Selector{remote}}}
		c.rules, _ = makeRules(c)
		return c
	}
	all := ts(0, 0, 65535, "0.0.0.0/0")
	children := map[sa.UID]*child{}
	for _, c := range []*child{
		make(1, all, ts(0, 0, 65535, "10.2.0.0/16")), make(2, all, ts(0, 0, 65535, "10.2.3.0/24")), make(3, all, all),
		make(4, all, ts(17, 0, 65535, "10.2.3.0/24")), make(5, all, ts(17, 53, 53, "10.2.3.0/24")),
		make(6, ts(0, 0, 65535, "10.1.0.0/16"), ts(0, 0, 65535, "10.2.0.0/16")), make(7, all, ts(0, 0, 65535, "10.2.0.0/16")),
	} {
		children[c.UID] = c
	}
	view := newTable(children)
	for dst, want := range map[string]uint64{"10.2.3.1 17 53": 5, "10.2.3.1 17 54": 4, "10.2.3.1 6 1": 2, "10.2.9.1 6 1": 6, "8.8.8.8 6 1": 3} {
		var p, port uint16
		parts := strings.Fields(dst)
		_ = json.Unmarshal([]byte(parts[1]), &p)
		_ = json.Unmarshal([]byte(parts[2]), &port)
		f := flow{src: inner4[0], dst: netip.MustParseAddr(parts[0]), proto: uint8(p), dstPort: port, ports: true}
		if got := view.find(&f); got == nil || got.born != want {
			t.Errorf("%s goes to %v, want %d", dst, got, want)
		}
	}
	elsewhere := flow{src: netip.MustParseAddr("172.16.0.1"), dst: netip.MustParseAddr("10.2.9.1")}
	if got := view.find(&elsewhere); got.born != 7 {
		t.Errorf("among equals the newest: %d", got.born) // after a rekeying
	}
	six := flow{src: inner6[0], dst: inner6[1]}
	if view.find(&six) != nil {
		t.Error("a packet without a policy has a child")
	}
}

func TestADefaultRouteIsTakenInHalves(t *testing.T) {
	t.Parallel()
	if got := halves(netip.MustParsePrefix("::/0")); len(got) != 2 || got[1].String() != "8000::/1" {
		t.Errorf("halves %v", got)
	}
}

// Headers.

func ipv4Packet(proto byte, tos byte, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0], b[1], b[8], b[9] = 0x45, tos, 64, proto
	src, dst := inner4[0].As4(), inner4[1].As4()
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	b = append(b, payload...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	binary.BigEndian.PutUint16(b[10:], checksum(b[:20], 0))
	return b
}

func ipv6Packet(next byte, tos byte, payload []byte) []byte {
	b := make([]byte, 40, 40+len(payload))
	b[0], b[1], b[6], b[7] = 0x60|tos>>4, tos<<4, next, 64
	src, dst := inner6[0].As16(), inner6[1].As16()
	copy(b[8:], src[:])
	copy(b[24:], dst[:])
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	return append(b, payload...)
}

// RFC7296-2.24-1; RFC 6040 section 4.2, figure 4: rows are the inner field, columns the outer one; -1 is a drop.
func TestECNIsCombinedAsRFC6040Says(t *testing.T) {
	t.Parallel()
	table := map[uint8][4]int{ // outer:  Not-ECT ECT(1) ECT(0) CE, by value
		ecnNotECT: {0, 0, 0, -1}, ecnECT0: {2, 1, 2, 3}, ecnECT1: {1, 1, 1, 3}, ecnCE: {3, 3, 3, 3},
	}
	for inner, row := range table {
		for outer, want := range row {
			for _, b := range [][]byte{ipv4Packet(17, 0xb8|inner, nil), ipv6Packet(17, 0xb8|inner, nil)} {
				ok := decapsulateECN(b, uint8(outer))
				if ok != (want >= 0) || ok && innerTOS(b) != 0xb8|uint8(want) {
					t.Errorf("inner %d, outer %d: %#x, %v; want %d", inner, outer, innerTOS(b), ok, want)
				}
				if b[0]>>4 == 4 && checksum(b[:20], 0) != 0 {
					t.Errorf("inner %d, outer %d: the header checksum broke", inner, outer)
				}
			}
		}
	}
}

func TestInnerPacketsAreParsedAndTFCPaddingIsCut(t *testing.T) {
	t.Parallel()
	udp := []byte{0x12, 0x34, 0, 53, 0, 8, 0, 0}
	extensions := append([]byte{60, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0}, udp...)
	first := append([]byte{17, 0, 0, 1, 0, 0, 0, 0}, udp...)
	later := append([]byte{17, 0, 0, 9, 0, 0, 0, 0}, udp...)
	fragment := ipv4Packet(17, 0, udp)
	fragment[7] = 5
	for name, c := range map[string]struct {
		b     []byte
		proto uint8
		ports bool
	}{
		"v4": {ipv4Packet(17, 0, udp), 17, true}, "v6": {ipv6Packet(17, 0, udp), 17, true},
		"v6 with extensions": {ipv6Packet(0, 0, extensions), 17, true}, "v6 first fragment": {ipv6Packet(44, 0, first), 17, true},
		"v6 later fragment": {ipv6Packet(44, 0, later), 17, false}, "v4 later fragment": {fragment, 17, false},
	} {
		f, n, ok := parseInner(append(c.b, make([]byte, 33)...)) // RFC 4303 section 2.7
		if !ok || n != len(c.b) || f.proto != c.proto || f.ports != c.ports || c.ports && (f.srcPort != 0x1234 || f.dstPort != 53) {
			t.Errorf("%s: %+v, %d, %v", name, f, n, ok)
		}
		for short := range len(c.b) {
			if _, _, ok := parseInner(c.b[:short]); ok {
				t.Errorf("%s: prefix of %d octets passed", name, short)
			}
		}
	}
}

func TestDummyAndMislabelledPacketsAreDropped(t *testing.T) {
	t.Parallel()
	var stats Stats
	c := &child{Child: gcm.ends(t)[1]}
	c.rules, _ = makeRules(c)
	for _, p := range []struct {
		next uint8
		b    []byte
		want bool
	}{
		{protoNone, nil, false}, {protoIPv4, ipv4Packet(17, 0, make([]byte, 8)), true}, {protoIPv6, ipv4Packet(17, 0, make([]byte, 8)), false},
		{protoIPv6, ipv6Packet(17, 0, make([]byte, 8)), true}, {protoIPv4, ipv6Packet(17, 0, make([]byte, 8)), false}, {protoIPv4, nil, false}, {6, ipv4Packet(6, 0, nil), false},
	} {
		if _, ok := c.accept(p.b, p.next, 0, &stats); ok != p.want {
			t.Errorf("next header %d, %x: %v", p.next, p.b, ok)
		}
	}
	if stats.Dummy.Load() != 1 || stats.NotIP.Load() != 4 {
		t.Errorf("%v", stats.all())
	}
}

func TestTooBigIsAValidICMPError(t *testing.T) {
	t.Parallel()
	for _, b := range [][]byte{ipv4Packet(17, 0, make([]byte, 1400)), ipv6Packet(17, 0, make([]byte, 1400))} {
		f, _, _ := parseInner(b)
		got := tooBig(make([]byte, ipv6MinMTU), b, &f, 1300)
		g, n, ok := parseInner(got)
		if !ok || n != len(got) || g.src != f.dst || g.dst != f.src {
			t.Fatalf("%+v, %d, %v", g, n, ok)
		}
		if f.src.Is4() {
			if checksum(got[:20], 0) != 0 || checksum(got[20:], 0) != 0 || got[20] != 3 || got[21] != 4 || binary.BigEndian.Uint16(got[26:]) != 1300 {
				t.Errorf("v4: %x", got[:40])
			}
		} else {
			pseudo := uint32(len(got)-40) + 58 + uint32(^checksum(got[8:40], 0))
			if checksum(got[40:], pseudo) != 0 || got[40] != 2 || binary.BigEndian.Uint32(got[44:]) != 1300 {
				t.Errorf("v6: %x", got[:60])
			}
		}
		h, _, _ := parseInner(got)
		if tooBig(make([]byte, ipv6MinMTU), got, &h, 1300) != nil {
			t.Error("an error was answered with an error") // RFC 1122 section 3.2.2
		}
	}
}

func TestTheOutboundPathTellsTheSenderOfAnOversizedPacket(t *testing.T) {
	t.Parallel()
	c := &child{full: 1000}
	c.mtu.Store(1000)
	if got := c.limit(&flow{src: inner4[0]}); got != 1000 {
		t.Errorf("v4 limit %d", got)
	}
	if got := c.limit(&flow{src: inner6[0]}); got != ipv6MinMTU {
		t.Errorf("v6 limit %d", got) // RFC 8200 section 5
	}
}

func TestRunsOfEqualPacketsAreSegments(t *testing.T) {
	t.Parallel()
	of := func(sizes ...int) (out [][]byte) {
		for _, n := range sizes {
			out = append(out, make([]byte, n))
		}
		return out
	}
	many := make([][]byte, 100)
	for i := range many {
		many[i] = make([]byte, 100)
	}
	for _, c := range []struct {
		in   [][]byte
		want int
	}{{of(9), 1}, {of(9, 9, 9), 3}, {of(9, 9, 4), 3}, {of(9, 9, 4, 9), 3}, {of(4, 9), 1}, {many, maxSegments}, {of(40000, 40000), 1}} {
		if got := segments(c.in); got != c.want {
			t.Errorf("%d segments, want %d", got, c.want)
		}
	}
}

// pathOf returns a plugin's data path with one child, without device or sockets.
func pathOf(t *testing.T, c sa.Child) (*plane, *child) {
	t.Helper()
	n, err := newChild(c)
	if err != nil {
		t.Fatal(err)
	}
	n.slot = &slot{window: c.ReplayWindow}
	n.in.window = n.slot.replayWindow(c.ESN)
	n.mtu.Store(1400)
	p := &Plugin{}
	p.table.Store(newTable(map[sa.UID]*child{n.UID: n}))
	return &plane{p: p}, n
}

func TestThePathAllocatesNothingPerPacket(t *testing.T) {
	for _, s := range suites {
		ends := tunnel{id: 1, encr: s.encr, bits: s.bits, integ: s.integ, esn: s.esn}.ends(t)
		pl, _ := pathOf(t, ends[0])
		o := newOutbound(pl)
		there, c := pathOf(t, ends[1])
		l := newInboundLoop(there, &socket{raw: true, six: true})
		l.plain = [][]byte{make([]byte, plainSize)}
		inner := ipv4Packet(protoUDP, 0, make([]byte, 1300))
		if n := testing.AllocsPerRun(100, func() {
			copy(o.bufs[0][24:], inner)
			o.packet(o.bufs[0], len(inner))
			l.packet(o.sealed[0], 0, nil)
			o.sealed, l.out = o.sealed[:0], l.out[:0]
		}); n != 0 {
			t.Errorf("%s: %v allocations per packet", s.name, n)
		}
		if got := c.slot.packetsIn.Load(); got != 101 {
			t.Errorf("%s: %d packets came through, %v", s.name, got, there.p.stats.all())
		}
	}
}

func TestKeepalivesAndIKEAreNoESP(t *testing.T) {
	t.Parallel()
	pl, _ := pathOf(t, gcm.ends(t)[0])
	l := newInboundLoop(pl, &socket{})
	l.packet([]byte{0xff}, 0, nil) // RFC 3948 section 2.3
	if got := pl.p.stats.Malformed.Load(); got != 0 {
		t.Error("a keepalive counts as malformed")
	}
	l.packet(make([]byte, 60), 0, nil) // RFC 3948 section 2.2: the non-ESP marker
	l.packet([]byte{1, 2, 3}, 0, nil)
	l.packet([]byte{9, 9, 9, 9, 0, 0, 0, 1}, 0, nil)
	if got := pl.p.stats.all(); got["malformed"] != 2 || got["unknown_spi"] != 1 {
		t.Errorf("%v", got)
	}
}

func FuzzInner(f *testing.F) {
	f.Add(ipv4Packet(17, 0, make([]byte, 8)))
	f.Add(ipv6Packet(0, 0, make([]byte, 24)))
	f.Fuzz(func(t *testing.T, b []byte) {
		fl, n, ok := parseInner(b)
		if !ok {
			return
		}
		if n > len(b) {
			t.Fatal("longer than what came")
		}
		decapsulateECN(b[:n], uint8(rand.Uint32()))
		if out := tooBig(make([]byte, ipv6MinMTU), b[:n], &fl, 1300); len(out) > ipv6MinMTU {
			t.Fatal("an error that does not fit")
		}
	})
}
