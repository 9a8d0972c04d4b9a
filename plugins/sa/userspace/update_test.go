package userspace

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-ike/parley/sdk/sa"
)

func TestTheBackendConforms(t *testing.T) {
	l := newLab(t)
	n := l.start(0, Config{}, netip.AddrPortFrom(netip.IPv4Unspecified(), 4500))
	n.must(request{Op: "kit"})
}

// flood sends numbered packets from an inner address of one end to one of the other until it is stopped, and tells which did not
// arrive.
type flood struct {
	from, to *net.UDPConn
	stop     chan struct{}
	wait     sync.WaitGroup
	sent     uint32
	came     map[uint32]bool // of the receiver
}

const floodPause = 100 * time.Microsecond

func (l *lab) flood(a, b int, from, to netip.Addr, port uint16) *flood {
	l.t.Helper()
	f := &flood{stop: make(chan struct{}), came: map[uint32]bool{}}
	target := net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, port))
	l.within(b, func() (err error) { f.to, err = net.ListenUDP("udp", target); return err })
	_ = f.to.SetReadBuffer(4 << 20)
	l.within(a, func() (err error) {
		f.from, err = net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), target)
		return err
	})
	f.wait.Go(func() {
		for buf := make([]byte, 2000); ; {
			n, err := f.to.Read(buf)
			if err != nil {
				return
			}
			if n == 400 {
				f.came[binary.BigEndian.Uint32(buf)] = true
			}
		}
	})
	f.wait.Go(f.send)
	return f
}

func (f *flood) send() {
	for buf := make([]byte, 400); ; {
		select {
		case <-f.stop:
			return
		case <-time.After(floodPause):
		}
		binary.BigEndian.PutUint32(buf, f.sent)
		if _, err := f.from.Write(buf); err == nil { // else the kernel said itself that it was not sent
			f.sent++
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
func TestFiftyRekeyingsLoseNoPacket(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	old := l.install(tunnel{id: 100, seed: 100, encr: 20, bits: 128})
	floods := []*flood{l.flood(0, 1, inner4[0], inner4[1], 9), l.flood(1, 0, inner6[1], inner6[0], 9)}
	for n := range byte(50) {
		next := tunnel{id: n + 1, seed: n + 1, encr: 20, bits: 128, esn: n%2 == 0, encap: n%3 == 0}.ends(t)
		held := next[1]
		held.Held = true
		l.node[1].must(request{Op: "install", Child: held})
		l.node[0].must(request{Op: "install", Child: next[0]})
		time.Sleep(2 * time.Millisecond)
		if u := l.node[1].must(request{Op: "usage", Child: next[1]}).Usage; u.PacketsOut != 0 {
			t.Errorf("rekeying %d: the child that is held back carried %+v", n, u)
		}
		l.node[1].must(request{Op: "update", Child: next[1]})
		l.drained(old)
		l.remove(old)
		old = next
	}
	for i, f := range floods {
		if sent, lost := f.end(); lost != 0 || sent < 300 {
			t.Errorf("direction %d: %d of %d packets were lost: %v %v", i, lost, sent, l.node[0].do(request{Op: "stats"}).Stats, l.node[1].do(request{Op: "stats"}).Stats)
		} else {
			t.Logf("direction %d: %d packets, none lost", i, sent)
		}
	}
}

// drained waits until everything that was sent under a child has arrived; an IKE peer allows for that by the time that a Delete takes.
func (l *lab) drained(ends [2]sa.Child) {
	l.t.Helper()
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		a, b := l.node[0].must(request{Op: "usage", Child: ends[0]}).Usage, l.node[1].must(request{Op: "usage", Child: ends[1]}).Usage
		if a.PacketsIn == b.PacketsOut && b.PacketsIn == a.PacketsOut {
			return
		}
	}
}

// Both ends learn that the peer is elsewhere: no number is used twice, and no packet lost.
func TestAChildMovesUnderLoadAndItsNumbersGoOn(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	ends := l.install(tunnel{id: 1, seed: 1, encr: 20, bits: 128})
	wire := l.capture()
	f := l.flood(0, 1, inner4[0], inner4[1], 9)
	for n := range 20 {
		for i := range ends {
			if c := &ends[i]; n%2 == 0 {
				c.Encap, c.LocalPort, c.RemotePort = true, 4500, 4500
			} else {
				c.Encap, c.LocalPort, c.RemotePort = false, 0, 0
			}
			l.node[i].must(request{Op: "update", Child: ends[i]})
			time.Sleep(2 * time.Millisecond)
		}
	}
	if sent, lost := f.end(); lost != 0 || sent < 200 {
		t.Errorf("%d of %d packets were lost", lost, sent)
	}
	seen := map[uint32]bool{}
	for _, n := range sequenceNumbers(wire.take(), ends[0].SPIOut) {
		if seen[n] {
			t.Fatalf("the number %d was used twice", n)
		}
		seen[n] = true
	}
	if len(seen) < 200 {
		t.Errorf("%d packets were seen", len(seen))
	}
	l.node[0].must(request{Op: "update", Child: ends[0]}) // the same again
}

func TestAnUpdateChangesNoKeys(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	ends := l.install(tunnel{id: 1, seed: 1, encr: 20, bits: 128})
	for name, change := range map[string]func(c *sa.Child){
		"keys":         func(c *sa.Child) { c.EncrOut = tunnel{id: 1, seed: 2, encr: 20, bits: 128}.ends(t)[0].EncrOut },
		"outbound SPI": func(c *sa.Child) { c.SPIOut++ },
		"ESN":          func(c *sa.Child) { c.ESN = !c.ESN },
	} {
		c := ends[0]
		change(&c)
		if a := l.node[0].do(request{Op: "update", Child: c}); !strings.Contains(a.Err, "an update changes neither") {
			t.Errorf("%s: %q", name, a.Err)
		}
	}
	if got := l.node[0].ping(inner4[0], inner4[1], 2, 100); got != 2 {
		t.Errorf("%d of 2 probes came back afterwards", got)
	}
}
