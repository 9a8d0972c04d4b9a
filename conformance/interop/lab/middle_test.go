package lab_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

const (
	innerAddr, outerAddr, hiddenBy = "192.0.2.1", "203.0.113.2", "203.0.113.1"
	innerHop, outerHop             = "192.0.2.254", "203.0.113.254"
)

// routed makes two namespaces with a router between, and a UDP socket at each end.
func routed(t *testing.T, public string) (m *lab.Middle, inner, outer *net.UDPConn) {
	t.Helper()
	if err := lab.Possible(); err != nil {
		t.Skipf("SKIPPED, not proven here: %v", err)
	}
	var ns [2]*lab.Namespace
	var conns [2]*net.UDPConn
	for i, name := range []string{"inner", "outer"} {
		var err error
		if ns[i], err = lab.NewNamespace(name); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(ns[i].Close)
	}
	hop, hidden := outerHop, netip.Addr{}
	if public != "" {
		hop, hidden = public, netip.MustParseAddr(public)
	}
	m, err := lab.NewMiddle(ns[0], ns[1], "wan", netip.MustParseAddr(innerHop), netip.MustParseAddr(hop), hidden)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	for i, addr := range []string{innerAddr, outerAddr} {
		err := errors.Join(ns[i].Addr("wan", addr+"/24"), ns[i].DefaultVia([]string{innerHop, hop}[i]), ns[i].Do(func() (err error) {
			conns[i], err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(addr), Port: 4500})
			return err
		}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conns[i].Close() })
	}
	return m, conns[0], conns[1]
}

// arrives sends a text and returns from where it came, the zero value when it does not come.
func arrives(t *testing.T, from, to *net.UDPConn, dst netip.AddrPort, text string) netip.AddrPort {
	t.Helper()
	if _, err := from.WriteToUDPAddrPort([]byte(text), dst); err != nil {
		t.Fatal(err)
	}
	if err := to.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, sender, err := to.ReadFromUDPAddrPort(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return netip.AddrPort{}
	}
	if err != nil || string(b[:n]) != text {
		t.Fatalf("got %q, %v", b[:n], err)
	}
	return netip.AddrPortFrom(sender.Addr().Unmap(), sender.Port())
}

func TestARouterPassesPacketsAsTheyAre(t *testing.T) {
	_, inner, outer := routed(t, "")
	if got, want := arrives(t, inner, outer, netip.MustParseAddrPort(outerAddr+":4500"), "out"), netip.MustParseAddrPort(innerAddr+":4500"); got != want {
		t.Errorf("from %v, want %v", got, want)
	}
	if got, want := arrives(t, outer, inner, netip.MustParseAddrPort(innerAddr+":4500"), "in"), netip.MustParseAddrPort(outerAddr+":4500"); got != want {
		t.Errorf("from %v, want %v", got, want)
	}
}

func TestANATHidesItsInsideAndDropsWhatItIsToldTo(t *testing.T) {
	m, inner, outer := routed(t, hiddenBy)
	if got := arrives(t, outer, inner, netip.MustParseAddrPort(hiddenBy+":4500"), "unasked"); got.IsValid() {
		t.Errorf("what nobody asked for came in, from %v", got)
	}
	seen := arrives(t, inner, outer, netip.MustParseAddrPort(outerAddr+":4500"), "out")
	if seen.Addr() != netip.MustParseAddr(hiddenBy) || seen.Port() == 4500 {
		t.Errorf("from %v, want another port of %s", seen, hiddenBy)
	}
	if got, want := arrives(t, outer, inner, seen, "back"), netip.MustParseAddrPort(outerAddr+":4500"); got != want {
		t.Errorf("from %v, want %v", got, want)
	}
	m.Drop(func(p lab.Packet) bool { return p.Outward && p.To.Port() == 4500 && string(p.Data) == "lost" })
	if got := arrives(t, inner, outer, netip.MustParseAddrPort(outerAddr+":4500"), "lost"); got.IsValid() {
		t.Errorf("it came, from %v", got)
	}
}

func TestTheExchangeOfAPacketIsReadOnBothPorts(t *testing.T) {
	message := make([]byte, 28)
	message[18] = 34
	at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(innerAddr), port) }
	for _, c := range []struct {
		p    lab.Packet
		want byte
	}{
		{lab.Packet{From: at(500), To: at(500), Data: message}, 34},
		{lab.Packet{From: at(500), To: at(500), Data: message[:27]}, 0},
		{lab.Packet{From: at(20001), To: at(4500), Data: append(make([]byte, 4), message...)}, 34},
		{lab.Packet{From: at(4500), To: at(4500), Data: append([]byte{1, 2, 3, 4}, message...)}, 0}, // ESP
		{lab.Packet{From: at(4500), To: at(4500), Data: []byte{0xff}}, 0},
		{lab.Packet{From: at(0), To: at(0)}, 0},
	} {
		if got := c.p.Exchange(); got != c.want {
			t.Errorf("%+v: exchange %d, want %d", c.p, got, c.want)
		}
	}
}

// buffer is a bytes.Buffer for two goroutines.
type buffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *buffer) copy() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.Bytes())
}

func TestARecordHoldsThePackets(t *testing.T) {
	a, _ := pair(t)
	capture, err := a.NewCapture("wan")
	if err != nil {
		t.Fatal(err)
	}
	defer capture.Close()
	var file buffer
	if err := capture.Record(&file); err != nil {
		t.Fatal(err)
	}
	p, err := a.NewPinger(netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Ping(777, 3*time.Second); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); !holdsPacket(t, file.copy(), 20+8+777); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("the ping is not in the record")
		}
	}
	if err := capture.StopRecord(); err != nil {
		t.Error(err)
	}
}

// holdsPacket walks the records of a file and reports whether one has a length.
func holdsPacket(t *testing.T, file []byte, length int) bool {
	t.Helper()
	if len(file) < 24 || binary.LittleEndian.Uint32(file) != 0xa1b2c3d4 {
		t.Fatalf("no header of libpcap: %x", file)
	}
	found := false
	for file = file[24:]; len(file) >= 16; {
		n := int(binary.LittleEndian.Uint32(file[8:]))
		found = found || n == length
		file = file[min(16+n, len(file)):]
	}
	return found
}

func TestProcessesOfANamespaceAreFound(t *testing.T) {
	a, b := pair(t)
	cmd := exec.Command("sleep", "60")
	if err := a.Start(cmd); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
	if in, err := a.Processes(); err != nil || len(in) != 1 || in[0] != cmd.Process.Pid {
		t.Errorf("in a: %v, %v; want %d", in, err, cmd.Process.Pid)
	}
	if in, err := b.Processes(); err != nil || len(in) != 0 {
		t.Errorf("in b: %v, %v", in, err)
	}
}
