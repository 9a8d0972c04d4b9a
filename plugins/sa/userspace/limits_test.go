package userspace

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/parley-ike/parley/sdk/sa"
)

func TestLimitsAreToldOnceAndTheHardOneStops(t *testing.T) {
	t.Parallel()
	const n = 100
	for name, v := range map[string]struct {
		soft, hard sa.Volume
		cause      string
		carried    int
	}{
		"packets":         {sa.Volume{Packets: 3}, sa.Volume{Packets: 5}, sa.Packets, 5},
		"bytes":           {sa.Volume{Bytes: 250}, sa.Volume{Bytes: 450}, sa.Bytes, 5},
		"no soft limit":   {sa.Volume{}, sa.Volume{Packets: 5}, sa.Packets, 5},
		"no limit at all": {sa.Volume{}, sa.Volume{}, "", 20},
	} {
		var told []sa.Event
		room := false
		tell := func(e sa.Event) bool {
			if room {
				told = append(told, e)
			}
			return room
		}
		c := &child{Child: sa.Child{SPIIn: 300, Soft: v.soft, Hard: v.hard}, slot: &slot{}}
		c.limits = newLimits(&c.Child)
		carried := 0
		for i := range 20 {
			room = i != 2 // what finds no room is told with the next packet
			if c.spend(&c.slot.bytesIn, &c.slot.packetsIn, n, tell) {
				carried++
			}
		}
		var want []sa.Event
		if v.soft != (sa.Volume{}) {
			want = append(want, sa.Expired{SPIIn: 300, Cause: v.cause})
		}
		if v.hard != (sa.Volume{}) {
			want = append(want, sa.Expired{SPIIn: 300, Hard: true, Cause: v.cause})
		}
		if carried != v.carried || c.slot.packetsIn.Load() != uint64(carried) || !reflect.DeepEqual(told, want) {
			t.Errorf("%s: carried %d, counted %d, told %+v; want %d and %+v", name, carried, c.slot.packetsIn.Load(), told, v.carried, want)
		}
	}
}

// RFC 4303 section 3.3.3: the counter must never cycle, so that another SA has to be there in time.
func TestSequenceNumbersExpireAndExtendedOnesDoNot(t *testing.T) {
	t.Parallel()
	var told []sa.Event
	tell := func(e sa.Event) bool { told = append(told, e); return true }
	for _, esn := range []bool{true, false} {
		c := &child{Child: sa.Child{SPIIn: 300, ESN: esn}, slot: &slot{}}
		c.limits = newLimits(&c.Child)
		for _, at := range []uint64{0, softNumber - 2, softNumber - 1, 1<<32 - 2, 1<<32 - 1, 1 << 32} {
			c.slot.sent.Store(at)
			if n, ok := c.number(tell); ok != (esn || at < 1<<32-1) || ok && n != at+1 {
				t.Errorf("after %d: %d, %v", at, n, ok)
			}
		}
	}
	want := []sa.Event{sa.Expired{SPIIn: 300, Cause: sa.SequenceNumbers}, sa.Expired{SPIIn: 300, Hard: true, Cause: sa.SequenceNumbers}}
	if !reflect.DeepEqual(told, want) {
		t.Errorf("told %+v, want %+v", told, want)
	}
}

func TestAChildExpiresUnderLoadAndAgainAfterARestart(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	ends := tunnel{id: 1, seed: 1, encr: 20, bits: 128}.ends(t)
	ends[0].Soft, ends[0].Hard = sa.Volume{Packets: 3}, sa.Volume{Packets: 5}
	for i := range ends {
		l.node[i].must(request{Op: "install", Child: ends[i]})
	}
	if got := l.node[0].ping(inner4[0], inner4[1], 5, 100); got != 5 {
		t.Errorf("%d of 5 probes within the limit came back", got)
	}
	l.node[0].silent(inner4[0], inner4[1], 100)
	soft := fmt.Sprintf("sa.Expired{SPIIn:%d Hard:false Cause:packets}", ends[0].SPIIn)
	hard := strings.Replace(soft, "false", "true", 1)
	wantEvents(t, l.node[0], soft, hard)
	l.node[0].kill()
	l.start(0, Config{})
	l.node[0].must(request{Op: "install", Child: ends[0]})
	l.node[0].silent(inner4[0], inner4[1], 100)
	wantEvents(t, l.node[0], hard) // the counters went on
}

func wantEvents(t *testing.T, n *node, want ...string) {
	t.Helper()
	var got []string
	for end := time.Now().Add(3 * time.Second); len(got) < len(want) && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		got = append(got, n.must(request{Op: "events"}).Names...)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// RFC 3948 section 3: only authentic packets tell where the peer is.
func TestAPeerThatMovesIsToldOf(t *testing.T) {
	for _, six := range []bool{false, true} {
		l := newLab(t)
		elsewhere := [2]netip.Addr{netip.MustParseAddr("192.0.2.77"), netip.MustParseAddr("2001:db8::77")}
		l.within(0, func() error {
			link, err := netlink.LinkByName("eth0")
			for _, text := range []string{"192.0.2.77/24", "2001:db8::77/64"} {
				if a, e := netlink.ParseAddr(text); err == nil && e == nil {
					a.Flags = 2 // IFA_F_NODAD
					err = netlink.AddrAdd(link, a)
				}
			}
			return err
		})
		l.start(0, Config{}, netip.AddrPortFrom(netip.IPv4Unspecified(), 4501), netip.AddrPortFrom(netip.IPv6Unspecified(), 4501))
		l.start(1, Config{}, netip.AddrPortFrom(netip.IPv4Unspecified(), 4500), netip.AddrPortFrom(netip.IPv6Unspecified(), 4500))
		ends := tunnel{id: 1, seed: 1, encr: 20, bits: 128, encap: true, six: six}.ends(t)
		from := elsewhere[0]
		if six {
			from = elsewhere[1]
		}
		ends[0].Local, ends[0].LocalPort = from, 4501 // the other end knows the old place
		for i := range ends {
			l.node[i].must(request{Op: "install", Child: ends[i]})
		}
		l.node[0].silent(inner4[0], inner4[1], 100) // the answer goes to the old place
		wantEvents(t, l.node[1], fmt.Sprintf("sa.Moved{SPIIn:%d Remote:%v}", ends[1].SPIIn, netip.AddrPortFrom(from, 4501)))
		ends[1].Remote, ends[1].RemotePort = from, 4501
		l.node[1].must(request{Op: "update", Child: ends[1]})
		if got := l.node[0].ping(inner4[0], inner4[1], 2, 100); got != 2 {
			t.Errorf("%d of 2 probes came back after the move", got)
		}
		wantEvents(t, l.node[1])
	}
}

// RFC 4303 section 2.7: the length on the wire tells nothing of a packet that is shorter, and the other end drops what is too much.
func TestShortPacketsArePaddedToOneLength(t *testing.T) {
	l := newLab(t)
	l.startBoth(Config{})
	ends := tunnel{id: 1, seed: 1, encr: 20, bits: 128}.ends(t)
	for i := range ends {
		ends[i].TFC = 1000
		l.node[i].must(request{Op: "install", Child: ends[i]})
	}
	wire := l.capture()
	for _, size := range []int{50, 300, 900} {
		if got := l.node[0].ping(inner4[0], inner4[1], 2, size); got != 2 {
			t.Errorf("%d of 2 probes of %d octets came back", got, size)
		}
	}
	lengths := map[int]int{}
	for _, b := range wire.take() {
		if p, ok := parseFrame(b); ok && p.esp != nil {
			lengths[len(p.esp)]++
		}
	}
	if len(lengths) != 1 {
		t.Errorf("lengths on the wire, with their packets: %v", lengths)
	}
	if u := l.node[0].must(request{Op: "usage", Child: ends[0]}).Usage; u.BytesOut != 2*(3*28+50+300+900) {
		t.Errorf("padding counts as traffic: %+v", u)
	}
	if got := l.node[0].ping(inner4[0], inner4[1], 1, 1300); got != 1 {
		t.Error("a longer packet did not come through")
	}
}
