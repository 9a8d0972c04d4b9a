package userspace

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/sdk/sa"
)

var gcm = tunnel{id: 1, seed: 9, encr: 20, bits: 256, esn: true}

// The promise that matters most: a killed plugin that gets the same children again repeats no sequence number, so no nonce.
func TestAKilledPluginGoesOnCountingWhereItWas(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	ends := l.install(gcm)
	wire := l.capture()
	seen := map[uint32]bool{}
	for life := range 3 {
		if got := l.node[0].ping(inner4[0], inner4[1], 20, 100); got != 20 {
			t.Fatalf("life %d: %d of 20 probes came back", life, got)
		}
		numbers := sequenceNumbers(wire.take(), ends[0].SPIOut)
		if len(numbers) != 20 {
			t.Fatalf("life %d: %d packets on the wire", life, len(numbers))
		}
		for _, n := range numbers {
			if seen[n] {
				t.Fatalf("life %d: sequence number %d was used twice under one key", life, n)
			}
			seen[n] = true
		}
		if life > 0 && slices.Max(numbers) != uint32(20*(life+1)) {
			t.Errorf("life %d ended at %d", life, slices.Max(numbers))
		}
		l.node[0].kill()
		l.within(0, func() error { // the device and its routes outlive the plugin, so that nothing leaks meanwhile
			routes, err := netlink.RouteGet(net.ParseIP("10.2.0.1"))
			if err != nil || len(routes) == 0 {
				t.Errorf("no route: %v", err)
				return nil
			}
			link, err := netlink.LinkByIndex(routes[0].LinkIndex)
			if err != nil || link.Attrs().Name != DefaultDevice {
				t.Errorf("the route leads elsewhere while the plugin is dead: %v", err)
			}
			return nil
		})
		l.start(0, Config{}, netip.MustParseAddrPort("0.0.0.0:4500"))
		l.node[0].must(request{Op: "install", Child: ends[0]})
	}
	if u := l.node[0].must(request{Op: "usage", Child: ends[0]}).Usage; u.PacketsOut != 60 || u.PacketsIn != 60 {
		t.Errorf("usage after restarts: %+v", u)
	}
}

// A kill in the middle of traffic, at an instant that nobody chose.
func TestAKillUnderLoadRepeatsNoNumber(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	ends := l.install(gcm)
	wire := l.capture()
	to := netip.AddrPortFrom(inner4[1], streamPort)
	l.node[1].must(request{Op: "sink", From: to})
	seen := map[uint32]bool{}
	for range 3 {
		go func(n *node) {
			_ = n.enc.Encode(request{Op: "stream", From: netip.AddrPortFrom(inner4[0], 0), To: to, N: 5000})
		}(l.node[0])
		time.Sleep(150 * time.Millisecond)
		l.node[0].kill()
		numbers := sequenceNumbers(wire.take(), ends[0].SPIOut)
		for _, n := range numbers {
			if seen[n] {
				t.Fatalf("sequence number %d was used twice under one key", n)
			}
			seen[n] = true
		}
		if len(numbers) == 0 {
			t.Fatal("nothing was sent")
		}
		l.start(0, Config{}, netip.MustParseAddrPort("0.0.0.0:4500"))
		l.node[0].must(request{Op: "install", Child: ends[0]})
		if got := l.node[0].ping(inner4[0], inner4[1], 3, 100); got != 3 {
			t.Fatalf("after the restart %d of 3 probes came back", got)
		}
		for _, n := range sequenceNumbers(wire.take(), ends[0].SPIOut) {
			if seen[n] {
				t.Fatalf("sequence number %d was used again after the restart", n)
			}
			seen[n] = true
		}
	}
}

// inject sends an ESP packet to an end as if its peer had.
func (l *lab) inject(to int, packet []byte) {
	l.t.Helper()
	l.within(1-to, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, protoESP)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, packet, 0, &unix.SockaddrInet4{Addr: outer4[to].As4()})
	})
}

// waitStat waits until a counter of an end is at least n.
func (n *node) waitStat(name string, want uint64) {
	n.t.Helper()
	var got map[string]uint64
	for range 100 {
		if got = n.must(request{Op: "stats"}).Stats; got[name] >= want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	n.t.Fatalf("%s did not become %d: %v", name, want, got)
}

// Replays and forgeries are refused, by the next life of the plugin too.
func TestReplaysAreRefusedAcrossARestart(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	ends := l.install(gcm)
	wire := l.capture()
	if got := l.node[0].ping(inner4[0], inner4[1], 5, 100); got != 5 {
		t.Fatalf("%d of 5", got)
	}
	var recorded [][]byte
	for _, b := range wire.take() {
		if p, ok := parseFrame(b); ok && p.esp != nil && binary.BigEndian.Uint32(p.esp) == ends[1].SPIIn {
			recorded = append(recorded, p.esp)
		}
	}
	replay := func() {
		for _, p := range recorded {
			l.inject(1, p)
		}
	}
	replay()
	l.node[1].waitStat("replayed", 5)
	l.node[1].kill()
	l.start(1, Config{}, netip.MustParseAddrPort("0.0.0.0:4500"))
	l.node[1].must(request{Op: "install", Child: ends[1]})
	replay()
	l.node[1].waitStat("replayed", 5)
	forged := slices.Clone(recorded[0])
	binary.BigEndian.PutUint32(forged[4:], 77)
	l.inject(1, forged)
	l.node[1].waitStat("forged", 1)
	if u := l.node[1].must(request{Op: "usage", Child: ends[1]}).Usage; u.PacketsIn != 5 {
		t.Errorf("%d packets in", u.PacketsIn)
	}
}

func TestAnInnerPacketOutsideTheSelectorsIsDropped(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	ends := gcm.ends(t)
	narrow := ends[1] // the receiver agreed to less than the sender sends
	narrow.RemoteTS = []sa.Selector{selector(netip.MustParsePrefix("10.1.7.0/24"))}
	l.node[0].must(request{Op: "install", Child: ends[0]})
	l.node[1].must(request{Op: "install", Child: narrow})
	l.node[0].silent(inner4[0], inner4[1], 100) // RFC 4301 section 5.2
	l.node[1].waitStat("outside_selectors", 1)
}

func TestTheMostSpecificChildTakesAPacket(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	wide, narrow := gcm, gcm
	narrow.id, narrow.seed = 2, 3
	a := l.install(wide)
	ends := narrow.ends(t)
	ends[0].RemoteTS = []sa.Selector{{Protocol: protoUDP, StartPort: echoPort, EndPort: echoPort, Start: inner4[1], End: inner4[1]}}
	ends[1].LocalTS = ends[0].RemoteTS
	for i := range ends {
		l.node[i].must(request{Op: "install", Child: ends[i]})
	}
	if got := l.node[0].ping(inner4[0], inner4[1], 3, 100); got != 3 {
		t.Fatalf("%d of 3", got)
	}
	if got := l.node[0].ping(inner6[0], inner6[1], 2, 100); got != 2 {
		t.Fatalf("%d of 2", got)
	}
	if u := l.node[0].must(request{Op: "usage", Child: ends[0]}).Usage; u.PacketsOut != 3 || u.PacketsIn != 3 {
		t.Errorf("narrow child: %+v", u)
	}
	if u := l.node[0].must(request{Op: "usage", Child: a[0]}).Usage; u.PacketsOut != 2 {
		t.Errorf("wide child: %+v", u)
	}
}

func TestInstallReplacesAndRepeatsAndRemoveCleansUp(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	ends := l.install(gcm)
	l.install(gcm) // the same again changes nothing
	if got := l.node[0].ping(inner4[0], inner4[1], 2, 100); got != 2 {
		t.Fatalf("%d of 2", got)
	}
	for i := range ends { // another way, same keys: the numbers go on
		ends[i].Encap, ends[i].LocalPort, ends[i].RemotePort = true, 4500, 4500
		l.node[i].must(request{Op: "install", Child: ends[i]})
	}
	wire := l.capture()
	if got := l.node[0].ping(inner4[0], inner4[1], 2, 100); got != 2 {
		t.Fatalf("%d of 2 after the change", got)
	}
	if numbers := sequenceNumbers(wire.take(), ends[0].SPIOut); !slices.Equal(numbers, []uint32{3, 4}) {
		t.Errorf("numbers %v, want 3 and 4", numbers)
	}
	fresh := gcm // the same UID with other keys
	fresh.seed = 77
	renewed := fresh.ends(t)
	for i := range renewed {
		renewed[i].UID = ends[i].UID
		l.node[i].must(request{Op: "install", Child: renewed[i]})
	}
	if got := l.node[0].ping(inner4[0], inner4[1], 2, 100); got != 2 {
		t.Fatalf("%d of 2 with new keys", got)
	}
	if names := l.node[0].must(request{Op: "list"}).Names; !slices.Equal(names, []string{"child-1"}) {
		t.Errorf("list %v", names)
	}
	if u := l.node[0].must(request{Op: "remove", Child: renewed[0]}).Usage; u.PacketsOut != 2 {
		t.Errorf("final usage %+v", u)
	}
	l.node[0].must(request{Op: "remove", Child: renewed[0]})
	l.noTrace(0)
	l.start(0, Config{})
	l.node[0].must(request{Op: "close", Remove: true})
	l.within(0, func() error {
		if _, err := netlink.LinkByName(DefaultDevice); err == nil {
			t.Error("the device remains")
		}
		return nil
	})
}

func TestAFreshStartWithNothingToKeepRemovesTheDevice(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	l.install(gcm)
	l.node[0].kill()
	l.start(0, Config{})
	l.node[0].must(request{Op: "close", Remove: true})
	l.within(0, func() error {
		if _, err := netlink.LinkByName(DefaultDevice); err == nil {
			t.Error("the device remains")
		}
		return nil
	})
}

func TestADefaultRouteIntoTheTunnelKeepsThePeerReachable(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	ends := gcm.ends(t)
	l.within(0, func() error { // the peer is behind the default route
		eth, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		if err := netlink.RouteDel(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: ipNet(netip.MustParsePrefix("192.0.2.0/24")), Scope: netlink.SCOPE_LINK}); err != nil {
			return err
		}
		_, everywhere, _ := net.ParseCIDR("0.0.0.0/0")
		return netlink.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: everywhere, Scope: netlink.SCOPE_LINK})
	})
	all := []sa.Selector{selector(netip.MustParsePrefix("0.0.0.0/0"))}
	ends[0].RemoteTS, ends[1].LocalTS = all, all
	for i := range ends {
		l.node[i].must(request{Op: "install", Child: ends[i]})
	}
	if got := l.node[0].ping(inner4[0], inner4[1], 3, 100); got != 3 {
		t.Fatalf("%d of 3", got)
	}
	l.within(0, func() error {
		routes, err := netlink.RouteGet(net.IP(outer4[1].AsSlice()))
		if err != nil || routes[0].Src.String() != outer4[0].String() {
			t.Errorf("the peer is reached by %v, %v", routes, err)
		}
		other, err := netlink.RouteGet(net.ParseIP("198.51.100.1"))
		if err != nil {
			return err
		}
		if link, err := netlink.LinkByIndex(other[0].LinkIndex); err != nil || link.Attrs().Name != DefaultDevice {
			t.Errorf("the rest of the world is reached by %v", other)
		}
		return nil
	})
}

func TestARouteOfAnotherIsNeverReplaced(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	l.within(0, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: lo.Attrs().Index, Dst: ipNet(nets4[1])})
	})
	got := l.node[0].do(request{Op: "install", Child: gcm.ends(t)[0]})
	if !strings.Contains(got.Err, "10.2.0.0/16") || !strings.Contains(got.Err, "is there already") {
		t.Errorf("error %q", got.Err)
	}
	if names := l.node[0].must(request{Op: "list"}).Names; len(names) != 0 {
		t.Errorf("a child that failed remains: %v", names)
	}
	l.noTrace(0)
}

// noTrace checks that an end keeps no route and no slot, and kills its process.
func (l *lab) noTrace(i int) {
	l.t.Helper()
	l.within(i, func() error {
		routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Protocol: routeProtocol}, netlink.RT_FILTER_PROTOCOL)
		if len(routes) != 0 {
			l.t.Errorf("routes remain: %v", routes)
		}
		return err
	})
	l.node[i].kill()
	s, err := openState(l.dirs[i])
	if err != nil {
		l.t.Fatal(err)
	}
	defer s.close()
	for n := range s.used {
		if s.slots[n].kind.Load() == slotLive {
			l.t.Errorf("slot %d of child %x remains", n, s.slots[n].uid)
		}
	}
	if s.used == 0 {
		l.t.Error("no slot was ever used")
	}
}

// The path shrinks: the sender of packets with DF is told, and the rest is fragmented outside.
func TestASmallerPathIsLearned(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	l.install(gcm)
	l.within(0, func() error { // as if a router on the way had said so
		eth, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: ipNet(netip.PrefixFrom(outer4[1], 32)), MTU: 1000, Scope: netlink.SCOPE_LINK})
	})
	l.node[0].silent(inner4[0], inner4[1], 1300) // refused by the kernel, learned
	l.node[0].silent(inner4[0], inner4[1], 1300) // its sender is told
	wire := l.capture()
	if got := l.node[0].ping(inner4[0], inner4[1], 3, 1300); got != 3 {
		t.Errorf("%d of 3 large probes came back after the path was learned; %v", got, l.node[0].do(request{Op: "stats"}).Stats)
	}
	for _, b := range wire.take() {
		if p, ok := parseFrame(b); ok && p.src == outer4[0] && len(b) > 14+1000 {
			t.Errorf("a packet of %d octets on a path of 1000", len(b)-14)
		}
	}
}

func TestDSCPAndDFAreCopiedOutwards(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	ends := l.install(gcm)
	for _, c := range []struct {
		tos, df int
	}{{0xb8, unix.IP_PMTUDISC_DO}, {0x02, unix.IP_PMTUDISC_DONT}} {
		wire := l.capture()
		l.within(0, func() error {
			s, err := net.DialUDP("udp4", &net.UDPAddr{IP: inner4[0].AsSlice()}, &net.UDPAddr{IP: inner4[1].AsSlice(), Port: 99})
			if err != nil {
				return err
			}
			defer s.Close()
			raw, err := s.SyscallConn()
			if err != nil {
				return err
			}
			_ = raw.Control(func(fd uintptr) {
				_ = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TOS, c.tos)
				_ = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_MTU_DISCOVER, c.df)
			})
			_, err = s.Write(marker)
			return err
		})
		seen := false
		for _, b := range wire.take() {
			if p, ok := parseFrame(b); ok && p.esp != nil && binary.BigEndian.Uint32(p.esp) == ends[0].SPIOut {
				seen = true
				if int(p.tos) != c.tos || p.df != (c.df == unix.IP_PMTUDISC_DO) {
					t.Errorf("outer TOS %#x, DF %v; inner %+v", p.tos, p.df, c) // RFC 4301 section 5.1.2, RFC 6040 section 4.1
				}
			}
		}
		if !seen {
			t.Error("no packet seen")
		}
	}
}

func TestADeletedDeviceIsToldByTheCanary(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	ends := l.install(gcm)
	l.node[0].must(request{Op: "canary"})
	l.within(0, func() error {
		link, err := netlink.LinkByName(DefaultDevice)
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	})
	var text string
	for range 1000 { // who reads the device has to notice, which on a busy machine takes a while
		if text = l.node[0].do(request{Op: "canary"}).Err; text != "" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !strings.Contains(text, "parley0 was deleted") {
		t.Errorf("canary: %q", text)
	}
	other := gcm
	other.id, other.seed = 5, 5
	if got := l.node[0].do(request{Op: "install", Child: other.ends(t)[0]}); !strings.Contains(got.Err, "unavailable") {
		t.Errorf("install: %q", got.Err)
	}
	l.node[0].kill() // its next life makes the device anew
	l.start(0, Config{}, netip.MustParseAddrPort("0.0.0.0:4500"))
	l.node[0].must(request{Op: "install", Child: ends[0]})
	if got := l.node[0].ping(inner4[0], inner4[1], 2, 100); got != 2 {
		t.Errorf("%d of 2", got)
	}
}

func TestUDPEncapsulationNeedsTheDaemonsSocket(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	c := tunnel{id: 1, encr: 20, bits: 128, encap: true}.ends(t)[0]
	c.LocalPort = 4501
	if got := l.node[0].do(request{Op: "install", Child: c}); !strings.Contains(got.Err, "192.0.2.1:4501: the daemon handed no socket") {
		t.Errorf("error %q", got.Err)
	}
}
