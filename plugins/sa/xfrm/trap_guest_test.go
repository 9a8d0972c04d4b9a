package xfrm

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/parley-ike/parley/plugins/sa/internal/guestlab"
	"github.com/parley-ike/parley/sdk/sa"
)

func trapOf(c sa.Child) sa.Trap {
	return sa.Trap{Conn: c.Conn, Name: c.Name, Local: c.Local, Remote: c.Remote, LocalTS: c.LocalTS, RemoteTS: c.RemoteTS}
}

func acquired(from, to string) sa.Acquired {
	return sa.Acquired{Conn: "lab", Name: "child", Protocol: 17, Source: netip.AddrPortFrom(netip.MustParseAddr(from), 0),
		Destination: netip.AddrPortFrom(netip.MustParseAddr(to), 7)}
}

// wantAcquired waits for the word that there is traffic. The source port is the kernel's choice.
func (e *end) wantAcquired(want sa.Acquired) {
	e.T.Helper()
	select {
	case got := <-e.Told:
		a, _ := got.(sa.Acquired)
		a.Source = netip.AddrPortFrom(a.Source.Addr(), 0)
		if a != want {
			e.T.Errorf("told %+v, want %+v", got, want)
		}
	case <-time.After(3 * time.Second):
		e.T.Error("nothing was told")
	}
}

func TestGuestATrapIsToldOfAndLiesBeneathItsChild(t *testing.T) {
	guestlab.Need(t)
	ctx := context.Background()
	ends := newLab(t)
	cs := children(1, suite{20, 128, 0}, true, false, false)
	for i, e := range ends {
		e.Start()
		for range 2 { // the second time changes nothing
			if err := e.Plugin.SetTraps(ctx, "test", []sa.Trap{trapOf(cs[i])}); err != nil {
				t.Fatal(err)
			}
		}
		e.nothingLeft(0, 6)
	}
	stop := ends[0].Wire()
	if probe(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 3, 50*time.Millisecond) != 0 {
		t.Error("a probe came back without a child")
	}
	if n := guestlab.OnlyESP(t, stop(), false); n != 0 {
		t.Errorf("%d ESP packets without a child", n)
	}
	ends[0].wantAcquired(acquired(guestlab.Inner4[0], guestlab.Inner4[1]))
	ends[0].WantEvents() // once
	for i, e := range ends {
		if err := e.Plugin.Install(ctx, cs[i]); err != nil {
			t.Fatal(err)
		}
	}
	if got := ping(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 2); got != 2 {
		t.Errorf("%d of 2 probes came back", got)
	}
	for i, e := range ends {
		if _, err := e.Plugin.Remove(ctx, cs[i]); err != nil {
			t.Fatal(err)
		}
	}
	stop = ends[0].Wire()
	if probe(ends[0], ends[1], guestlab.Inner6[0], guestlab.Inner6[1], 1, 50*time.Millisecond) != 0 { // the trap is there again
		t.Error("a probe came back after the child had gone")
	}
	guestlab.OnlyESP(t, stop(), false)
	ends[0].wantAcquired(acquired(guestlab.Inner6[0], guestlab.Inner6[1]))

	ends[0].Plugin.Close() // a restart knows its traps
	ends[0].Start()
	if err := ends[0].Plugin.SetTraps(ctx, "other", nil); err != nil {
		t.Fatal(err)
	}
	ends[0].Do(func() error { return nil })
	if err := ends[0].Plugin.SetTraps(ctx, "test", nil); err != nil {
		t.Fatal(err)
	}
	ends[0].Do(func() error {
		list, err := netlink.XfrmPolicyList(netlink.FAMILY_ALL)
		if len(list) != 0 {
			t.Errorf("%d policies are left", len(list))
		}
		return err
	})
}

// With net.core.xfrm_larval_drop off the kernel keeps the packets that met a trap: the first one is answered.
func TestGuestTheFirstPacketWaitsForItsChild(t *testing.T) {
	guestlab.Need(t)
	ctx := context.Background()
	ends := newLab(t)
	cs := children(1, suite{20, 128, 0}, true, false, false)
	for i, e := range ends {
		e.Start()
		trap := trapOf(cs[i])
		trap.Local = netip.Addr{} // not known yet
		if err := e.Plugin.SetTraps(ctx, "test", []sa.Trap{trap}); err != nil {
			t.Fatal(err)
		}
		e.Do(func() error { return os.WriteFile("/proc/sys/net/core/xfrm_larval_drop", []byte("0"), 0) })
	}
	var server, client *net.UDPConn
	ends[1].Do(func() (err error) {
		server, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(guestlab.Inner4[1]), Port: 7})
		return err
	})
	defer server.Close()
	ends[0].Do(func() (err error) {
		client, err = net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(guestlab.Inner4[0])}, &net.UDPAddr{IP: net.ParseIP(guestlab.Inner4[1]), Port: 7})
		return err
	})
	defer client.Close()
	if _, err := client.Write(guestlab.Marker); err != nil {
		t.Fatal(err)
	}
	ends[0].wantAcquired(acquired(guestlab.Inner4[0], guestlab.Inner4[1]))
	for _, i := range []int{1, 0} { // the responder is ready before the initiator sends
		if err := ends[i].Plugin.Install(ctx, cs[i]); err != nil {
			t.Fatal(err)
		}
	}
	_ = server.SetReadDeadline(time.Now().Add(3 * time.Second))
	buf := make([]byte, 100)
	if n, err := server.Read(buf); err != nil || !bytes.Equal(buf[:n], guestlab.Marker) {
		t.Errorf("the first packet: %q, %v", buf[:n], err)
	}
}
