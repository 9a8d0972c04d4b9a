package transport

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 5 * time.Second

var families = []struct{ name, addr string }{{"IPv4", "127.0.0.1"}, {"IPv6", "::1"}}

// open returns a running transport and the packets that it received.
func open(t *testing.T, c Config) (*Transport, <-chan Packet) {
	t.Helper()
	c.Ephemeral = true
	tr, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan Packet, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		tr.Run(ctx, func(batch []Packet) {
			for _, p := range batch {
				got <- p
			}
		})
	})
	t.Cleanup(func() { cancel(); wg.Wait(); tr.Close() })
	return tr, got
}

func loopback(addr string) Config { return Config{Addrs: []netip.Addr{netip.MustParseAddr(addr)}} }

func receive(t *testing.T, got <-chan Packet) Packet {
	t.Helper()
	select {
	case p := <-got:
		return p
	case <-time.After(patience):
		t.Fatal("nothing received")
		return Packet{}
	}
}

// dial returns a plain UDP socket on addr.
func dial(t *testing.T, addr string) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func write(t *testing.T, conn *net.UDPConn, to netip.AddrPort, b []byte) {
	t.Helper()
	if _, err := conn.WriteToUDPAddrPort(b, to); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, conn *net.UDPConn) ([]byte, netip.AddrPort) {
	t.Helper()
	b := make([]byte, MaxDatagram)
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	n, from, err := conn.ReadFromUDPAddrPort(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n], from
}

// RFC 3948 section 2.2: the non-ESP marker stands before IKE on port 4500 and nowhere else.
func TestTheMarkerIsOnTheWireOnPort4500Only(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			tr, got := open(t, loopback(f.addr))
			peer := dial(t, f.addr)
			peerAddr := peer.LocalAddr().(*net.UDPAddr).AddrPort()
			message := []byte("an IKE message")
			for i, want := range [][]byte{message, append([]byte{0, 0, 0, 0}, message...)} {
				local := tr.Addrs()[i]
				s := tr.NewSender()
				s.Send(local, peerAddr, message)
				s.Flush()
				wire, from := read(t, peer)
				if !bytes.Equal(wire, want) || from != local {
					t.Errorf("port %d: got %q from %s", i, wire, from)
				}
				write(t, peer, local, want)
				p := receive(t, got)
				if !bytes.Equal(p.Data, message) || p.Local != local || p.Remote != peerAddr {
					t.Errorf("port %d: received %+v", i, p)
				}
			}
		})
	}
}

// RFC3948-2.3-4 and RFC3948-2.3-5: a keepalive is the single octet 0xFF, without marker, and ignored.
func TestKeepalivesAreSentBareAndSwallowed(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			tr, got := open(t, loopback(f.addr))
			natt := tr.Addrs()[1]
			peer := dial(t, f.addr)
			s := tr.NewSender()
			s.Send(natt, peer.LocalAddr().(*net.UDPAddr).AddrPort(), []byte{0xff})
			s.Flush()
			if wire, _ := read(t, peer); !bytes.Equal(wire, []byte{0xff}) {
				t.Errorf("sent %x", wire)
			}
			write(t, peer, natt, []byte{0xff})
			write(t, peer, natt, []byte("\x00\x00\x00\x00next"))
			if p := receive(t, got); string(p.Data) != "next" {
				t.Errorf("received %q", p.Data)
			}
			if n := tr.Stats().Keepalives.Load(); n != 1 {
				t.Errorf("counted %d keepalives", n)
			}
		})
	}
}

// RFC 7296 section 2.23: IKE and ESP share port 4500; the encapsulation socket gets the ESP, always and only.
func TestESPReachesTheEncapsulationSocketAndIKEDoesNot(t *testing.T) {
	if !canShare {
		t.Skip("missing: SO_ATTACH_REUSEPORT_CBPF, which is Linux's")
	}
	for _, addr := range []string{"127.0.0.1", "::1", "wildcard"} {
		t.Run(addr, func(t *testing.T) {
			var c Config
			if addr != "wildcard" {
				c = loopback(addr)
			} else {
				addr = "127.0.0.1"
			}
			tr, got := open(t, c)
			files, err := tr.EncapFiles()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { closeAll(files) })
			encap := plugin(t, files[0])
			to := netip.AddrPortFrom(netip.MustParseAddr(addr), tr.Addrs()[1].Port())
			const rounds = 100 // from as many ports: a group without the program spreads them by hash
			for range rounds {
				peer := dial(t, addr)
				write(t, peer, to, []byte("\x12\x34\x56\x78esp"))
				write(t, peer, to, []byte("\x00\x00\x00\x00ike"))
				write(t, peer, to, []byte{0xff})
				_ = peer.Close()
			}
			for range rounds {
				if p := receive(t, got); string(p.Data) != "ike" {
					t.Fatalf("IKE socket received %q", p.Data)
				}
				if b, _ := read(t, encap); string(b) != "\x12\x34\x56\x78esp" {
					t.Fatalf("encapsulation socket received %q", b)
				}
			}
			if n := tr.Stats().DroppedESP.Load(); n != 0 {
				t.Errorf("%d ESP packets reached the IKE socket", n)
			}
		})
	}
}

// plugin opens a descriptor the way another process would.
func plugin(t *testing.T, f *os.File) *net.UDPConn {
	t.Helper()
	conn, err := net.FilePacketConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.UDPConn)
}

// The plugin sends ESP from port 4500 as well: its socket is on the same address.
func TestTheEncapsulationSocketSendsFromTheSamePort(t *testing.T) {
	tr, _ := open(t, loopback("127.0.0.1"))
	files, err := tr.EncapFiles()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(files)
	peer := dial(t, "127.0.0.1")
	write(t, plugin(t, files[0]), peer.LocalAddr().(*net.UDPAddr).AddrPort(), []byte("\x00\x00\x01\x00esp"))
	if _, from := read(t, peer); from != tr.Addrs()[1] {
		t.Errorf("ESP left from %s, want %s", from, tr.Addrs()[1])
	}
}

func TestAnAnswerLeavesFromTheAddressThatWasAsked(t *testing.T) {
	tr, got := open(t, Config{})
	for i, want := range tr.Addrs()[:2] {
		asked := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), want.Port())
		peer := dial(t, "127.0.0.1")
		write(t, peer, asked, []byte("\x00\x00\x00\x00question"))
		p := receive(t, got)
		if p.Local != asked {
			t.Fatalf("socket %d: Local is %s, want %s", i, p.Local, asked)
		}
		s := tr.NewSender()
		s.Send(p.Local, p.Remote, []byte("answer"))
		s.Flush()
		if _, from := read(t, peer); from != asked {
			t.Errorf("socket %d: the answer came from %s, want %s", i, from, asked)
		}
	}
}

func TestWildcardSocketsServeBothFamilies(t *testing.T) {
	tr, got := open(t, Config{})
	if len(tr.Addrs()) != 4 {
		t.Fatalf("bound %v; warnings %v", tr.Addrs(), tr.Warnings())
	}
	peer := dial(t, "::1")
	asked := netip.AddrPortFrom(netip.MustParseAddr("::1"), tr.Addrs()[2].Port())
	write(t, peer, asked, []byte("question"))
	p := receive(t, got)
	s := tr.NewSender()
	s.Send(p.Local, p.Remote, []byte("answer"))
	s.Flush()
	if _, from := read(t, peer); p.Local != asked || from != asked {
		t.Errorf("asked %s, Local %s, answered from %s", asked, p.Local, from)
	}
}

func TestBatchesLargerThanOneSystemCallArriveWhole(t *testing.T) {
	a, _ := open(t, loopback("127.0.0.1"))
	b, got := open(t, loopback("127.0.0.1"))
	s := a.NewSender()
	const n = 3*BatchSize + 1
	for i := range n {
		s.Send(a.Addrs()[1], b.Addrs()[1], []byte{byte(i), byte(i >> 8), 1})
	}
	s.Flush()
	for i := range n {
		if p := receive(t, got); p.Data[0] != byte(i) || p.Data[1] != byte(i>>8) {
			t.Fatalf("datagram %d is %x", i, p.Data)
		}
	}
	if sent := a.Stats().Sent.Load(); sent != n {
		t.Errorf("counted %d sent", sent)
	}
}

func TestALargeDatagramIsNotCut(t *testing.T) {
	a, _ := open(t, loopback("127.0.0.1"))
	b, got := open(t, loopback("127.0.0.1"))
	big := bytes.Repeat([]byte("x"), 60000)
	s := a.NewSender()
	s.Send(a.Addrs()[0], b.Addrs()[0], big)
	s.Flush()
	if p := receive(t, got); !bytes.Equal(p.Data, big) {
		t.Errorf("received %d octets", len(p.Data))
	}
}

func TestARefusedMessageDoesNotHoldUpTheBatch(t *testing.T) {
	a, _ := open(t, Config{})
	b, got := open(t, loopback("127.0.0.1"))
	s := a.NewSender()
	wildcard := netip.AddrPortFrom(netip.IPv4Unspecified(), a.Addrs()[0].Port())
	foreign := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), a.Addrs()[0].Port())
	s.Send(foreign, b.Addrs()[0], []byte("from an address that is not ours"))
	s.Send(wildcard, b.Addrs()[0], []byte("good"))
	s.Send(netip.MustParseAddrPort("127.0.0.1:1"), b.Addrs()[0], []byte("from a port that is not ours"))
	s.Flush()
	if p := receive(t, got); string(p.Data) != "good" {
		t.Errorf("received %q", p.Data)
	}
	if e, n := a.Stats().SendErrors.Load(), a.Stats().NoSocket.Load(); e != 1 || n != 1 {
		t.Errorf("send errors %d, no socket %d; want 1 and 1", e, n)
	}
}

func TestLocalForAsksTheRoutingTable(t *testing.T) {
	tr, _ := open(t, Config{})
	for remote, want := range map[string]string{"127.0.0.9": "127.0.0.1", "::1": "::1"} {
		got, err := tr.LocalFor(netip.MustParseAddr(remote))
		if err != nil || got.Addr().String() != want {
			t.Errorf("LocalFor(%s) = %s, %v", remote, got, err)
		}
	}
	only4, _ := open(t, loopback("127.0.0.1"))
	if _, err := only4.LocalFor(netip.MustParseAddr("::1")); err == nil {
		t.Error("no error without a socket of the family")
	}
}

func TestAPortInUseIsNamedWithAdvice(t *testing.T) {
	for i, port := range []string{"IKE", "NAT traversal"} {
		t.Run(port, func(t *testing.T) {
			first, _ := open(t, loopback("127.0.0.1"))
			taken := first.Addrs()[i].Port()
			c := loopback("127.0.0.1")
			c.Port, c.NATTPort, c.Ephemeral = 0, taken, true
			if i == 0 {
				c.Port, c.NATTPort = taken, 0
			}
			second, err := Open(c)
			if err == nil {
				second.Close()
				t.Fatal("a second transport shares the port")
			}
			var pe *PortError
			if !errors.As(err, &pe) || pe.Addr.Port() != taken || !errors.Is(err, syscall.EADDRINUSE) {
				t.Fatalf("got %v", err)
			}
			for _, want := range []string{"address already in use", "stop it"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
		})
	}
}

func TestTheProbableOwnerIsFoundInTheProcessTable(t *testing.T) {
	proc := t.TempDir()
	for pid, name := range map[string]string{"self": "test", "12": "bash", "34": "charon", "56": "pluto", "78": "parley-plugin"} {
		ns := filepath.Join(proc, pid, "ns")
		if err := errors.Join(os.MkdirAll(ns, 0o755), os.WriteFile(filepath.Join(proc, pid, "comm"), []byte(name+"\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
		network := "net:[1]"
		if name == "pluto" { // in another network namespace
			network = "net:[2]"
		}
		if err := os.Symlink(network, filepath.Join(ns, "net")); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := probableOwner(proc), "probably it belongs to charon (pid 34)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := os.RemoveAll(filepath.Join(proc, "34")); err != nil {
		t.Fatal(err)
	}
	if got, want := probableOwner(proc), "probably it belongs to parley-plugin (pid 78)"; got != want {
		t.Errorf("a plugin whose daemon was killed: got %q, want %q", got, want)
	}
	if got := probableOwner(t.TempDir()); !strings.Contains(got, "another IKE daemon") {
		t.Errorf("got %q", got)
	}
}

func TestErrorsOfTheKernelComeWithAdvice(t *testing.T) {
	addr := netip.MustParseAddrPort("192.0.2.1:500")
	for errno, want := range map[syscall.Errno]string{
		syscall.EACCES:        "CAP_NET_BIND_SERVICE",
		syscall.EADDRNOTAVAIL: "not an address of this machine",
	} {
		if got := portError(addr, errno).Error(); !strings.Contains(got, want) || !strings.Contains(got, "port 500") {
			t.Errorf("%v: %q", errno, got)
		}
	}
}

func TestASenderHoldsNothingBack(t *testing.T) {
	tr, _ := open(t, loopback("127.0.0.1"))
	s := tr.NewSender()
	s.Send(tr.Addrs()[0], netip.MustParseAddrPort("127.0.0.1:9"), []byte("x"))
	s.Flush()
	if s.queues[0].n != 0 || s.queues[0].slots[0].buffers[0] != nil {
		t.Error("a message is kept after Flush")
	}
}

// A response that is lost here comes when the peer repeats its request, seconds later: that this goroutine was slow is no reason
// for it.
func TestASenderWithoutPatienceLosesNothingThatHasRoom(t *testing.T) {
	a, _ := open(t, loopback("127.0.0.1"))
	b, got := open(t, loopback("127.0.0.1"))
	s := a.NewSender()
	s.patience = 0
	for range 2 * BatchSize {
		s.Send(a.Addrs()[0], b.Addrs()[0], []byte("response"))
	}
	s.Flush()
	for range 2 * BatchSize {
		receive(t, got)
	}
	if n := a.Stats().SendErrors.Load(); n != 0 {
		t.Errorf("%d messages were refused", n)
	}
}

func TestAFullBufferIsToldFromARefusal(t *testing.T) {
	wrap := func(err error) error { return &net.OpError{Op: "write", Err: os.NewSyscallError("sendmmsg", err)} }
	if !isFull(wrap(syscall.EAGAIN)) || isFull(wrap(syscall.EPERM)) || isFull(nil) {
		t.Error("want EAGAIN alone to be a full buffer")
	}
}

func TestManySendersAtOnce(t *testing.T) {
	a, _ := open(t, loopback("127.0.0.1"))
	b, got := open(t, loopback("127.0.0.1"))
	var wg sync.WaitGroup
	for range 4 {
		s := a.NewSender()
		wg.Go(func() {
			for range 50 {
				s.Send(a.Addrs()[1], b.Addrs()[1], []byte("hello"))
				s.Flush()
			}
		})
	}
	wg.Wait()
	for range 200 {
		receive(t, got)
	}
}

func BenchmarkLoopback(b *testing.B) {
	c := loopback("127.0.0.1")
	c.Ephemeral = true
	tr, err := Open(c)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	got := make(chan int, 1000)
	var wg sync.WaitGroup
	wg.Go(func() { tr.Run(ctx, func(batch []Packet) { got <- len(batch) }) })
	s := tr.NewSender()
	message := make([]byte, 300)
	b.ReportAllocs()
	for b.Loop() {
		for range 32 {
			s.Send(tr.Addrs()[1], tr.Addrs()[1], message)
		}
		s.Flush()
		for n := 0; n < 32; {
			n += <-got
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/datagram")
	cancel()
	wg.Wait()
	tr.Close()
}
