package userspace

import (
	"fmt"
	"net/netip"
	"regexp"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/parley-ike/parley/sdk/sa"
)

func trapOf(c sa.Child) sa.Trap {
	return sa.Trap{Conn: c.Conn, Name: c.Name, Local: c.Local, Remote: c.Remote, LocalTS: c.LocalTS, RemoteTS: c.RemoteTS}
}

// wantAcquired waits for the word that there is traffic; the source port is the kernel's choice.
func wantAcquired(t *testing.T, n *node, c sa.Child, from, to netip.Addr) {
	t.Helper()
	want := regexp.MustCompile(fmt.Sprintf(`^sa\.Acquired{Conn:%s Name:%s Protocol:17 Source:\[?%s\]?:\d+ Destination:\[?%s\]?:7}$`, c.Conn, c.Name,
		regexp.QuoteMeta(from.String()), regexp.QuoteMeta(to.String())))
	var got []string
	for end := time.Now().Add(3 * time.Second); len(got) == 0 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		got = n.must(request{Op: "events"}).Names
	}
	if len(got) != 1 || !want.MatchString(got[0]) {
		t.Errorf("told %q, want %v", got, want)
	}
}

// The first packet waits for its child: no probe is lost, though the first ones find a trap.
func TestATrapIsToldOfAndItsFirstPacketIsAnswered(t *testing.T) {
	for i, in := range [][2]netip.Addr{inner4, inner6} {
		t.Run(fmt.Sprintf("inside%d", 4+2*i), func(t *testing.T) {
			l := newLab(t)
			l.startBoth(Config{})
			wire := l.capture()
			ends := tunnel{id: 1, seed: 1, encr: 20, bits: 128}.ends(t)
			trap := trapOf(ends[0])
			trap.Local = netip.Addr{} // not known yet
			l.node[0].must(request{Op: "traps", Traps: []sa.Trap{trap}})
			l.node[0].silent(in[0], in[1], 100) // it is told of, and this one's answer comes too late
			wantAcquired(t, l.node[0], ends[0], in[0], in[1])
			l.node[0].silent(in[0], in[1], 100)
			wantEvents(t, l.node[0]) // not with each packet
			onlyESP(t, wire.take(), 0, false, false)
			for i := range ends {
				l.node[1-i].must(request{Op: "install", Child: ends[1-i]})
			}
			time.Sleep(50 * time.Millisecond)
			if u := l.node[1].must(request{Op: "usage", Child: ends[1]}).Usage; u.PacketsIn == 0 || u.PacketsOut != 1 { // the answer finds nobody any more
				t.Errorf("the first packet: %+v", u)
			}
			if got := l.node[0].ping(in[0], in[1], 2, 100); got != 2 {
				t.Errorf("%d of 2 probes came back", got)
			}
			wire.take()
			l.remove(ends)
			l.node[0].silent(in[0], in[1], 100) // the trap is there again, and tells at once
			wantAcquired(t, l.node[0], ends[0], in[0], in[1])
			l.node[0].must(request{Op: "traps"})
			time.Sleep(acquirePause)
			onlyESP(t, wire.take(), 0, false, false)
			if a := l.node[0].do(request{Op: "stats"}).Stats; a["trapped"] == 0 {
				t.Errorf("%v", a)
			}
		})
	}
}

// A trap's routes stay when its child goes, so that nothing leaks in clear, and go with the trap.
func TestATrapKeepsItsRoutes(t *testing.T) {
	l := newLab(t)
	n := l.start(0, Config{})
	ends := tunnel{id: 1, seed: 1, encr: 20, bits: 128}.ends(t)
	n.must(request{Op: "traps", Traps: []sa.Trap{trapOf(ends[0])}})
	n.must(request{Op: "install", Child: ends[0]})
	n.must(request{Op: "remove", Child: ends[0]})
	if got := len(l.routes(0)); got != 2 {
		t.Errorf("%d routes beneath a trap, want 2", got)
	}
	n.must(request{Op: "traps"})
	if got := l.routes(0); len(got) != 0 {
		t.Errorf("routes without a trap: %v", got)
	}
	bad := trapOf(ends[0])
	bad.Mode = sa.Transport
	if a := n.do(request{Op: "traps", Traps: []sa.Trap{bad}}); a.Err == "" {
		t.Error("a trap of transport mode was taken")
	}
}

// routes are those of ours in a namespace.
func (l *lab) routes(i int) (all []netlink.Route) {
	l.t.Helper()
	l.within(i, func() (err error) {
		all, err = netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Protocol: routeProtocol}, netlink.RT_FILTER_PROTOCOL)
		return err
	})
	return all
}
