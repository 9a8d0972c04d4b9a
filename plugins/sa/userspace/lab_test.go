package userspace

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/sa/userspace/esp"
	"github.com/parley-ike/parley/sdk/sa"
)

// The lab: two network namespaces without names, joined by a veth pair, each with a process of this test binary that runs a plugin
// and does what it is told over its standard input. All of it vanishes with the test.

const (
	nodeEnv = "PARLEY_SA_TEST_NODE"
	userEnv = "PARLEY_SA_TEST_USER_NAMESPACE"
)

func TestMain(m *testing.M) {
	if os.Getenv(nodeEnv) != "" {
		runNode()
		return
	}
	if os.Geteuid() != 0 && os.Getenv(userEnv) == "" {
		if code, err := asRootOfOurOwn(); err == nil {
			os.Exit(code)
		}
	}
	os.Exit(m.Run())
}

// asRootOfOurOwn runs the tests once more in a user namespace, where the kernel allows one: there we are root without being
// it. The error says that it does not.
func asRootOfOurOwn() (int, error) {
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), userEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode(), nil
}

// Addresses of the lab. The inner ones are on the loopback device of each end.
var (
	outer4 = [2]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}
	outer6 = [2]netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")}
	inner4 = [2]netip.Addr{netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.2.0.1")}
	inner6 = [2]netip.Addr{netip.MustParseAddr("fd01::1"), netip.MustParseAddr("fd02::1")}
	nets4  = [2]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.2.0.0/16")}
	nets6  = [2]netip.Prefix{netip.MustParsePrefix("fd01::/64"), netip.MustParsePrefix("fd02::/64")}
)

type lab struct {
	t    testing.TB
	ns   [2]int
	node [2]*node
	dirs [2]string
}

func newLab(t testing.TB) *lab {
	t.Helper()
	if err := lacking(tunPath); err != nil {
		t.Skipf("SKIPPED, no packet was carried: %v", err)
	}
	l := &lab{t: t}
	for i := range l.ns {
		fd, err := newNamespace()
		if err != nil {
			t.Skipf("SKIPPED, no packet was carried: making a network namespace: %v; run as root", err)
		}
		l.ns[i] = fd
		l.dirs[i] = t.TempDir()
		t.Cleanup(func() { _ = unix.Close(fd) })
	}
	l.within(0, func() error {
		link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0", MTU: 1500}, PeerName: "eth0", PeerNamespace: netlink.NsFd(l.ns[1])}
		return netlink.LinkAdd(link)
	})
	for i := range l.ns {
		l.within(i, func() error { return address(i) })
	}
	return l
}

func address(i int) error {
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/all/accept_dad", []byte("0"), 0)
	for _, name := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
		addrs := map[string][]string{
			"lo":   {inner4[i].String() + "/32", inner6[i].String() + "/128"},
			"eth0": {outer4[i].String() + "/24", outer6[i].String() + "/64"},
		}
		for _, text := range addrs[name] {
			a, err := netlink.ParseAddr(text)
			if err != nil {
				return err
			}
			a.Flags = unix.IFA_F_NODAD
			if err := netlink.AddrAdd(link, a); err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
		}
	}
	return nil
}

// newNamespace makes a network namespace on a thread that is then thrown away.
func newNamespace() (fd int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
	}()
	<-done
	return fd, err
}

// within runs f on a thread in one of the namespaces.
func (l *lab) within(i int, f func() error) {
	l.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(l.ns[i], unix.CLONE_NEWNET)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		l.t.Fatal(err)
	}
}

// request is an order to a node, reply its answer.
type request struct {
	Op     string
	Config Config
	Encap  []netip.AddrPort
	Child  sa.Child
	Traps  []sa.Trap
	From   netip.AddrPort
	To     netip.AddrPort
	N      int
	Size   int
	Remove bool
	Wait   time.Duration // for each probe; 0: long
}

type reply struct {
	Err   string
	N     int
	Bytes uint64
	CPU   time.Duration
	Usage sa.Usage
	Stats map[string]uint64
	Names []string
}

// node is a process in a namespace.
type node struct {
	t    testing.TB
	cmd  *exec.Cmd
	enc  *gob.Encoder // gob, since it keeps secrets
	dec  *gob.Decoder
	err  *bytes.Buffer
	once sync.Once
}

// start starts (or restarts) the process of an end, with a plugin.
func (l *lab) start(i int, cfg Config, encap ...netip.AddrPort) *node {
	l.t.Helper()
	n := &node{t: l.t, err: &bytes.Buffer{}}
	n.cmd = exec.Command(os.Args[0])
	n.cmd.Env = append(os.Environ(), nodeEnv+"=1")
	n.cmd.Stderr = n.err
	in, _ := n.cmd.StdinPipe()
	out, _ := n.cmd.StdoutPipe()
	n.enc, n.dec = gob.NewEncoder(in), gob.NewDecoder(out)
	l.within(i, n.cmd.Start) // the child process inherits the namespace of the thread that forks
	l.t.Cleanup(n.kill)
	l.node[i] = n
	if cfg.StateDir == "" {
		cfg.StateDir = l.dirs[i]
	}
	n.must(request{Op: "new", Config: cfg, Encap: encap})
	return n
}

// kill is SIGKILL.
func (n *node) kill() {
	n.once.Do(func() {
		_ = n.cmd.Process.Kill()
		_ = n.cmd.Wait()
		if n.err.Len() > 0 {
			n.t.Logf("node: %s", n.err.String())
		}
	})
}

func (n *node) do(r request) reply {
	n.t.Helper()
	if err := n.enc.Encode(r); err != nil {
		n.t.Fatalf("%s: %v\n%s", r.Op, err, n.err)
	}
	var out reply
	if err := n.dec.Decode(&out); err != nil {
		n.t.Fatalf("%s: the node died: %v\n%s", r.Op, err, n.err)
	}
	return out
}

func (n *node) must(r request) reply {
	n.t.Helper()
	out := n.do(r)
	if out.Err != "" {
		n.t.Fatalf("%s: %s", r.Op, out.Err)
	}
	return out
}

// ping sends n probes through from to and returns how many came back.
func (n *node) ping(from, to netip.Addr, count, size int) int {
	n.t.Helper()
	return n.must(request{Op: "ping", From: netip.AddrPortFrom(from, 0), To: netip.AddrPortFrom(to, echoPort), N: count, Size: size}).N
}

// silent sends one probe that must not come back.
func (n *node) silent(from, to netip.Addr, size int) {
	n.t.Helper()
	r := request{Op: "ping", From: netip.AddrPortFrom(from, 0), To: netip.AddrPortFrom(to, echoPort), N: 1, Size: size, Wait: 300 * time.Millisecond}
	if n.must(r).N != 0 {
		n.t.Error("a probe came back")
	}
}

func selector(p netip.Prefix) sa.Selector {
	return sa.Selector{EndPort: 65535, Start: p.Masked().Addr(), End: sa.LastOf(p)}
}

// tunnel describes one child for both ends.
type tunnel struct {
	id                byte
	encr, bits, integ uint16
	esn, encap        bool
	six               bool // outside
	seed              byte
}

func (w tunnel) ends(t testing.TB) [2]sa.Child {
	t.Helper()
	suite, err := esp.Lookup(w.encr, w.bits, w.integ)
	if err != nil {
		t.Fatal(err)
	}
	keys := [4][]byte{make([]byte, suite.EncrKey), make([]byte, suite.EncrKey), make([]byte, suite.IntegKey), make([]byte, suite.IntegKey)}
	for i := range keys {
		for j := range keys[i] {
			keys[i][j] = byte(j) ^ byte(i*37) ^ w.seed
		}
	}
	outer := outer4
	if w.six {
		outer = outer6
	}
	var ends [2]sa.Child
	for i := range ends {
		ts := [2][]sa.Selector{{selector(nets4[i]), selector(nets6[i])}, {selector(nets4[1-i]), selector(nets6[1-i])}}
		ends[i] = sa.Child{
			UID: sa.UID{1, w.id, w.seed}, Owner: "test", Conn: "lab", Name: fmt.Sprintf("child-%d", w.id),
			SPIIn: 0x1000 + uint32(w.id)*2 + uint32(i), SPIOut: 0x1000 + uint32(w.id)*2 + uint32(1-i),
			Local: outer[i], Remote: outer[1-i], Encr: w.encr, KeyBits: w.bits, Integ: w.integ, ESN: w.esn, ReplayWindow: 128,
			LocalTS: ts[0], RemoteTS: ts[1],
			EncrIn: keys[i], EncrOut: keys[1-i], IntegIn: keys[2+i], IntegOut: keys[3-i],
		}
		if w.encap {
			ends[i].Encap, ends[i].LocalPort, ends[i].RemotePort = true, 4500, 4500
		}
	}
	return ends
}

func (l *lab) install(w tunnel) [2]sa.Child {
	l.t.Helper()
	ends := w.ends(l.t)
	for i, n := range l.node {
		n.must(request{Op: "install", Child: ends[i]})
	}
	return ends
}

func (l *lab) remove(ends [2]sa.Child) {
	l.t.Helper()
	for i, n := range l.node {
		n.must(request{Op: "remove", Child: ends[i]})
	}
}

// startBoth starts both ends with sockets for UDP encapsulation of both families.
func (l *lab) startBoth(cfg Config) {
	l.t.Helper()
	for i := range l.node {
		l.start(i, cfg, netip.AddrPortFrom(netip.IPv4Unspecified(), 4500), netip.AddrPortFrom(outer6[i], 4500))
	}
}

// capture records the frames that cross the wire.
type capture struct {
	fd     int
	mu     sync.Mutex
	frames [][]byte
	done   chan struct{}
}

func (l *lab) capture() *capture {
	l.t.Helper()
	c := &capture{done: make(chan struct{})}
	l.within(0, func() (err error) {
		const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
		if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all); err != nil {
			return err
		}
		link, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		_ = unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 20000})
		_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
		return unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link.Index})
	})
	stop := make(chan struct{})
	go func() {
		defer close(c.done)
		for buf := make([]byte, 1<<17); ; {
			n, _, err := unix.Recvfrom(c.fd, buf, 0)
			if err == nil {
				c.mu.Lock()
				c.frames = append(c.frames, bytes.Clone(buf[:n]))
				c.mu.Unlock()
				continue
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	l.t.Cleanup(func() { close(stop); <-c.done; _ = unix.Close(c.fd) })
	return c
}

// take waits for what is still on its way and returns the frames since the last call.
func (c *capture) take() [][]byte {
	time.Sleep(60 * time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.frames
	c.frames = nil
	return out
}

// wirePacket is what a frame shows to somebody on the wire.
type wirePacket struct {
	src, dst netip.Addr
	proto    uint8
	tos      uint8
	df       bool
	esp      []byte // nil when it is not ESP
	encap    bool
}

func parseFrame(b []byte) (p wirePacket, ok bool) {
	if len(b) < 14 || b[12] == 8 && b[13] == 6 { // ARP
		return p, false
	}
	b = b[14:]
	f, n, ok := parseInner(b)
	if !ok {
		return p, false
	}
	p = wirePacket{src: f.src, dst: f.dst, proto: f.proto, tos: f.tos, df: f.df}
	head := ipv4HeaderLen
	if f.src.Is6() {
		head = ipv6HeaderLen
	}
	switch {
	case f.proto == protoESP:
		p.esp = b[head:n]
	case f.proto == protoUDP && f.srcPort == 4500 && f.dstPort == 4500:
		p.esp, p.encap = b[head+udpHeaderLen:n], true
	}
	return p, true
}
