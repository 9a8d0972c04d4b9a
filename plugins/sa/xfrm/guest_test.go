package xfrm

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"

	"github.com/parley-ike/parley/plugins/sa/internal/guestlab"
	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/sdk/sa"
)

// TestInAGuestKernelWithESP runs the guest tests in a kernel with ESP.
func TestInAGuestKernelWithESP(t *testing.T) { guestlab.Run(t) }

// end is one of the two of the lab, with XFRM.
type end struct{ *guestlab.End[*Plugin] }

func newLab(t *testing.T) (ends [2]*end) {
	t.Helper()
	made := guestlab.New(t, func(dir string, encap []*os.File) (*Plugin, error) {
		return New(Config{StateDir: dir}, Sockets{Encap: encap})
	})
	for i, e := range made {
		ends[i] = &end{e}
	}
	return ends
}

type suite struct{ encr, bits, integ uint16 }

func children(id byte, s suite, esn, encap, six bool) (out [2]sa.Child) {
	size := int(s.bits) / 8
	switch s.encr {
	case 20:
		size += 4
	case 28:
		size = 36
	case 3:
		size = 24
	}
	keys := [2][]byte{bytes.Repeat([]byte{id, 1}, size)[:size], bytes.Repeat([]byte{id, 2}, size)[:size]}
	macs := [2][]byte{bytes.Repeat([]byte{id, 3}, 64)[:integrities[s.integ].key], bytes.Repeat([]byte{id, 4}, 64)[:integrities[s.integ].key]}
	outer := guestlab.Outer4
	if six {
		outer = guestlab.Outer6
	}
	for i := range out {
		out[i] = sa.Child{UID: sa.UID{id}, Owner: "test", Conn: "lab", Name: "child", ReqID: uint32(id),
			SPIIn: 0x1000 + uint32(id)*2 + uint32(i), SPIOut: 0x1000 + uint32(id)*2 + uint32(1-i),
			Local: netip.MustParseAddr(outer[i]), Remote: netip.MustParseAddr(outer[1-i]), Encr: s.encr, KeyBits: s.bits, Integ: s.integ,
			ESN: esn, ReplayWindow: 64, EncrIn: keys[i], EncrOut: keys[1-i], IntegIn: macs[i], IntegOut: macs[1-i],
			LocalTS: []sa.Selector{guestlab.Subnet(guestlab.Nets4[i]), guestlab.Subnet(guestlab.Nets6[i])}, RemoteTS: []sa.Selector{guestlab.Subnet(guestlab.Nets4[1-i]), guestlab.Subnet(guestlab.Nets6[1-i])}}
		if encap {
			out[i].Encap, out[i].LocalPort, out[i].RemotePort = true, 4500, 4500
		}
	}
	return out
}

func ping(a, b *end, from, to string, n int) int { return guestlab.Ping(a.End, b.End, from, to, n) }

func probe(a, b *end, from, to string, n int, wait time.Duration) int {
	return guestlab.Probe(a.End, b.End, from, to, n, wait)
}

func TestGuestProbeFindsESP(t *testing.T) {
	guestlab.Need(t)
	ends := newLab(t)
	ends[0].Start()
	c, err := ends[0].Plugin.Probe(context.Background())
	if err != nil || !c.Usable || len(c.Algorithms) != 8 || !strings.Contains(c.Reason, "IPv6") {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, a := range c.Algorithms {
		if a.Type == 1 && a.ID != 28 && a.ID != 3 && len(a.KeyBits) != 3 {
			t.Errorf("%+v", a)
		}
	}
	ends[0].nothingLeft(0, 0)
}

// nothingLeft checks how many SAs and policies the end's kernel has.
func (e *end) nothingLeft(sas, policies int) {
	e.T.Helper()
	e.Do(func() error {
		s, err := netlink.XfrmStateList(netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		p, err := netlink.XfrmPolicyList(netlink.FAMILY_ALL)
		if len(s) != sas || len(p) != policies {
			e.T.Errorf("the kernel holds %d SAs and %d policies, want %d and %d", len(s), len(p), sas, policies)
		}
		return err
	})
}

func TestGuestPacketsCrossAsESPAndNeverInClear(t *testing.T) {
	guestlab.Need(t)
	ends := newLab(t)
	for _, e := range ends {
		e.Start()
	}
	id := byte(0)
	for _, s := range []suite{{20, 128, 0}, {20, 256, 0}, {28, 0, 0}, {12, 128, 2}, {12, 256, 12}, {12, 192, 13}, {12, 256, 14}, {3, 0, 2}} {
		for _, six := range []bool{false, true} {
			for _, encap := range []bool{false, true} {
				id++
				esn := id%2 == 0
				t.Run(fmt.Sprintf("%v/outside6=%v/udp=%v/esn=%v", s, six, encap, esn), func(t *testing.T) {
					cs := children(id, s, esn, encap, six)
					for i, e := range ends {
						if err := e.Plugin.Install(context.Background(), cs[i]); err != nil {
							t.Fatal(err)
						}
					}
					if m, err := ends[0].Plugin.kernel.getSA(kernel.Inbound(&cs[0])); err != nil || m == nil || m.Flags&nl.XFRM_STATE_ESN != 0 != esn {
						t.Errorf("the inbound SA: %+v, %v", m, err)
					}
					stop, stopOther := ends[0].Wire(), ends[1].Wire()
					if a, b := ping(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 2), ping(ends[0], ends[1], guestlab.Inner6[0], guestlab.Inner6[1], 2); a != 2 || b != 2 {
						t.Errorf("%d of 2 IPv4 and %d of 2 IPv6 probes came back", a, b)
					}
					if n := guestlab.OnlyESP(t, append(stop(), stopOther()...), encap); n != 8 {
						t.Errorf("%d ESP packets crossed, want 8", n)
					}
					for i, e := range ends {
						u, err := e.Plugin.Remove(context.Background(), cs[i])
						if err != nil || u.PacketsIn != 4 || u.PacketsOut != 4 || u.BytesIn == 0 {
							t.Errorf("final usage %+v, %v", u, err)
						}
						e.nothingLeft(0, 0)
					}
				})
			}
		}
	}
}

func TestGuestARestartedPluginKnowsItsOwnAndTouchesNoOther(t *testing.T) {
	guestlab.Need(t)
	ends := newLab(t)
	e := ends[0]
	e.Start()
	ctx := context.Background()
	foreign := &netlink.XfrmState{Src: net.ParseIP(guestlab.Outer4[0]), Dst: net.ParseIP(guestlab.Outer4[1]), Proto: netlink.XFRM_PROTO_ESP, Mode: netlink.XFRM_MODE_TUNNEL,
		Spi: 0x9999, Reqid: 7, Aead: &netlink.XfrmStateAlgo{Name: "rfc4106(gcm(aes))", Key: make([]byte, 20), ICVLen: 128}}
	_, a, _ := net.ParseCIDR("172.16.0.0/16")
	_, b, _ := net.ParseCIDR("172.17.0.0/16")
	policy := &netlink.XfrmPolicy{Src: a, Dst: b, Dir: netlink.XFRM_DIR_OUT, Tmpls: []netlink.XfrmPolicyTmpl{{Src: foreign.Src, Dst: foreign.Dst, Proto: foreign.Proto, Mode: foreign.Mode, Reqid: 7}}}
	e.Do(func() error {
		if err := netlink.XfrmStateAdd(foreign); err != nil {
			return err
		}
		return netlink.XfrmPolicyAdd(policy)
	})
	spi, err := e.Plugin.AllocateSPI(ctx, netip.MustParseAddr(guestlab.Outer4[0]), netip.MustParseAddr(guestlab.Outer4[1]))
	if err != nil || spi < 256 {
		t.Fatalf("SPI %x, %v", spi, err)
	}
	first := children(1, suite{20, 128, 0}, true, false, false)[0]
	first.SPIIn = spi
	second := children(2, suite{20, 128, 0}, true, false, false)[0]
	for range 2 { // the second time changes nothing
		if err := e.Plugin.Install(ctx, first); err != nil {
			t.Fatal(err)
		}
	}
	e.nothingLeft(3, 1+6)
	second.ReqID = first.ReqID // its successor: the same policies
	if err := e.Plugin.Install(ctx, second); err != nil {
		t.Fatal(err)
	}
	e.nothingLeft(5, 1+6)

	e.Plugin.Close() // what a kill does
	e.Start()
	list, err := e.Plugin.List(ctx, "test")
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	if none, _ := e.Plugin.List(ctx, "other"); len(none) != 0 {
		t.Errorf("another owner's list: %+v", none)
	}
	if _, err := e.Plugin.Remove(ctx, first); err != nil {
		t.Fatal(err)
	}
	e.nothingLeft(3, 1+6) // the successor keeps the policies
	if _, err := e.Plugin.Remove(ctx, second); err != nil {
		t.Fatal(err)
	}
	e.nothingLeft(1, 1)

	clash := children(3, suite{20, 128, 0}, true, false, false)[0]
	clash.LocalTS, clash.RemoteTS = []sa.Selector{guestlab.Subnet("172.16.0.0/16")}, []sa.Selector{guestlab.Subnet("172.17.0.0/16")}
	if err := e.Plugin.Install(ctx, clash); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("another's policy: %v", err)
	}
	e.nothingLeft(1, 1)
}

func TestGuestNewKeysReplaceTheOld(t *testing.T) {
	guestlab.Need(t)
	ends := newLab(t)
	for _, e := range ends {
		e.Start()
	}
	for _, id := range []byte{1, 2} {
		cs := children(id, suite{20, 128, 0}, true, false, false)
		for i, e := range ends {
			cs[i].UID = sa.UID{42}
			if err := e.Plugin.Install(context.Background(), cs[i]); err != nil {
				t.Fatal(err)
			}
		}
		if got := ping(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 2); got != 2 {
			t.Errorf("%d of 2", got)
		}
		ends[0].nothingLeft(2, 6)
	}
}

// Without an SA a policy blocks: what the selectors protect never crosses in clear.
func TestGuestPoliciesBlockWithoutSAs(t *testing.T) {
	guestlab.Need(t)
	ends := newLab(t)
	ends[0].Start()
	cs := children(1, suite{20, 128, 0}, true, false, false)
	if err := ends[0].Plugin.Install(context.Background(), cs[0]); err != nil {
		t.Fatal(err)
	}
	ends[0].Do(func() error { return netlink.XfrmStateFlush(netlink.XFRM_PROTO_ESP) })
	stop := ends[0].Wire()
	if got := probe(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 2, 300*time.Millisecond); got != 0 {
		t.Error("a probe came back")
	}
	guestlab.OnlyESP(t, stop(), false)
	ends[0].WantEvents(sa.Lost{SPIIn: cs[0].SPIIn})
	if list, _ := ends[0].Plugin.List(context.Background(), ""); len(list) != 1 {
		t.Error("a child that was lost is not listed: a daemon would install it again")
	}
	if err := ends[0].Plugin.Install(context.Background(), cs[0]); err == nil || !strings.Contains(err.Error(), "fresh keys") {
		t.Errorf("its keys were installed again, with numbers that were used: %v", err)
	}
	if _, err := ends[0].Plugin.Remove(context.Background(), cs[0]); err != nil {
		t.Fatal(err)
	}
	ends[0].nothingLeft(0, 0)
}
