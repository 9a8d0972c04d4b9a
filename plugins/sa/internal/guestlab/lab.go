// Package guestlab is what tests of backends on a kernel's IPsec have in a guest kernel: two ends in network namespaces of their own,
// joined by a pair of veth devices, each with a plugin.
package guestlab

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
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/conformance/kit/guest"
	"github.com/parley-ike/parley/sdk/sa"
)

// Run runs the tests of the same binary whose names begin with TestGuest in a guest kernel.
func Run(t *testing.T) {
	t.Helper()
	if guest.Inside() {
		t.Skip("this is the guest")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// In real time: what the kernel does while programs compute is what these tests are about.
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

// Need skips a test outside a guest.
func Need(t *testing.T) {
	t.Helper()
	if !guest.Inside() {
		t.Skip("runs within the test that calls guestlab.Run")
	}
}

// Addresses of the ends outside and inside, and what lies behind them.
var (
	Outer4 = [2]string{"192.0.2.1", "192.0.2.2"}
	Outer6 = [2]string{"2001:db8::1", "2001:db8::2"}
	Inner4 = [2]string{"10.1.0.1", "10.2.0.1"}
	Inner6 = [2]string{"fd01::1", "fd02::1"}
	Nets4  = [2]string{"10.1.0.0/16", "10.2.0.0/16"}
	Nets6  = [2]string{"fd01::/64", "fd02::/64"}
)

// Backend is the plugin of an end.
type Backend interface {
	sa.Plugin
	sa.Watcher
	Close()
}

// End is one of the two.
type End[P Backend] struct {
	T      *testing.T
	Dir    string // of the plugin's state
	Plugin P
	Told   chan sa.Event // by the plugin

	work chan func()
	ns   int
	make func(dir string, encap []*os.File) (P, error)
}

// Do runs f on the end's thread.
func (e *End[P]) Do(f func() error) {
	e.T.Helper()
	done := make(chan error)
	e.work <- func() { done <- f() }
	if err := <-done; err != nil {
		e.T.Fatal(err)
	}
}

// New makes two ends, whose plugins Start makes.
func New[P Backend](t *testing.T, start func(dir string, encap []*os.File) (P, error)) (ends [2]*End[P]) {
	t.Helper()
	for i := range ends {
		ends[i] = Alone[P](t, func() error { return unix.Unshare(unix.CLONE_NEWNET) })
		e := ends[i]
		e.Dir, e.make = t.TempDir(), start
		e.Do(func() (err error) {
			e.ns, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY, 0)
			return err
		})
	}
	ends[0].Do(func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(ends[1].ns)})
	})
	for i, e := range ends {
		e.Do(func() error { return e.setUp(i) })
	}
	return ends
}

// Alone is a thread of its own in the network namespace that enter enters: an end without a device and a plugin.
func Alone[P Backend](t *testing.T, enter func() error) *End[P] {
	t.Helper()
	e := &End[P]{T: t, work: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for f := range e.work {
			f()
		}
	}()
	t.Cleanup(func() { close(e.work) })
	e.Do(enter)
	return e
}

func (e *End[P]) setUp(i int) error {
	for _, name := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
		texts := []string{Inner4[i] + "/32", Inner6[i] + "/128"}
		if name == "eth0" {
			texts = []string{Outer4[i] + "/24", Outer6[i] + "/64"}
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
		for _, route := range [][2]string{{Nets4[1-i], Outer4[1-i]}, {Nets6[1-i], Outer6[1-i]}} {
			_, dst, _ := net.ParseCIDR(route[0])
			if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst, Gw: net.ParseIP(route[1])}); err != nil {
				return fmt.Errorf("%v: %w", route, err)
			}
		}
	}
	return nil
}

// Start makes the end's plugin, with UDP sockets for encapsulation.
func (e *End[P]) Start() {
	e.T.Helper()
	e.Do(func() error {
		var encap []*os.File
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
			encap = append(encap, f)
		}
		var err error
		e.Plugin, err = e.make(e.Dir, encap)
		return err
	})
	p := e.Plugin
	ctx, stop := context.WithCancel(context.Background())
	e.T.Cleanup(func() { stop(); p.Close() })
	e.Told = make(chan sa.Event, 64)
	go func() { _ = p.Watch(ctx, func(event sa.Event) { e.Told <- event }) }()
}

// WantEvents waits for events, and takes no others.
func (e *End[P]) WantEvents(want ...sa.Event) {
	e.T.Helper()
	for _, w := range want {
		select {
		case got := <-e.Told:
			if got != w {
				e.T.Errorf("told %T%+v, want %T%+v", got, got, w, w)
			}
		case <-time.After(3 * time.Second):
			e.T.Errorf("%T%+v was not told", w, w)
		}
	}
	select {
	case got := <-e.Told:
		e.T.Errorf("told %T%+v besides", got, got)
	case <-time.After(50 * time.Millisecond):
	}
}

// Subnet is a selector of a prefix.
func Subnet(text string) sa.Selector {
	p := netip.MustParsePrefix(text)
	return sa.Selector{EndPort: 65535, Start: p.Addr(), End: sa.LastOf(p)}
}

// Ping sends probes from a's inner address to b's and returns how many came back.
func Ping[P Backend](a, b *End[P], from, to string, n int) int {
	return Probe(a, b, from, to, n, 3*time.Second)
}

// Probe does so with the time to wait for each.
func Probe[P Backend](a, b *End[P], from, to string, n int, wait time.Duration) (came int) {
	a.T.Helper()
	var server, client *net.UDPConn
	b.Do(func() (err error) {
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
	a.Do(func() (err error) {
		client, err = net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, &net.UDPAddr{IP: net.ParseIP(to), Port: 7})
		return err
	})
	defer client.Close()
	for range n {
		if _, err := client.Write(Marker); err != nil {
			continue
		}
		_ = client.SetReadDeadline(time.Now().Add(wait))
		buf := make([]byte, 2000)
		if n, err := client.Read(buf); err == nil && bytes.Equal(buf[:n], Marker) {
			came++
		}
	}
	return came
}

// Marker is in every probe.
var Marker = []byte("this-must-never-be-seen-on-the-wire")

// Wire captures what the end puts on the wire until the returned function is called. What arrives is not looked at: the kernel
// shows decrypted packets a second time on the device.
func (e *End[P]) Wire() func() [][]byte {
	e.T.Helper()
	fd := -1
	e.Do(func() (err error) {
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

// OnlyESP counts the ESP packets among frames, and fails for a probe in clear.
func OnlyESP(t *testing.T, frames [][]byte, encap bool) (n int) {
	t.Helper()
	for _, b := range frames {
		if bytes.Contains(b, Marker) {
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
