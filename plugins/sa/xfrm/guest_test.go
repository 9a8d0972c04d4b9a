package xfrm

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/conformance/kit/guest"
	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/sdk/sa"
)

// TestInAGuestKernelWithESP runs the guest tests, which are in this same binary, in a kernel with ESP.
func TestInAGuestKernelWithESP(t *testing.T) {
	if guest.Inside() {
		t.Skip("this is the guest")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text := guest.Run(t, 4*time.Minute, self, "-test.run=^TestGuest", "-test.v")
	if !strings.Contains(text, "--- PASS: TestGuest") {
		t.Fatalf("no test ran in the guest:\n%s", text)
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "---") || strings.Contains(line, "SKIPPED") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

func needGuest(t *testing.T) {
	t.Helper()
	if !guest.Inside() {
		t.Skip("runs within TestInAGuestKernelWithESP")
	}
}

// The lab in the guest: two namespaces, joined by a veth pair, each with a plugin.

var (
	outer4 = [2]string{"192.0.2.1", "192.0.2.2"}
	outer6 = [2]string{"2001:db8::1", "2001:db8::2"}
	inner4 = [2]string{"10.1.0.1", "10.2.0.1"}
	inner6 = [2]string{"fd01::1", "fd02::1"}
	nets4  = [2]string{"10.1.0.0/16", "10.2.0.0/16"}
	nets6  = [2]string{"fd01::/64", "fd02::/64"}
)

type end struct {
	t      *testing.T
	work   chan func()
	ns     int
	dir    string
	plugin *Plugin
	told   chan sa.Event
}

// do runs f on the end's thread.
func (e *end) do(f func() error) {
	e.t.Helper()
	done := make(chan error)
	e.work <- func() { done <- f() }
	if err := <-done; err != nil {
		e.t.Fatal(err)
	}
}

func newLab(t *testing.T) (ends [2]*end) {
	t.Helper()
	for i := range ends {
		e := &end{t: t, work: make(chan func()), dir: t.TempDir()}
		ends[i] = e
		go func() {
			runtime.LockOSThread()
			for f := range e.work {
				f()
			}
		}()
		t.Cleanup(func() { close(e.work) })
		e.do(func() (err error) {
			if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
				e.ns, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY, 0)
			}
			return err
		})
	}
	ends[0].do(func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(ends[1].ns)})
	})
	for i, e := range ends {
		e.do(func() error { return e.setUp(i) })
	}
	return ends
}

func (e *end) setUp(i int) error {
	for _, name := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
		texts := []string{inner4[i] + "/32", inner6[i] + "/128"}
		if name == "eth0" {
			texts = []string{outer4[i] + "/24", outer6[i] + "/64"}
		}
		for _, text := range texts {
			a, _ := netlink.ParseAddr(text)
			a.Flags = unix.IFA_F_NODAD
			if err := netlink.AddrAdd(link, a); err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
		}
		if name != "eth0" {
			continue
		}
		for _, route := range [][2]string{{nets4[1-i], outer4[1-i]}, {nets6[1-i], outer6[1-i]}} {
			_, dst, _ := net.ParseCIDR(route[0])
			if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst, Gw: net.ParseIP(route[1])}); err != nil {
				return fmt.Errorf("%v: %w", route, err)
			}
		}
	}
	return nil
}

// start makes the end's plugin, with UDP sockets for encapsulation.
func (e *end) start() {
	e.t.Helper()
	e.do(func() error {
		var sockets Sockets
		for _, network := range []string{"udp4", "udp6"} {
			c, err := net.ListenUDP(network, &net.UDPAddr{Port: 4500})
			if err != nil {
				return err
			}
			defer c.Close() // the plugin keeps its duplicate
			f, err := c.File()
			if err != nil {
				return err
			}
			defer f.Close()
			sockets.Encap = append(sockets.Encap, f)
		}
		var err error
		e.plugin, err = New(Config{StateDir: e.dir}, sockets)
		return err
	})
	p := e.plugin
	ctx, stop := context.WithCancel(context.Background())
	e.t.Cleanup(func() { stop(); p.Close() })
	e.told = make(chan sa.Event, 64)
	go func() { _ = p.Watch(ctx, func(event sa.Event) { e.told <- event }) }()
}

// wantEvents waits for events, and takes no others.
func (e *end) wantEvents(want ...sa.Event) {
	e.t.Helper()
	for _, w := range want {
		select {
		case got := <-e.told:
			if got != w {
				e.t.Errorf("told %T%+v, want %T%+v", got, got, w, w)
			}
		case <-time.After(3 * time.Second):
			e.t.Errorf("%T%+v was not told", w, w)
		}
	}
	select {
	case got := <-e.told:
		e.t.Errorf("told %T%+v besides", got, got)
	case <-time.After(50 * time.Millisecond):
	}
}

func subnet(text string) sa.Selector {
	p := netip.MustParsePrefix(text)
	return sa.Selector{EndPort: 65535, Start: p.Addr(), End: sa.LastOf(p)}
}

type suite struct{ encr, bits, integ uint16 }

func children(id byte, s suite, esn, encap, six bool) (out [2]sa.Child) {
	size := int(s.bits) / 8
	switch s.encr {
	case 20:
		size += 4
	case 28:
		size = 36
	}
	keys := [2][]byte{bytes.Repeat([]byte{id, 1}, size)[:size], bytes.Repeat([]byte{id, 2}, size)[:size]}
	macs := [2][]byte{bytes.Repeat([]byte{id, 3}, 64)[:integrities[s.integ].key], bytes.Repeat([]byte{id, 4}, 64)[:integrities[s.integ].key]}
	outer := outer4
	if six {
		outer = outer6
	}
	for i := range out {
		out[i] = sa.Child{UID: sa.UID{id}, Owner: "test", Conn: "lab", Name: "child", ReqID: uint32(id),
			SPIIn: 0x1000 + uint32(id)*2 + uint32(i), SPIOut: 0x1000 + uint32(id)*2 + uint32(1-i),
			Local: netip.MustParseAddr(outer[i]), Remote: netip.MustParseAddr(outer[1-i]), Encr: s.encr, KeyBits: s.bits, Integ: s.integ,
			ESN: esn, ReplayWindow: 64, EncrIn: keys[i], EncrOut: keys[1-i], IntegIn: macs[i], IntegOut: macs[1-i],
			LocalTS: []sa.Selector{subnet(nets4[i]), subnet(nets6[i])}, RemoteTS: []sa.Selector{subnet(nets4[1-i]), subnet(nets6[1-i])}}
		if encap {
			out[i].Encap, out[i].LocalPort, out[i].RemotePort = true, 4500, 4500
		}
	}
	return out
}

// ping sends probes from a's inner address to b's and returns how many came back.
func ping(a, b *end, from, to string, n int) int { return probe(a, b, from, to, n, 3*time.Second) }

func probe(a, b *end, from, to string, n int, wait time.Duration) (came int) {
	a.t.Helper()
	var server, client *net.UDPConn
	b.do(func() (err error) {
		server, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(to), Port: 7})
		return err
	})
	defer server.Close()
	go func() {
		for buf := make([]byte, 2000); ; {
			n, from, err := server.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = server.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	a.do(func() (err error) {
		client, err = net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, &net.UDPAddr{IP: net.ParseIP(to), Port: 7})
		return err
	})
	defer client.Close()
	for range n {
		if _, err := client.Write(marker); err != nil {
			continue
		}
		_ = client.SetReadDeadline(time.Now().Add(wait))
		buf := make([]byte, 2000)
		if n, err := client.Read(buf); err == nil && bytes.Equal(buf[:n], marker) {
			came++
		}
	}
	return came
}

var marker = []byte("this-must-never-be-seen-on-the-wire")

// wire captures what the end puts on the wire until the returned function is called. What arrives is not looked at: the kernel
// shows decrypted packets a second time on the device.
func (e *end) wire() func() [][]byte {
	e.t.Helper()
	fd := -1
	e.do(func() (err error) {
		const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK, all); err != nil {
			return err
		}
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link.Attrs().Index})
	})
	return func() (frames [][]byte) {
		defer unix.Close(fd)
		for buf := make([]byte, 4096); ; {
			n, from, err := unix.Recvfrom(fd, buf, 0)
			if err != nil {
				return frames
			}
			if from, ok := from.(*unix.SockaddrLinklayer); ok && from.Pkttype != unix.PACKET_OUTGOING {
				continue
			}
			frames = append(frames, bytes.Clone(buf[:n]))
		}
	}
}

// onlyESP counts the ESP packets among frames, and fails for a probe in clear.
func onlyESP(t *testing.T, frames [][]byte, encap bool) (n int) {
	t.Helper()
	for _, b := range frames {
		if bytes.Contains(b, marker) {
			t.Error("a probe crossed in clear")
		}
		proto, at := b[14+9], 14+20
		if b[12] == 0x86 && b[13] == 0xdd {
			proto, at = b[14+6], 14+40
		}
		udp := proto == unix.IPPROTO_UDP && len(b) > at+8 && b[at+2] == 4500>>8 && b[at+3] == 4500&0xff
		if !encap && proto == unix.IPPROTO_ESP || encap && udp {
			n++
		}
	}
	return n
}

func TestGuestProbeFindsESP(t *testing.T) {
	needGuest(t)
	ends := newLab(t)
	ends[0].start()
	c, err := ends[0].plugin.Probe(context.Background())
	if err != nil || !c.Usable || len(c.Algorithms) != 7 || !strings.Contains(c.Reason, "IPv6") {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, a := range c.Algorithms {
		if a.Type == 1 && a.ID != 28 && len(a.KeyBits) != 3 {
			t.Errorf("%+v", a)
		}
	}
	ends[0].nothingLeft(0, 0)
}

// nothingLeft checks how many SAs and policies the end's kernel has.
func (e *end) nothingLeft(sas, policies int) {
	e.t.Helper()
	e.do(func() error {
		s, err := netlink.XfrmStateList(netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		p, err := netlink.XfrmPolicyList(netlink.FAMILY_ALL)
		if len(s) != sas || len(p) != policies {
			e.t.Errorf("the kernel holds %d SAs and %d policies, want %d and %d", len(s), len(p), sas, policies)
		}
		return err
	})
}

func TestGuestPacketsCrossAsESPAndNeverInClear(t *testing.T) {
	needGuest(t)
	ends := newLab(t)
	for _, e := range ends {
		e.start()
	}
	id := byte(0)
	for _, s := range []suite{{20, 128, 0}, {20, 256, 0}, {28, 0, 0}, {12, 128, 2}, {12, 256, 12}, {12, 192, 13}, {12, 256, 14}} {
		for _, six := range []bool{false, true} {
			for _, encap := range []bool{false, true} {
				id++
				esn := id%2 == 0
				t.Run(fmt.Sprintf("%v/outside6=%v/udp=%v/esn=%v", s, six, encap, esn), func(t *testing.T) {
					cs := children(id, s, esn, encap, six)
					for i, e := range ends {
						if err := e.plugin.Install(context.Background(), cs[i]); err != nil {
							t.Fatal(err)
						}
					}
					if m, err := ends[0].plugin.kernel.getSA(kernel.Inbound(&cs[0])); err != nil || m == nil || m.Flags&nl.XFRM_STATE_ESN != 0 != esn {
						t.Errorf("the inbound SA: %+v, %v", m, err)
					}
					stop, stopOther := ends[0].wire(), ends[1].wire()
					if a, b := ping(ends[0], ends[1], inner4[0], inner4[1], 2), ping(ends[0], ends[1], inner6[0], inner6[1], 2); a != 2 || b != 2 {
						t.Errorf("%d of 2 IPv4 and %d of 2 IPv6 probes came back", a, b)
					}
					if n := onlyESP(t, append(stop(), stopOther()...), encap); n != 8 {
						t.Errorf("%d ESP packets crossed, want 8", n)
					}
					for i, e := range ends {
						u, err := e.plugin.Remove(context.Background(), cs[i])
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
	needGuest(t)
	ends := newLab(t)
	e := ends[0]
	e.start()
	ctx := context.Background()
	foreign := &netlink.XfrmState{Src: net.ParseIP(outer4[0]), Dst: net.ParseIP(outer4[1]), Proto: netlink.XFRM_PROTO_ESP, Mode: netlink.XFRM_MODE_TUNNEL,
		Spi: 0x9999, Reqid: 7, Aead: &netlink.XfrmStateAlgo{Name: "rfc4106(gcm(aes))", Key: make([]byte, 20), ICVLen: 128}}
	_, a, _ := net.ParseCIDR("172.16.0.0/16")
	_, b, _ := net.ParseCIDR("172.17.0.0/16")
	policy := &netlink.XfrmPolicy{Src: a, Dst: b, Dir: netlink.XFRM_DIR_OUT, Tmpls: []netlink.XfrmPolicyTmpl{{Src: foreign.Src, Dst: foreign.Dst, Proto: foreign.Proto, Mode: foreign.Mode, Reqid: 7}}}
	e.do(func() error {
		if err := netlink.XfrmStateAdd(foreign); err != nil {
			return err
		}
		return netlink.XfrmPolicyAdd(policy)
	})
	spi, err := e.plugin.AllocateSPI(ctx, netip.MustParseAddr(outer4[0]), netip.MustParseAddr(outer4[1]))
	if err != nil || spi < 256 {
		t.Fatalf("SPI %x, %v", spi, err)
	}
	first := children(1, suite{20, 128, 0}, true, false, false)[0]
	first.SPIIn = spi
	second := children(2, suite{20, 128, 0}, true, false, false)[0]
	for range 2 { // the second time changes nothing
		if err := e.plugin.Install(ctx, first); err != nil {
			t.Fatal(err)
		}
	}
	e.nothingLeft(3, 1+6)
	second.ReqID = first.ReqID // its successor: the same policies
	if err := e.plugin.Install(ctx, second); err != nil {
		t.Fatal(err)
	}
	e.nothingLeft(5, 1+6)

	e.plugin.Close() // what a kill does
	e.start()
	list, err := e.plugin.List(ctx, "test")
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	if none, _ := e.plugin.List(ctx, "other"); len(none) != 0 {
		t.Errorf("another owner's list: %+v", none)
	}
	if _, err := e.plugin.Remove(ctx, first); err != nil {
		t.Fatal(err)
	}
	e.nothingLeft(3, 1+6) // the successor keeps the policies
	if _, err := e.plugin.Remove(ctx, second); err != nil {
		t.Fatal(err)
	}
	e.nothingLeft(1, 1)

	clash := children(3, suite{20, 128, 0}, true, false, false)[0]
	clash.LocalTS, clash.RemoteTS = []sa.Selector{subnet("172.16.0.0/16")}, []sa.Selector{subnet("172.17.0.0/16")}
	if err := e.plugin.Install(ctx, clash); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("another's policy: %v", err)
	}
	e.nothingLeft(1, 1)
}

func TestGuestNewKeysReplaceTheOld(t *testing.T) {
	needGuest(t)
	ends := newLab(t)
	for _, e := range ends {
		e.start()
	}
	for _, id := range []byte{1, 2} {
		cs := children(id, suite{20, 128, 0}, true, false, false)
		for i, e := range ends {
			cs[i].UID = sa.UID{42}
			if err := e.plugin.Install(context.Background(), cs[i]); err != nil {
				t.Fatal(err)
			}
		}
		if got := ping(ends[0], ends[1], inner4[0], inner4[1], 2); got != 2 {
			t.Errorf("%d of 2", got)
		}
		ends[0].nothingLeft(2, 6)
	}
}

// Without an SA a policy blocks: what the selectors protect never crosses in clear.
func TestGuestPoliciesBlockWithoutSAs(t *testing.T) {
	needGuest(t)
	ends := newLab(t)
	ends[0].start()
	cs := children(1, suite{20, 128, 0}, true, false, false)
	if err := ends[0].plugin.Install(context.Background(), cs[0]); err != nil {
		t.Fatal(err)
	}
	ends[0].do(func() error { return netlink.XfrmStateFlush(netlink.XFRM_PROTO_ESP) })
	stop := ends[0].wire()
	if got := probe(ends[0], ends[1], inner4[0], inner4[1], 2, 300*time.Millisecond); got != 0 {
		t.Error("a probe came back")
	}
	onlyESP(t, stop(), false)
	ends[0].wantEvents(sa.Lost{SPIIn: cs[0].SPIIn})
	if list, _ := ends[0].plugin.List(context.Background(), ""); len(list) != 1 {
		t.Error("a child that was lost is not listed: a daemon would install it again")
	}
	if err := ends[0].plugin.Install(context.Background(), cs[0]); err == nil || !strings.Contains(err.Error(), "fresh keys") {
		t.Errorf("its keys were installed again, with numbers that were used: %v", err)
	}
	if _, err := ends[0].plugin.Remove(context.Background(), cs[0]); err != nil {
		t.Fatal(err)
	}
	ends[0].nothingLeft(0, 0)
}
