package xfrm

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/sa/internal/guestlab"
	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/sdk/sa"
)

// installed makes a lab with one child, whose first end is handled in another way.
func installed(t *testing.T, change func(c *sa.Child)) (ends [2]*end, cs [2]sa.Child) {
	t.Helper()
	ends, cs = newLab(t), children(1, suite{20, 128, 0}, true, false, false)
	change(&cs[0])
	for i, e := range ends {
		e.Start()
		if err := e.Plugin.Install(context.Background(), cs[i]); err != nil {
			t.Fatal(err)
		}
	}
	return ends, cs
}

func (e *end) remove(c sa.Child) {
	e.T.Helper()
	if _, err := e.Plugin.Remove(context.Background(), c); err != nil {
		e.T.Fatal(err)
	}
	e.nothingLeft(0, 0)
}

func network(text string) *net.IPNet {
	_, n, _ := net.ParseCIDR(text)
	return n
}

// device returns an interface of the end, nil when there is none.
func (e *end) device(name string) (link netlink.Link) {
	e.T.Helper()
	e.Do(func() (err error) {
		if link, err = netlink.LinkByName(name); errors.As(err, &netlink.LinkNotFoundError{}) {
			link, err = nil, nil
		}
		return err
	})
	return link
}

func TestGuestAChildWithAnInterfaceIsRoutedThroughIt(t *testing.T) {
	guestlab.Need(t)
	ends, cs := installed(t, func(c *sa.Child) { c.Handling = sa.Handling{IfID: 7, Interface: "ipsec0"} })
	stop, stopOther := ends[0].Wire(), ends[1].Wire()
	if a, b := ping(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 2), ping(ends[0], ends[1], guestlab.Inner6[0], guestlab.Inner6[1], 2); a != 2 || b != 2 {
		t.Errorf("%d of 2 IPv4 and %d of 2 IPv6 probes came back", a, b)
	}
	if n := guestlab.OnlyESP(t, append(stop(), stopOther()...), false); n != 8 {
		t.Errorf("%d ESP packets crossed, want 8", n)
	}
	if s := ends[0].device("ipsec0").Attrs().Statistics; s.TxPackets < 4 || s.RxPackets < 4 {
		t.Errorf("the interface carried %d packets out and %d in", s.TxPackets, s.RxPackets)
	}
	next := children(2, suite{20, 128, 0}, true, false, false)[0]
	next.Handling = cs[0].Handling
	if err := ends[0].Plugin.Install(context.Background(), next); err != nil {
		t.Fatal(err)
	}
	if _, err := ends[0].Plugin.Remove(context.Background(), cs[0]); err != nil || ends[0].device("ipsec0") == nil {
		t.Errorf("the interface has gone with the first of two children: %v", err)
	}
	ends[0].Plugin.Close()
	ends[0].Start() // what it made it knows after a restart
	ends[0].remove(next)
	if ends[0].device("ipsec0") != nil {
		t.Error("the interface is left")
	}
}

func TestGuestAnInterfaceOfAnotherIsUsedAndStays(t *testing.T) {
	guestlab.Need(t)
	ends := newLab(t)
	e := ends[0]
	e.Start()
	c := children(1, suite{20, 128, 0}, true, false, false)[0]
	c.Handling = sa.Handling{IfID: 7, Interface: "eth0"}
	if err := e.Plugin.Install(context.Background(), c); err == nil || !strings.Contains(err.Error(), "no XFRM interface with if_id 7") {
		t.Errorf("an Ethernet device: %v", err)
	}
	e.nothingLeft(0, 0)
	e.Do(func() error {
		return netlink.LinkAdd(&netlink.Xfrmi{LinkAttrs: netlink.LinkAttrs{Name: "ipsec0"}, Ifid: 7})
	})
	c.Handling.Interface = "ipsec0"
	if err := e.Plugin.Install(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	e.remove(c)
	if e.device("ipsec0") == nil {
		t.Error("another's interface was deleted")
	}
	c.RemoteTS = []sa.Selector{guestlab.Subnet("0.0.0.0/0")}
	if err := e.Plugin.Install(context.Background(), c); err == nil || !strings.Contains(err.Error(), "netns") {
		t.Errorf("a route that catches ESP itself: %v", err)
	}
}

// inNamespace is an end in a network namespace with a name, which stays until the guest ends.
func inNamespace(t *testing.T, name string) *end {
	t.Helper()
	return &end{guestlab.Alone[*Plugin](t, func() error {
		ns, err := netns.NewNamed(name) // this thread is there from now on
		if err != nil {
			return err
		}
		defer ns.Close()
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})}
}

// What is inside lies in a namespace that has no other way out; what is outside stays where the daemon is.
func TestGuestTheInnerSideLiesInANamespaceOfItsOwn(t *testing.T) {
	guestlab.Need(t)
	blue := inNamespace(t, "blue")
	everything := []sa.Selector{guestlab.Subnet("0.0.0.0/0")}
	client := []sa.Selector{guestlab.Subnet("10.9.0.7/32")}
	ends, cs := newLab(t), children(1, suite{20, 128, 0}, true, false, false)
	cs[0].LocalTS, cs[0].RemoteTS, cs[0].Addresses = client, everything, virtual[:1]
	cs[1].LocalTS, cs[1].RemoteTS = everything, client
	cs[0].Handling = sa.Handling{IfID: 9, Interface: "ipsec0", Netns: "blue"}
	for i, e := range ends {
		e.Start()
		if err := e.Plugin.Install(context.Background(), cs[i]); err != nil {
			t.Fatal(err)
		}
	}
	ends[1].Do(func() error {
		eth0, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: network("10.9.0.7/32"), Gw: net.ParseIP(guestlab.Outer4[0])})
	})
	stop := ends[0].Wire()
	if n := ping(blue, ends[1], "0.0.0.0", guestlab.Inner4[1], 3); n != 3 {
		t.Errorf("%d of 3 probes came back", n)
	}
	if n := guestlab.OnlyESP(t, stop(), false); n != 3 {
		t.Errorf("%d ESP packets were sent, want 3", n)
	}
	if ends[0].device("ipsec0") != nil {
		t.Error("the interface stayed outside")
	}
	ends[0].remove(cs[0])
	if blue.device("ipsec0") != nil {
		t.Error("the interface is left")
	}
	cs[0].Handling.Netns = "nowhere"
	if err := ends[0].Plugin.Install(context.Background(), cs[0]); err == nil || !strings.Contains(err.Error(), "ip netns add nowhere") {
		t.Errorf("a namespace that is not there: %v", err)
	}
}

// A VTI is a tunnel device whose keys are marks.
func TestGuestAChildWithAMarkIsThatOfAVTI(t *testing.T) {
	guestlab.Need(t)
	ends, cs := installed(t, func(c *sa.Child) { c.Handling = sa.Handling{Mark: 0x2a, MarkMask: 0xffffffff} })
	e := ends[0]
	e.Do(func() error {
		vti := &netlink.Vti{LinkAttrs: netlink.LinkAttrs{Name: "vti0"}, IKey: 0x2a, OKey: 0x2a, Local: net.ParseIP(guestlab.Outer4[0]).To4(), Remote: net.ParseIP(guestlab.Outer4[1]).To4()}
		if err := netlink.LinkAdd(vti); err != nil {
			return err
		}
		link, err := netlink.LinkByName("vti0")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/vti0/disable_policy", []byte("1"), 0); err != nil { // the VTI itself has looked
			return err
		}
		return netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: network(guestlab.Nets4[1]), Scope: netlink.SCOPE_LINK})
	})
	stop := e.Wire()
	if n := ping(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 3); n != 3 {
		t.Errorf("%d of 3 probes came back", n)
	}
	if n := guestlab.OnlyESP(t, stop(), false); n != 3 {
		t.Errorf("%d ESP packets were sent, want 3", n)
	}
	if s := e.device("vti0").Attrs().Statistics; s.TxPackets != 3 || s.RxPackets != 3 {
		t.Errorf("the VTI carried %d packets out and %d in", s.TxPackets, s.RxPackets)
	}
	e.remove(cs[0])
}

// udp sends one datagram with options of the socket.
func (e *end) udp(from, to string, text []byte, options func(fd int) error) {
	e.T.Helper()
	e.Do(func() error {
		d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}, Control: func(_, _ string, c syscall.RawConn) (err error) {
			var inner error
			err = c.Control(func(fd uintptr) { inner = options(int(fd)) })
			return errors.Join(err, inner)
		}}
		c, err := d.Dial("udp", net.JoinHostPort(to, "9"))
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write(text)
		return err
	})
}

func TestGuestAMarkChoosesThePacketsAndAnotherIsGivenToThoseThatLeave(t *testing.T) {
	guestlab.Need(t)
	ends, cs := installed(t, func(c *sa.Child) {
		c.Handling = sa.Handling{Mark: 5, MarkMask: 0xf, OutputMark: 0x70, OutputMarkMask: 0xf0}
	})
	probe(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 1, 50*time.Millisecond) // so that the neighbour is known
	stop := ends[0].Wire()
	for _, mark := range []int{0x15, 6} {
		ends[0].udp(guestlab.Inner4[0], guestlab.Inner4[1], []byte("of no matter"), func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, mark) })
	}
	if n := guestlab.OnlyESP(t, stop(), false); n != 1 {
		t.Errorf("%d of the two packets left as ESP, want that with the mark", n)
	}
	s, err := ends[0].Plugin.kernel.getSA(kernel.Outbound(&cs[0]))
	if err != nil || s == nil || !slices.ContainsFunc(s.attrs, func(a attribute) bool { return a.kind == nl.XFRMA_SET_MARK && bytes.Equal(a.data, word(0x70)) }) {
		t.Errorf("the outbound SA gives no mark: %+v, %v", s, err)
	}
	ends[0].remove(cs[0])
}

func TestGuestWhatTheOperatorLetsPassOrDropsGoesBeforeChildren(t *testing.T) {
	guestlab.Need(t)
	ctx := context.Background()
	ends, cs := installed(t, func(*sa.Child) {})
	shunt := func(i int, action sa.Action) []sa.Trap {
		return []sa.Trap{{Conn: "shunt", Name: "echo", Action: action, LocalTS: []sa.Selector{guestlab.Subnet(guestlab.Inner4[i] + "/32")}, RemoteTS: []sa.Selector{guestlab.Subnet(guestlab.Inner4[1-i] + "/32")}}}
	}
	for i, e := range ends {
		if err := e.Plugin.SetTraps(ctx, "test", shunt(i, sa.Bypass)); err != nil {
			t.Fatal(err)
		}
		e.nothingLeft(2, 9)
	}
	stop := ends[0].Wire()
	if n := ping(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 2); n != 2 {
		t.Errorf("%d of 2 probes came back in clear", n)
	}
	if frames := stop(); !slices.ContainsFunc(frames, func(b []byte) bool { return bytes.Contains(b, guestlab.Marker) }) {
		t.Error("what was to bypass did not cross in clear")
	}
	if err := ends[0].Plugin.SetTraps(ctx, "test", shunt(0, sa.Discard)); err != nil {
		t.Fatal(err)
	}
	if !ends[0].barred(guestlab.Inner4[1]) {
		t.Error("what was to be dropped is not")
	}
	if n := ping(ends[0], ends[1], guestlab.Inner6[0], guestlab.Inner6[1], 1); n != 1 {
		t.Error("the child carries nothing else any more")
	}
	for i, e := range ends {
		e.Plugin.Close()
		e.Start()
		if err := e.Plugin.SetTraps(ctx, "test", nil); err != nil {
			t.Fatal(err)
		}
		e.remove(cs[i])
	}
}

// barred tells whether a policy keeps the end from sending somewhere.
func (e *end) barred(to string) (is bool) {
	e.Do(func() error {
		c, err := net.Dial("udp", net.JoinHostPort(to, "9"))
		if is = errors.Is(err, unix.EPERM); err == nil {
			return c.Close()
		}
		return nil
	})
	return is
}

// The same selectors as a child: the operator's word counts, and the child has them back afterwards.
func TestGuestAShuntWithTheSelectorsOfAChild(t *testing.T) {
	guestlab.Need(t)
	ctx := context.Background()
	ends, cs := installed(t, func(*sa.Child) {})
	shunt := []sa.Trap{{Conn: "shunt", Name: "all", Action: sa.Discard, LocalTS: cs[0].LocalTS, RemoteTS: cs[0].RemoteTS}}
	if err := ends[0].Plugin.SetTraps(ctx, "test", shunt); err != nil {
		t.Fatal(err)
	}
	if !ends[0].barred(guestlab.Inner4[1]) {
		t.Error("what was to be dropped is not")
	}
	if err := ends[0].Plugin.SetTraps(ctx, "test", nil); err != nil {
		t.Fatal(err)
	}
	if n := ping(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 1); n != 1 {
		t.Error("the child has not got its policies back")
	}
	ends[0].remove(cs[0])
}

// RFC 4301 section 5.1.2: what crosses the border of the tunnel.
func TestGuestOuterHeadersAreAsTheChildSays(t *testing.T) {
	guestlab.Need(t)
	const tos = 0xb8 | 1 // expedited forwarding, ECT(1)
	for name, tt := range map[string]struct {
		h   sa.Handling
		tos byte
		df  bool
	}{
		"the default":   {sa.Handling{}, tos, true},
		"DF cleared":    {sa.Handling{ClearDF: true}, tos, false},
		"no ECN":        {sa.Handling{IgnoreECN: true}, tos &^ 3, true},
		"no DSCP":       {sa.Handling{DSCP: sa.DSCPNone}, tos & 3, true},
		"DSCP inwards":  {sa.Handling{DSCP: sa.DSCPIn}, tos & 3, true},
		"DSCP both way": {sa.Handling{DSCP: sa.DSCPBoth}, tos, true},
	} {
		t.Run(name, func(t *testing.T) {
			ends, cs := installed(t, func(c *sa.Child) { c.Handling = tt.h })
			ping(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 1) // so that the neighbour is known
			var frames [][]byte
			for try := 0; try < 5 && len(frames) != 1; try++ { // something of before may come late
				stop := ends[0].Wire()
				ends[0].udp(guestlab.Inner4[0], guestlab.Inner4[1], guestlab.Marker, func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, tos) })
				frames = stop()
			}
			if len(frames) != 1 || guestlab.OnlyESP(t, frames, false) != 1 {
				t.Fatalf("%d frames", len(frames))
			}
			if ip := frames[0][14:]; ip[1] != tt.tos || ip[6]&0x40 != 0 != tt.df {
				t.Errorf("the outer header has TOS %#x and flags %#x, want %#x and DF %v", ip[1], ip[6]&0xe0, tt.tos, tt.df)
			}
			s, err := ends[0].Plugin.kernel.getSA(kernel.Inbound(&cs[0]))
			if err != nil || s.Flags&nl.XFRM_STATE_DECAP_DSCP != 0 != (tt.h.DSCP == sa.DSCPIn || tt.h.DSCP == sa.DSCPBoth) {
				t.Errorf("the inbound SA: %+v, %v", s, err)
			}
			ends[0].remove(cs[0])
		})
	}
}

// A window of 4096 packets (RFC 4303 section 3.4.3) is the kernel's limit.
func TestGuestReplayWindowsOf4096(t *testing.T) {
	guestlab.Need(t)
	for _, esn := range []bool{false, true} {
		ends, cs := newLab(t), children(1, suite{20, 128, 0}, esn, false, false)
		for i, e := range ends {
			e.Start()
			cs[i].ReplayWindow = maxReplayWindow
			if err := e.Plugin.Install(context.Background(), cs[i]); err != nil {
				t.Fatal(err)
			}
		}
		if n := ping(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 3); n != 3 {
			t.Errorf("esn %v: %d of 3 probes came back", esn, n)
		}
		cs[0].ReplayWindow, cs[0].UID = maxReplayWindow+1, sa.UID{9}
		if err := ends[0].Plugin.Install(context.Background(), cs[0]); err == nil {
			t.Error("a longer window was taken")
		}
	}
}
