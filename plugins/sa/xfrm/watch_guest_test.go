package xfrm

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/sa/internal/guestlab"
	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/sdk/sa"
)

func TestGuestLimitsExpire(t *testing.T) {
	guestlab.Need(t)
	for name, v := range map[string]struct {
		soft, hard sa.Volume
		cause      string
	}{
		"packets": {sa.Volume{Packets: 2}, sa.Volume{Packets: 4}, sa.Packets},
		"bytes":   {sa.Volume{Bytes: 120}, sa.Volume{Bytes: 200}, sa.Bytes}, // of 64 octets each, and some more in ESP
	} {
		t.Run(name, func(t *testing.T) {
			ends := newLab(t)
			cs := children(1, suite{20, 128, 0}, true, false, false)
			cs[0].Soft, cs[0].Hard = v.soft, v.hard
			for i, e := range ends {
				e.Start()
				if err := e.Plugin.Install(context.Background(), cs[i]); err != nil {
					t.Fatal(err)
				}
			}
			e := ends[0]
			if got := ping(e, ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 1); got != 1 {
				t.Fatal("the first probe did not come back")
			}
			for range 4 {
				probe(e, ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 1, 200*time.Millisecond)
			}
			var soft, hard bool
			for late := time.After(3 * time.Second); !hard; { // both SAs may tell the soft one
				select {
				case got := <-e.Told:
					x, ok := got.(sa.Expired)
					if !ok || x.SPIIn != cs[0].SPIIn || x.Cause != v.cause {
						t.Errorf("told %+v", got)
					}
					soft, hard = soft || !x.Hard, hard || x.Hard
				case <-late:
					t.Fatalf("soft limit told: %v, hard limit: %v", soft, hard)
				}
			}
			if !soft {
				t.Error("the soft limit was not told")
			}
			if err := e.Plugin.Install(context.Background(), cs[0]); err == nil {
				t.Error("an expired child was installed again")
			}
			u, err := e.Plugin.Remove(context.Background(), cs[0])
			if err != nil || u.PacketsOut == 0 || u.PacketsIn == 0 {
				t.Errorf("final usage %+v, %v", u, err)
			}
			e.nothingLeft(0, 0)
		})
	}
}

// RFC 4303 section 3.3.3: another SA has to be there before the numbers end.
func TestGuestSequenceNumbersEndInTime(t *testing.T) {
	guestlab.Need(t)
	ends := newLab(t)
	cs := children(1, suite{20, 128, 0}, false, false, false)
	for i, e := range ends {
		e.Start()
		if err := e.Plugin.Install(context.Background(), cs[i]); err != nil {
			t.Fatal(err)
		}
	}
	ends[0].Do(func() error { // as if four thousand million packets had been sent
		all, err := netlink.XfrmStateList(netlink.FAMILY_ALL)
		for _, s := range all {
			if uint32(s.Spi) == cs[0].SPIOut && s.Limits.PacketSoft != kernel.SoftNumber {
				t.Errorf("the soft limit is %d packets", s.Limits.PacketSoft)
			}
			if uint32(s.Spi) == cs[0].SPIOut && s.Limits.PacketHard != kernel.HardNumber {
				t.Errorf("the hard limit is %d packets", s.Limits.PacketHard)
			}
		}
		return err
	})
}

// RFC 3948 section 3.
func TestGuestAPeerThatMovesIsToldOf(t *testing.T) {
	guestlab.Need(t)
	for _, six := range []bool{false, true} {
		ends := newLab(t)
		cs := children(1, suite{20, 128, 0}, true, true, six)
		cs[0].LocalPort = 4501 // a NAT that chose another port
		for i, e := range ends {
			e.Start()
			if err := e.Plugin.Install(context.Background(), cs[i]); err != nil {
				t.Fatal(err)
			}
		}
		probe(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 3, 50*time.Millisecond)
		moved := netip.AddrPortFrom(cs[1].Remote, 4501)
		ends[1].WantEvents(sa.Moved{SPIIn: cs[1].SPIIn, Remote: moved}) // once, not with each packet
		cs[1].RemotePort = 4501
		if err := ends[1].Plugin.Update(context.Background(), cs[1]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		probe(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 1, 50*time.Millisecond)
		ends[1].WantEvents()
	}
}

func TestGuestAnSAThatAnotherDeletesIsLost(t *testing.T) {
	guestlab.Need(t)
	e := newLab(t)[0]
	e.Start()
	ctx := context.Background()
	one, two := children(1, suite{20, 128, 0}, true, false, false)[0], children(2, suite{20, 128, 0}, true, false, false)[0]
	for _, c := range []sa.Child{one, two} {
		if err := e.Plugin.Install(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	e.WantEvents() // what we do ourselves is no loss
	e.Do(func() error {
		return netlink.XfrmStateDel(&netlink.XfrmState{Dst: one.Remote.AsSlice(), Src: one.Local.AsSlice(), Proto: netlink.XFRM_PROTO_ESP, Spi: int(one.SPIOut)})
	})
	e.WantEvents(sa.Lost{SPIIn: one.SPIIn})
	if _, err := e.Plugin.Remove(ctx, one); err != nil {
		t.Fatal(err)
	}
	e.WantEvents()
	e.Plugin.Close()
	e.Do(func() error { return netlink.XfrmStateFlush(netlink.XFRM_PROTO_ESP) })
	e.Start() // it happened while nobody watched
	e.WantEvents(sa.Lost{SPIIn: two.SPIIn})
}

// A kernel that tells more than the buffer holds is compared with the journal, and heard again afterwards.
func TestGuestAnOverrunIsSurvived(t *testing.T) {
	guestlab.Need(t)
	e := newLab(t)[0]
	e.Do(func() (err error) {
		e.Plugin, err = New(Config{StateDir: e.Dir}, Sockets{})
		return err
	})
	defer e.Plugin.Close()
	for _, f := range e.Plugin.listeners {
		conn, _ := f.SyscallConn()
		_ = conn.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) })
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var last sa.Child
	for id := range byte(40) {
		last = children(id+1, suite{20, 128, 0}, true, false, false)[0]
		if err := e.Plugin.Install(ctx, last); err != nil {
			t.Fatal(err)
		}
	}
	e.Told = make(chan sa.Event, 64)
	go func() { _ = e.Plugin.Watch(ctx, func(event sa.Event) { e.Told <- event }) }()
	time.Sleep(2 * kernel.ResyncPause)
	e.Do(func() error {
		return netlink.XfrmStateDel(&netlink.XfrmState{Dst: last.Local.AsSlice(), Src: last.Remote.AsSlice(), Proto: netlink.XFRM_PROTO_ESP, Spi: int(last.SPIIn)})
	})
	e.WantEvents(sa.Lost{SPIIn: last.SPIIn})
}
