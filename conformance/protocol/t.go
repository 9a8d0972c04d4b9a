package protocol

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
	"github.com/parley-ike/parley/conformance/protocol/peer"
	"github.com/parley-ike/parley/conformance/protocol/peer1"
)

const (
	// patience is how long a case waits for what must come, far above what it takes on a busy machine.
	patience = 20 * time.Second
	// silence is how long a case waits for what must not come, when nothing else tells that the daemon has read all.
	silence = 400 * time.Millisecond
	// inboxLen is how many datagrams wait for a case to read them; what comes beyond is as lost as on any wire.
	inboxLen = 1024
)

// T is the side of one case: an address of its own, with UDP 500 and 4500, and a connection of the daemon for it. It is used
// by one goroutine.
type T struct {
	Connection
	daemon   Daemon
	settings Settings
	far      netip.Addr // of the daemon
	ns       *lab.Namespace
	farNS    *lab.Namespace // the daemon's
	ports    map[netip.AddrPort]*peer.Port
	inbox    chan peer.Datagram
	aside    []peer.Datagram // received while waiting for something else

	mu     sync.Mutex
	result *Result
	since  time.Time
}

// run runs a case to its end, however it ends.
func (t *T) run(c *Case) Result {
	t.result, t.since = &Result{Case: c}, time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer t.close()
		t.listen(netip.AddrPortFrom(t.Peer, peer.PortIKE))
		t.listen(netip.AddrPortFrom(t.Peer, peer.PortNAT))
		c.Run(t)
	}()
	<-done
	if len(t.result.Faults) > 0 {
		t.noteDrops()
	}
	t.result.Took = time.Since(t.since)
	return *t.result
}

func (t *T) close() {
	for _, p := range t.ports {
		p.Close()
	}
	if fault := recover(); fault != nil { // of a case, not of the daemon
		buf := make([]byte, 1<<14)
		t.Errorf("the case panics: %v\n%s", fault, buf[:runtime.Stack(buf, false)])
	}
}

// noteDrops notes how many datagrams the kernel has dropped because the daemon or we did not read them in time: the last column
// of /proc/net/udp.
func (t *T) noteDrops() {
	for side, ns := range map[string]*lab.Namespace{"peer": t.ns, "daemon": t.farNS} {
		_ = ns.Do(func() error {
			raw, err := os.ReadFile("/proc/thread-self/net/udp")
			for line := range strings.Lines(string(raw)) {
				if f := strings.Fields(line); len(f) == 13 && f[12] != "0" {
					t.note("!", fmt.Sprintf("the %s's socket %s dropped %s datagrams", side, f[1], f[12]))
				}
			}
			return err
		})
	}
}

// Errorf notes that the daemon is wrong.
func (t *T) Errorf(format string, args ...any) {
	t.result.Faults = append(t.result.Faults, fmt.Sprintf(format, args...))
	t.note("!", t.result.Faults[len(t.result.Faults)-1])
}

// Fatalf does so and ends the case.
func (t *T) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

// Skipf ends the case, because it cannot be had here.
func (t *T) Skipf(format string, args ...any) {
	t.result.Skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// must ends the case on an error that is none of the daemon's protocol.
func (t *T) must(err error) {
	switch {
	case errors.Is(err, ErrCannot):
		t.Skipf("%v", err)
	case err != nil:
		t.Fatalf("%v", err)
	}
}

func (t *T) note(arrow string, what any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.Trace = append(t.result.Trace, fmt.Sprintf("%s %8.3f %s %v", time.Now().Format("05.000"), time.Since(t.since).Seconds(), arrow, what))
}

// listen opens a port of the peer.
func (t *T) listen(a netip.AddrPort) *peer.Port {
	var p *peer.Port
	t.must(t.ns.Do(func() (err error) {
		p, err = peer.Listen(a, t.inbox)
		return err
	}))
	t.ports[a] = p
	return p
}

// order gives the daemon a command.
func (t *T) order(o Order) {
	t.note("#", o)
	t.must(t.daemon.Order(t.context(), o, t.Name))
}

func (t *T) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	_ = context.AfterFunc(ctx, cancel)
	return ctx
}

// counts demands that the daemon comes to have so many IKE SAs and child SAs with us.
func (t *T) counts(ike, child int) {
	var i, c int
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var err error
		i, c, err = t.daemon.Count(t.context(), t.Name)
		t.must(err)
		if i == ike && c == child {
			return
		}
	}
	t.Fatalf("the daemon has %d IKE SAs with %d child SAs, want %d with %d", i, c, ike, child)
}

// path is where a message goes: from one of our ports to one of the daemon's.
type path struct {
	from *peer.Port
	to   netip.AddrPort
}

// path returns the way from our port to the same port of the daemon.
func (t *T) path(port uint16) path {
	return path{t.ports[netip.AddrPortFrom(t.Peer, port)], netip.AddrPortFrom(t.far, port)}
}

// send sends a message as it is.
func (t *T) send(p path, b []byte) {
	if m, err := peer.Header(b); err == nil {
		t.note(">", fmt.Sprintf("%v to %v: %v, %d octets", p.from.Addr(), p.to, m, len(b)))
	} else {
		t.note(">", fmt.Sprintf("%v to %v: %d octets", p.from.Addr(), p.to, len(b)))
	}
	t.must(p.from.Send(p.to, b))
}

// receive returns the first datagram, old or new, that a filter wants; false when none came in time. The others stay.
func (t *T) receive(wait time.Duration, want func(peer.Datagram) bool) (peer.Datagram, bool) {
	if i := slices.IndexFunc(t.aside, want); i >= 0 {
		d := t.aside[i]
		t.aside = slices.Delete(t.aside, i, i+1)
		return d, true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case d := <-t.inbox:
			t.received(d)
			if want(d) {
				return d, true
			}
			t.aside = append(t.aside, d)
		case <-timer.C:
			return peer.Datagram{}, false
		}
	}
}

func (t *T) received(d peer.Datagram) {
	m, err := peer.Decode(d.Bytes)
	what := fmt.Sprint(m)
	if m.Version == peer1.Version {
		m, err = peer1.Decode(d.Bytes)
		what = peer1.Describe(m)
	}
	if err != nil {
		what = fmt.Sprintf("%v: %s", err, hex.EncodeToString(d.Bytes))
	}
	t.note("<", fmt.Sprintf("%v from %v: %s, %d octets", d.Local, d.Remote, what, len(d.Bytes)))
}

// any wants every datagram.
func anyDatagram(peer.Datagram) bool { return true }

// quiet demands that nothing has come, and nothing comes for a while.
func (t *T) quiet() {
	if d, ok := t.receive(silence, anyDatagram); ok {
		m, _ := peer.Decode(d.Bytes)
		t.Fatalf("an answer where none is due: %v", m)
	}
}

// nothingCame demands that nothing has come that was not asked for.
func (t *T) nothingCame() {
	if d, ok := t.receive(0, anyDatagram); ok {
		m, _ := peer.Decode(d.Bytes)
		t.Fatalf("an answer where none is due: %v", m)
	}
}

// forget drops what has come.
func (t *T) forget() {
	for {
		if _, ok := t.receive(0, anyDatagram); !ok {
			return
		}
	}
}

// clear receives a message in clear with certain SPIs, of the initiator's SPI spii.
func (t *T) clear(spii uint64) (peer.Datagram, peer.Message) {
	d, ok := t.receive(patience, func(d peer.Datagram) bool {
		m, err := peer.Header(d.Bytes)
		return !d.ESP && err == nil && m.SPIi == spii
	})
	if !ok {
		t.Fatalf("no answer came within %v", patience)
	}
	return d, t.decode(d)
}

// decode reads a message in clear, which must be well formed.
func (t *T) decode(d peer.Datagram) peer.Message {
	m, err := peer.Decode(d.Bytes)
	t.must(err)
	t.form(m)
	return m
}

// form demands that a message, in clear or opened, has the form that RFC 7296 wants. It is asked of every message that comes.
func (t *T) form(m peer.Message) {
	for _, fault := range m.Faults() {
		t.Errorf("a message that the daemon sent: %s (%v)", fault, m)
	}
}

// has demands that a message holds an error notify, and no other.
func (t *T) has(m peer.Message, kind uint16) peer.Notify {
	if errs := m.Errors(); !slices.Equal(errs, []uint16{kind}) {
		t.Fatalf("error notifies %v, want %d alone: %v", errs, kind, m)
	}
	n, _ := m.Notify(kind)
	return n
}

// only demands that a message holds one payload, an error notify.
func (t *T) only(m peer.Message, kind uint16) peer.Notify {
	if len(m.Payloads) != 1 {
		t.Fatalf("want nothing but the notify %d: %v", kind, m)
	}
	return t.has(m, kind)
}

// kinds demands that a message holds payloads of these types in this order; notifies and vendor IDs are not looked at.
func (t *T) kinds(m peer.Message, want ...uint8) {
	var got []uint8
	for _, p := range m.Payloads {
		if p.Type != peer.TypeNotify && p.Type != peer.TypeVendor && p.Type != peer.TypeCertReq {
			got = append(got, p.Type)
		}
	}
	if !slices.Equal(got, want) {
		var names []string
		for _, k := range want {
			names = append(names, peer.Payload{Type: k}.String())
		}
		t.Fatalf("payloads %v, want %s", m, strings.Join(names, " "))
	}
}
