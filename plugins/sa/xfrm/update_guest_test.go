package xfrm

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/parley-ike/parley/conformance/kit/sakit"
	"github.com/parley-ike/parley/plugins/sa/internal/guestlab"
	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/sdk/sa"
)

func TestGuestTheBackendConforms(t *testing.T) {
	guestlab.Need(t)
	p, err := New(Config{StateDir: t.TempDir()}, Sockets{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	sakit.Run(t, sakit.Fixture{Plugin: p})
}

// flood sends numbered packets from an inner address of one end to one of the other until it is stopped, and tells which did not
// arrive.
type flood struct {
	from, to *net.UDPConn
	stop     chan struct{}
	wait     sync.WaitGroup
	sent     uint32
	mu       sync.Mutex
	came     map[uint32]bool
}

const floodPause = 300 * time.Microsecond

func newFlood(t *testing.T, a, b *end, from, to string, port int) *flood {
	t.Helper()
	f := &flood{stop: make(chan struct{}), came: map[uint32]bool{}}
	b.Do(func() (err error) {
		f.to, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(to), Port: port})
		return err
	})
	_ = f.to.SetReadBuffer(4 << 20)
	a.Do(func() (err error) {
		f.from, err = net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, &net.UDPAddr{IP: net.ParseIP(to), Port: port})
		return err
	})
	f.wait.Go(func() {
		for buf := make([]byte, 2000); ; {
			n, err := f.to.Read(buf)
			if err != nil {
				return
			}
			if n == 400 {
				f.mu.Lock()
				f.came[binary.BigEndian.Uint32(buf)] = true
				f.mu.Unlock()
			}
		}
	})
	f.wait.Go(f.send)
	return f
}

func (f *flood) send() {
	for buf := make([]byte, 400); ; f.sent++ {
		select {
		case <-f.stop:
			return
		case <-time.After(floodPause):
		}
		binary.BigEndian.PutUint32(buf, f.sent)
		if _, err := f.from.Write(buf); err != nil {
			f.sent-- // it is sent again: the kernel said that it was not
		}
	}
}

func (f *flood) end() (sent, lost int) {
	close(f.stop)
	time.Sleep(50 * time.Millisecond)
	_ = f.from.Close()
	_ = f.to.Close()
	f.wait.Wait()
	return int(f.sent), int(f.sent) - len(f.came)
}

// A rekeying as IKE does it (RFC 7296 section 2.8): the responder's new child is held back until the initiator, which sends on it
// at once, is known to have it; then the old one goes.
func TestGuestFiftyRekeyingsLoseNoPacket(t *testing.T) {
	guestlab.Need(t)
	ends := newLab(t)
	for _, e := range ends {
		e.Start()
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := context.Background()
	old := children(100, suite{20, 128, 0}, true, false, false)
	for i, e := range ends {
		must(e.Plugin.Install(ctx, old[i]))
	}
	floods := []*flood{newFlood(t, ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 9), newFlood(t, ends[1], ends[0], guestlab.Inner6[1], guestlab.Inner6[0], 9)}
	var carried [2]int // by ESP, in each direction
	for n := range 50 {
		next := children(byte(n+1), suite{20, 128, 0}, n%2 == 0, false, false)
		if n%3 == 0 {
			next[0].ReqID, next[1].ReqID = old[0].ReqID, old[1].ReqID // as a core may do; without it the backend finds the kin itself
		}
		held := next[1]
		held.Held = true
		must(ends[1].Plugin.Install(ctx, held))
		if out, err := ends[1].Plugin.kernel.getSA(kernel.Outbound(&next[1])); out != nil || err != nil {
			t.Fatalf("an outbound SA that is held back is in the kernel: %v", err)
		}
		must(ends[0].Plugin.Install(ctx, next[0]))
		time.Sleep(5 * time.Millisecond)
		must(ends[1].Plugin.Update(ctx, next[1]))
		drained(ends, old)
		for i, e := range ends {
			u, err := e.Plugin.Remove(ctx, old[i])
			must(err)
			carried[1-i] += int(u.PacketsIn)
		}
		old = next
	}
	for i, f := range floods {
		sent, lost := f.end()
		u, err := ends[1-i].Plugin.Usage(ctx, old[1-i])
		must(err)
		if carried[i] += int(u.PacketsIn); lost != 0 || sent < 300 || carried[i] != sent {
			t.Errorf("direction %d: %d of %d packets were lost, %d came by ESP", i, lost, sent, carried[i])
		} else {
			t.Logf("direction %d: %d packets, none lost", i, sent)
		}
		ends[i].nothingLeft(2, 6)
	}
}

// drained waits until everything that was sent under a child has arrived; an IKE peer allows for that by the time that a Delete takes.
func drained(ends [2]*end, cs [2]sa.Child) {
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		a, _ := ends[0].Plugin.Usage(context.Background(), cs[0])
		b, _ := ends[1].Plugin.Usage(context.Background(), cs[1])
		if a.PacketsIn == b.PacketsOut && b.PacketsIn == a.PacketsOut {
			return
		}
	}
}

// An end moves to another address, then behind a NAT, then to another port: the child goes along, with its numbers.
func TestGuestAChildMovesAndItsNumbersGoOn(t *testing.T) {
	guestlab.Need(t)
	for _, esn := range []bool{false, true} {
		t.Run(fmt.Sprintf("esn=%v", esn), func(t *testing.T) {
			ends := newLab(t)
			for _, e := range ends {
				e.Start()
			}
			ends[0].Do(func() error { return addAddress("eth0", "192.0.2.77/24") })
			cs := children(1, suite{20, 256, 0}, esn, false, false)
			move := func(change func(i int, c *sa.Child)) {
				t.Helper()
				for i, e := range ends {
					change(i, &cs[i])
					for range 2 { // the second time changes nothing
						if err := e.Plugin.Update(context.Background(), cs[i]); err != nil {
							t.Fatal(err)
						}
					}
					e.nothingLeft(2, 6)
				}
			}
			before := uint64(0)
			check := func(what string, jumps int, encap bool) {
				t.Helper()
				stop, stopOther := ends[0].Wire(), ends[1].Wire()
				if got := ping(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 3); got != 3 {
					t.Errorf("%s: %d of 3 probes came back", what, got)
				}
				if n := guestlab.OnlyESP(t, append(stop(), stopOther()...), encap); n != 6 {
					t.Errorf("%s: %d ESP packets crossed, want 6", what, n)
				}
				seq := sent(t, ends[0], &cs[0])
				if seq != before+3+uint64(jumps)*numberJump {
					t.Errorf("%s: the outbound number is %d after %d", what, seq, before)
				}
				before = seq
			}
			move(func(int, *sa.Child) {}) // installed by an update
			check("installed", 0, false)
			other := netip.MustParseAddr("192.0.2.77")
			move(func(i int, c *sa.Child) {
				if c.Local = other; i == 1 {
					c.Local, c.Remote = c.Remote, other
					c.Local = netip.MustParseAddr(guestlab.Outer4[1])
				}
			})
			check("moved", 1, false)
			move(func(_ int, c *sa.Child) { c.Encap, c.LocalPort, c.RemotePort = true, 4500, 4500 })
			check("behind a NAT", 1, true)
			for i, e := range ends {
				u, err := e.Plugin.Remove(context.Background(), cs[i])
				if err != nil || u.PacketsIn != 9 || u.PacketsOut != 9 {
					t.Errorf("final usage of end %d: %+v, %v", i, u, err)
				}
				e.nothingLeft(0, 0)
			}
		})
	}
}

func addAddress(link, text string) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(text)
	if err != nil {
		return err
	}
	return netlink.AddrAdd(l, a)
}

// sent is the last sequence number of an outbound SA.
func sent(t *testing.T, e *end, c *sa.Child) uint64 {
	t.Helper()
	s, err := e.Plugin.kernel.getSA(kernel.Outbound(c))
	if err != nil || s == nil {
		t.Fatalf("no outbound SA: %v", err)
	}
	return s.sent()
}

// The peer's NAT gives it another port: ports change in place, without a jump.
func TestGuestPortsChangeInPlace(t *testing.T) {
	guestlab.Need(t)
	e := newLab(t)[0]
	e.Start()
	c := children(1, suite{20, 128, 0}, true, true, false)[0]
	if err := e.Plugin.Install(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	c.RemotePort = 40123
	if err := e.Plugin.Update(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	e.Do(func() error {
		all, err := netlink.XfrmStateList(netlink.FAMILY_ALL)
		for _, s := range all {
			if s.Encap == nil || s.Encap.SrcPort != 40123 && s.Encap.DstPort != 40123 {
				t.Errorf("SA %08x has the ports %+v", s.Spi, s.Encap)
			}
		}
		return err
	})
	if n := sent(t, e, &c); n != 0 {
		t.Errorf("the outbound number jumped to %d", n)
	}
}

// A plugin that dies while it moves a child leaves nothing behind after the next life has removed it.
func TestGuestAMoveThatWasCutShortIsCleanedUp(t *testing.T) {
	guestlab.Need(t)
	e := newLab(t)[0]
	e.Start()
	ctx := context.Background()
	c := children(1, suite{20, 128, 0}, true, false, false)[0]
	if err := e.Plugin.Install(ctx, c); err != nil {
		t.Fatal(err)
	}
	moved := c
	moved.Remote = netip.MustParseAddr("192.0.2.99")
	e.Plugin.Close()
	journalMove(t, filepath.Join(e.Dir, "xfrm.journal"), moved.Remote) // the journal comes first; here the plugin died
	e.Start()
	if list, err := e.Plugin.List(ctx, "test"); err != nil || len(list) != 0 {
		t.Errorf("a child without an outbound SA is listed: %+v, %v", list, err)
	}
	if err := e.Plugin.Update(ctx, moved); err != nil {
		t.Fatal(err)
	}
	e.nothingLeft(2, 6)
	if _, err := e.Plugin.Remove(ctx, moved); err != nil {
		t.Fatal(err)
	}
	e.nothingLeft(0, 0)
}

// journalMove notes in a journal that its child is being moved.
func journalMove(t *testing.T, path string, remote netip.Addr) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	var line struct {
		Put map[string]any `json:"put"`
	}
	if err := json.Unmarshal(lines[len(lines)-1], &line); err != nil {
		t.Fatal(err)
	}
	was := line.Put["child"].(map[string]any)
	moved := maps.Clone(was)
	moved["Remote"] = remote
	line.Put["child"], line.Put["was"], line.Put["live"] = moved, []any{was}, false
	last, err := json.Marshal(line)
	if err == nil {
		err = os.WriteFile(path, append(append(text, last...), '\n'), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestGuestAnSPIIsGivenBack(t *testing.T) {
	guestlab.Need(t)
	e := newLab(t)[0]
	e.Start()
	ctx := context.Background()
	local, remote := netip.MustParseAddr(guestlab.Outer4[0]), netip.MustParseAddr(guestlab.Outer4[1])
	spi, err := e.Plugin.AllocateSPI(ctx, local, remote)
	if err != nil {
		t.Fatal(err)
	}
	e.nothingLeft(1, 0)
	if err := e.Plugin.FreeSPI(ctx, local, remote, spi); err != nil {
		t.Fatal(err)
	}
	e.nothingLeft(0, 0)
}
