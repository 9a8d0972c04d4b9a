package pfkey

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/parley-ike/parley/conformance/kit/sakit"
	"github.com/parley-ike/parley/plugins/sa/internal/guestlab"
	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/plugins/sa/pfkey/pfkeyv2"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/sdktest"
	"github.com/parley-ike/parley/sdk/serve"
)

// TestInAGuestKernelWithPFKEY runs the guest tests in a kernel that has AF_KEY and ESP.
func TestInAGuestKernelWithPFKEY(t *testing.T) { guestlab.Run(t) }

type end = guestlab.End[*Plugin]

func newLab(t *testing.T) [2]*end {
	t.Helper()
	guestlab.Need(t)
	return guestlab.New(t, func(dir string, encap []*os.File) (*Plugin, error) {
		return New(Config{StateDir: dir}, Sockets{Encap: encap})
	})
}

func started(t *testing.T) [2]*end {
	t.Helper()
	ends := newLab(t)
	for _, e := range ends {
		e.Start()
	}
	return ends
}

type suite struct{ bits, integ uint16 }

// children are one child as both ends see it. Inside is IPv4 or IPv6.
func children(id byte, s suite, encap, outer6, inner6 bool) (out [2]sa.Child) {
	size, macSize := int(s.bits)/8, pfkeyv2.Linux().Integrities[s.integ].Key
	encr := uint16(12)
	if s.bits == 0 { // 3DES
		encr, size = 3, 24
	}
	outer, nets := guestlab.Outer4, guestlab.Nets4
	if outer6 {
		outer = guestlab.Outer6
	}
	if inner6 {
		nets = guestlab.Nets6
	}
	key := func(n byte, size int) []byte { return bytes.Repeat([]byte{id, n}, size)[:size] }
	for i := range out {
		n := byte(i)
		out[i] = sa.Child{UID: sa.UID{id}, Owner: "test", Conn: "lab", Name: "child", ReqID: 0xabcd0000 + uint32(id),
			SPIIn: 0x1000 + uint32(id)*2 + uint32(i), SPIOut: 0x1000 + uint32(id)*2 + uint32(1-i),
			Local: netip.MustParseAddr(outer[i]), Remote: netip.MustParseAddr(outer[1-i]), Encr: encr, KeyBits: s.bits, Integ: s.integ, ReplayWindow: 32,
			EncrIn: key(n, size), EncrOut: key(1-n, size), IntegIn: key(n+2, macSize), IntegOut: key(3-n, macSize),
			LocalTS: []sa.Selector{guestlab.Subnet(nets[i])}, RemoteTS: []sa.Selector{guestlab.Subnet(nets[1-i])}}
		if encap {
			out[i].Encap, out[i].LocalPort, out[i].RemotePort = true, 4500, 4500
		}
	}
	return out
}

var cbc = suite{128, 2}

func install(t *testing.T, ends [2]*end, cs [2]sa.Child) {
	t.Helper()
	for i, e := range ends {
		if err := e.Plugin.Install(context.Background(), cs[i]); err != nil {
			t.Fatal(err)
		}
	}
}

func wantPing(t *testing.T, ends [2]*end, what string, six bool) {
	t.Helper()
	inner := guestlab.Inner4
	if six {
		inner = guestlab.Inner6
	}
	if got := guestlab.Ping(ends[0], ends[1], inner[0], inner[1], 2); got != 2 {
		t.Errorf("%s: %d of 2 probes came back", what, got)
	}
}

// holds checks how many SAs and policies the end's kernel has, whoever made them.
func holds(t *testing.T, e *end, sas, policies int) {
	t.Helper()
	e.Do(func() error {
		s, err := netlink.XfrmStateList(netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		p, err := netlink.XfrmPolicyList(netlink.FAMILY_ALL)
		if len(s) != sas || len(p) != policies {
			t.Errorf("the kernel holds %d SAs and %d policies, want %d and %d", len(s), len(p), sas, policies)
		}
		return err
	})
}

func TestGuestTheBackendConforms(t *testing.T) {
	e := newLab(t)[0]
	e.Start()
	sakit.Run(t, sakit.Fixture{Plugin: e.Plugin, Many: 64})
}

func TestGuestTheBackendConformsBehindTheProtocolOfPlugins(t *testing.T) {
	e := newLab(t)[0]
	e.Start()
	sakit.Run(t, sakit.Fixture{Plugin: sdktest.Serve(t, serve.SA("pfkey", e.Plugin)).SA("pfkey"), Many: 64})
}

// What others cannot understand, or the kernel cannot do, is not offered, and refused before the kernel is asked.
func TestGuestProbeOffersWhatCarriesPackets(t *testing.T) {
	e := newLab(t)[0]
	e.Start()
	c, err := e.Plugin.Probe(context.Background())
	if err != nil || !c.Usable || c.ESN || c.MaxReplayWindow != 32 || !c.Traps || !strings.Contains(c.Reason, "IPv6") {
		t.Fatalf("%+v, %v", c, err)
	}
	var got []string
	for _, a := range c.Algorithms {
		got = append(got, fmt.Sprintf("%d/%d%v", a.Type, a.ID, a.KeyBits))
	}
	if text := strings.Join(got, " "); !strings.HasPrefix(text, "1/3[] 1/12[128 192 256] 3/2[]") || strings.Contains(text, "3/12") || !strings.HasSuffix(text, "3/13[] 3/14[]") {
		t.Errorf("algorithms %s", text)
	}
	holds(t, e, 0, 0)
	good := children(1, cbc, false, false, false)[0]
	for name, spoil := range map[string]func(c *sa.Child){
		"AES-GCM":        func(c *sa.Child) { c.Encr, c.Integ = 20, 0 },
		"SHA2-256":       func(c *sa.Child) { c.Integ, c.IntegIn, c.IntegOut = 12, make([]byte, 32), make([]byte, 32) },
		"ESN":            func(c *sa.Child) { c.ESN = true },
		"a large window": func(c *sa.Child) { c.ReplayWindow = 64 },
		"padding":        func(c *sa.Child) { c.TFC = 1400 },
		"two families": func(c *sa.Child) {
			c.LocalTS = append(c.LocalTS, guestlab.Subnet("fd01::/64"))
			c.RemoteTS = append(c.RemoteTS, guestlab.Subnet("fd02::/64"))
		},
		"an XFRM interface": func(c *sa.Child) { c.Handling.IfID = 7 },
	} {
		bad := good
		spoil(&bad)
		if err := e.Plugin.Install(context.Background(), bad); !errors.Is(err, sdk.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	holds(t, e, 0, 0)
}

func TestGuestPacketsCrossAsESPAndNeverInClear(t *testing.T) {
	ends := started(t)
	id := byte(0)
	for _, s := range []suite{{128, 2}, {192, 13}, {256, 14}, {0, 2}} {
		for n := range 8 {
			encap, outer6, inner6 := n&1 != 0, n&2 != 0, n&4 != 0
			id++
			t.Run(fmt.Sprintf("%v/udp=%v/outside6=%v/inside6=%v", s, encap, outer6, inner6), func(t *testing.T) {
				cs := children(id, s, encap, outer6, inner6)
				install(t, ends, cs)
				stop, stopOther := ends[0].Wire(), ends[1].Wire()
				wantPing(t, ends, "tunnel", inner6)
				if n := guestlab.OnlyESP(t, append(stop(), stopOther()...), encap); n != 4 {
					t.Errorf("%d ESP packets crossed, want 4", n)
				}
				for i, e := range ends {
					u, err := e.Plugin.Remove(context.Background(), cs[i])
					if err != nil || u.PacketsIn != 2 || u.PacketsOut != 2 || u.BytesIn == 0 {
						t.Errorf("final usage %+v, %v", u, err)
					}
					holds(t, e, 0, 0)
				}
			})
		}
	}
}

// RFC 7296 section 2.8: a child that is held back receives, and sends only when it is told to.
func TestGuestARekeyingLosesNoPacket(t *testing.T) {
	ends := started(t)
	ctx := context.Background()
	old := children(1, cbc, false, false, false)
	install(t, ends, old)
	for round := range byte(5) {
		next := children(round+2, cbc, false, false, false)
		held := next
		held[0].Held, held[1].Held = true, true
		install(t, ends, held)
		wantPing(t, ends, "both are there", false)
		for i, e := range ends {
			if err := e.Plugin.Update(ctx, next[i]); err != nil {
				t.Fatal(err)
			}
			wantPing(t, ends, "one side sends on the new one", false)
		}
		for i, e := range ends {
			before, err := e.Plugin.Usage(ctx, old[i])
			if err != nil {
				t.Fatal(err)
			}
			wantPing(t, ends, "before the old one goes", false)
			after, err := e.Plugin.Remove(ctx, old[i])
			if err != nil || before.PacketsOut != after.PacketsOut {
				t.Errorf("the old child still sends: %+v, then %+v, %v", before, after, err)
			}
			wantPing(t, ends, "the old one is gone", false)
		}
		old = next
	}
	for i, e := range ends {
		holds(t, e, 2, 3)
		if _, err := e.Plugin.Remove(ctx, old[i]); err != nil {
			t.Fatal(err)
		}
		holds(t, e, 0, 0)
		e.WantEvents()
	}
}

func TestGuestLimitsExpire(t *testing.T) {
	for name, c := range map[string]struct {
		soft, hard sa.Volume
		cause      string
	}{
		"packets": {sa.Volume{Packets: 3}, sa.Volume{Packets: 6}, sa.Packets},
		"bytes":   {sa.Volume{Bytes: 200}, sa.Volume{Bytes: 500}, sa.Bytes},
	} {
		t.Run(name, func(t *testing.T) {
			ends := started(t)
			cs := children(1, cbc, false, false, false)
			cs[0].Soft, cs[0].Hard = c.soft, c.hard
			install(t, ends, cs)
			guestlab.Probe(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 12, 100*time.Millisecond)
			deadline := time.After(4 * time.Second)
			var soft, hard bool
			for !soft || !hard {
				select {
				case got := <-ends[0].Told:
					x, ok := got.(sa.Expired)
					if !ok || x.SPIIn != cs[0].SPIIn || x.Cause != c.cause || !soft && x.Hard {
						t.Fatalf("told %T%+v", got, got)
					}
					soft, hard = true, hard || x.Hard
				case <-deadline:
					t.Fatalf("soft %v, hard %v", soft, hard)
				}
			}
			u, err := ends[0].Plugin.Remove(context.Background(), cs[0])
			if err != nil || u.PacketsOut == 0 {
				t.Errorf("final usage %+v, %v", u, err)
			}
		})
	}
}

func TestGuestAnSAThatAnotherDeletesIsLost(t *testing.T) {
	e := newLab(t)[0]
	e.Start()
	ctx := context.Background()
	one, two := children(1, cbc, false, false, false)[0], children(2, cbc, false, false, false)[0]
	for _, c := range []sa.Child{one, two} {
		if err := e.Plugin.Install(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	e.WantEvents() // what we do ourselves is no loss
	e.Do(func() error {
		return netlink.XfrmStateDel(&netlink.XfrmState{Dst: one.Remote.AsSlice(), Src: one.Local.AsSlice(), Proto: netlink.XFRM_PROTO_ESP, Spi: int(one.SPIOut)})
	})
	e.WantEvents(sa.Lost{SPIIn: one.SPIIn})
	if err := e.Plugin.Install(ctx, one); err == nil || !strings.Contains(err.Error(), "fresh keys") {
		t.Errorf("its keys were installed again: %v", err)
	}
	e.Plugin.Close()
	e.Do(func() error { return netlink.XfrmStateFlush(netlink.XFRM_PROTO_ESP) })
	e.Start() // it happened while nobody watched
	var lost []uint32
	for len(lost) < 2 {
		select {
		case got := <-e.Told:
			lost = append(lost, got.(sa.Lost).SPIIn)
		case <-time.After(3 * time.Second):
			t.Fatalf("told of %x only", lost)
		}
	}
}

func TestGuestARestartedPluginKnowsItsOwnAndTouchesNoOther(t *testing.T) {
	e := newLab(t)[0]
	e.Start()
	ctx := context.Background()
	_, a, _ := net.ParseCIDR("172.16.0.0/16")
	_, b, _ := net.ParseCIDR("172.17.0.0/16")
	foreign := &netlink.XfrmState{Src: net.ParseIP(guestlab.Outer4[0]), Dst: net.ParseIP(guestlab.Outer4[1]), Proto: netlink.XFRM_PROTO_ESP, Mode: netlink.XFRM_MODE_TUNNEL,
		Spi: 0x9999, Reqid: 7, Aead: &netlink.XfrmStateAlgo{Name: "rfc4106(gcm(aes))", Key: make([]byte, 20), ICVLen: 128}}
	e.Do(func() error {
		if err := netlink.XfrmStateAdd(foreign); err != nil {
			return err
		}
		return netlink.XfrmPolicyAdd(&netlink.XfrmPolicy{Src: a, Dst: b, Dir: netlink.XFRM_DIR_OUT,
			Tmpls: []netlink.XfrmPolicyTmpl{{Src: foreign.Src, Dst: foreign.Dst, Proto: foreign.Proto, Mode: foreign.Mode, Reqid: 7}}})
	})
	c := children(1, cbc, false, false, false)[0]
	for range 2 { // the second time changes nothing
		if err := e.Plugin.Install(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	holds(t, e, 3, 1+3)
	e.Plugin.Close() // what a kill does
	e.Start()
	if list, err := e.Plugin.List(ctx, "test"); err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	second := children(2, cbc, false, false, false)[0] // over the policies that the earlier life made
	if err := e.Plugin.Install(ctx, second); err != nil {
		t.Fatal(err)
	}
	holds(t, e, 5, 1+3)
	for _, c := range []sa.Child{c, second} {
		if _, err := e.Plugin.Remove(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	holds(t, e, 1, 1)
	clash := children(3, cbc, false, false, false)[0]
	clash.LocalTS, clash.RemoteTS = []sa.Selector{guestlab.Subnet("172.16.0.0/16")}, []sa.Selector{guestlab.Subnet("172.17.0.0/16")}
	if err := e.Plugin.Install(ctx, clash); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("another's policy: %v", err)
	}
	clash = children(3, cbc, false, false, false)[0]
	clash.SPIOut = uint32(foreign.Spi)
	if err := e.Plugin.Install(ctx, clash); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("another's SA: %v", err)
	}
	holds(t, e, 1, 1)
}

func TestGuestATrapIsToldOfAndLiesBeneathItsChild(t *testing.T) {
	ends := started(t)
	ctx := context.Background()
	cs := children(1, cbc, false, false, false)
	for i, e := range ends {
		c := cs[i]
		trap := sa.Trap{Conn: c.Conn, Name: c.Name, Local: c.Local, Remote: c.Remote, LocalTS: c.LocalTS, RemoteTS: c.RemoteTS}
		for range 2 { // the second time changes nothing
			if err := e.Plugin.SetTraps(ctx, "test", []sa.Trap{trap}); err != nil {
				t.Fatal(err)
			}
		}
		holds(t, e, 0, 3)
	}
	stop := ends[0].Wire()
	if guestlab.Probe(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 3, 50*time.Millisecond) != 0 {
		t.Error("a probe came back without a child")
	}
	if n := guestlab.OnlyESP(t, stop(), false); n != 0 {
		t.Errorf("%d ESP packets without a child", n)
	}
	ends[0].WantEvents(sa.Acquired{Conn: "lab", Name: "child"})
	install(t, ends, cs)
	wantPing(t, ends, "the child is there", false)
	for i, e := range ends {
		if _, err := e.Plugin.Remove(ctx, cs[i]); err != nil {
			t.Fatal(err)
		}
		holds(t, e, 0, 3) // the trap is there again
		if err := e.Plugin.SetTraps(ctx, "test", nil); err != nil {
			t.Fatal(err)
		}
		holds(t, e, 0, 0)
	}
}

// Sequence numbers and window go with a child to another address (RFC 4555 section 3.5).
func TestGuestAChildMovesAndItsNumbersGoOn(t *testing.T) {
	ends := started(t)
	ctx := context.Background()
	cs, others := children(1, cbc, false, false, false), children(2, cbc, false, false, false)
	install(t, ends, cs)
	install(t, ends, others) // of the same family: a MIGRATE moves one of the two
	wantPing(t, ends, "before", false)
	moved := netip.MustParseAddr("192.0.2.77")
	ends[0].Do(func() error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: moved.AsSlice(), Mask: net.CIDRMask(24, 32)}})
	})
	for i, e := range ends {
		for _, c := range []*sa.Child{&cs[i], &others[i]} {
			if i == 0 {
				c.Local = moved
			} else {
				c.Remote = moved
			}
			for range 2 { // the second time changes nothing
				if err := e.Plugin.Update(ctx, *c); err != nil {
					t.Fatal(err)
				}
			}
		}
		holds(t, e, 4, 3)
	}
	wantPing(t, ends, "after", false)
	for i, e := range ends {
		e.WantEvents()
		one, err := e.Plugin.Remove(ctx, cs[i])
		two, err2 := e.Plugin.Remove(ctx, others[i])
		if err != nil || err2 != nil || one.PacketsOut+two.PacketsOut != 4 {
			t.Errorf("%+v, %+v: the counters did not go on; %v, %v", one, two, err, err2)
		}
		holds(t, e, 0, 0)
	}
}

// RFC 3948 section 3.
func TestGuestAPeerThatMovesIsToldOf(t *testing.T) {
	ends := started(t)
	cs := children(1, cbc, true, false, false)
	cs[0].LocalPort = 4501 // a NAT that chose another port
	install(t, ends, cs)
	guestlab.Probe(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 3, 50*time.Millisecond)
	ends[1].WantEvents(sa.Moved{SPIIn: cs[1].SPIIn, Remote: netip.AddrPortFrom(cs[1].Remote, 4501)}) // once, not with each packet
	cs[1].RemotePort = 4501
	if err := ends[1].Plugin.Update(context.Background(), cs[1]); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	guestlab.Probe(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 1, 50*time.Millisecond)
	ends[1].WantEvents()
}

func TestGuestTransportModeProtectsTheHostsThemselves(t *testing.T) {
	ends := started(t)
	cs := children(1, cbc, false, false, false)
	for i := range cs {
		cs[i].Mode = sa.Transport
		cs[i].LocalTS = []sa.Selector{{Protocol: 17, EndPort: 65535, Start: cs[i].Local, End: cs[i].Local}}
		cs[i].RemoteTS = []sa.Selector{{Protocol: 17, EndPort: 65535, Start: cs[i].Remote, End: cs[i].Remote}}
	}
	install(t, ends, cs)
	stop := ends[0].Wire()
	if got := guestlab.Ping(ends[0], ends[1], guestlab.Outer4[0], guestlab.Outer4[1], 2); got != 2 {
		t.Errorf("%d of 2 probes came back", got)
	}
	if n := guestlab.OnlyESP(t, stop(), false); n != 2 {
		t.Errorf("%d ESP packets left, want 2", n)
	}
}

// What passes in clear or is dropped needs no child (RFC 4301 section 4.4.1).
func TestGuestShuntsBypassAndDiscard(t *testing.T) {
	ends := started(t)
	ctx := context.Background()
	shunt := func(action sa.Action) []sa.Trap {
		return []sa.Trap{{Conn: "shunt", Name: "x", Action: action, LocalTS: []sa.Selector{guestlab.Subnet(guestlab.Nets4[0])}, RemoteTS: []sa.Selector{guestlab.Subnet(guestlab.Nets4[1])}}}
	}
	for action, clear := range map[sa.Action]bool{sa.Discard: false, sa.Bypass: true} {
		if err := ends[0].Plugin.SetTraps(ctx, "test", shunt(action)); err != nil {
			t.Fatal(err)
		}
		ends[0].Do(func() error {
			c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(guestlab.Inner4[0])}, &net.UDPAddr{IP: net.ParseIP(guestlab.Inner4[1]), Port: 7})
			if err == nil {
				c.Close()
			}
			if (err == nil) != clear {
				t.Errorf("action %d: %v", action, err)
			}
			return nil
		})
	}
	ends[0].Plugin.Close()
	ends[0].Start() // a restart knows them
	if err := ends[0].Plugin.SetTraps(ctx, "test", nil); err != nil {
		t.Fatal(err)
	}
	holds(t, ends[0], 0, 0)
}

func TestGuestReservedSPIsAreTheKernels(t *testing.T) {
	e := newLab(t)[0]
	e.Start()
	ctx := context.Background()
	c := children(1, cbc, false, false, false)[0]
	spi, err := e.Plugin.AllocateSPI(ctx, c.Local, c.Remote)
	if err != nil {
		t.Fatal(err)
	}
	holds(t, e, 1, 0)
	h := kernel.Half{Src: c.Remote, Dst: c.Local, SPI: spi}
	e.Plugin.Locked(func() {
		if m, err := e.Plugin.driver.get(h); err != nil || m == nil || m.SA.State != pfkeyv2.Larval || reqidOf(m) != ReqIDBase {
			t.Errorf("%+v, %v", m, err)
		}
	})
	c.SPIIn = spi
	if err := e.Plugin.Install(ctx, c); err != nil {
		t.Fatal(err)
	}
	holds(t, e, 2, 3)
	if _, err := e.Plugin.Remove(ctx, c); err != nil {
		t.Fatal(err)
	}
	holds(t, e, 0, 0)
}
