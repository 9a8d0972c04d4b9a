package xfrm

import (
	"context"
	"fmt"
	"testing"

	"github.com/parley-ike/parley/plugins/sa/internal/guestlab"
	"github.com/parley-ike/parley/sdk/sa"
)

// host selects an address and a UDP port alone; 0: all. What carries ESP in UDP must not be selected itself, unless the daemon's
// socket has a policy of its own.
func host(text string, port uint16) sa.Selector {
	s := guestlab.Subnet(text + "/32")
	s.Protocol = 17
	if port != 0 {
		s.StartPort, s.EndPort = port, port
	}
	return s
}

func TestGuestTransportModeProtectsTheHostsThemselves(t *testing.T) {
	guestlab.Need(t)
	for id, v := range []struct {
		s          suite
		esn, encap bool
	}{{suite{20, 128, 0}, false, false}, {suite{20, 256, 0}, true, false}, {suite{12, 128, 12}, true, true}, {suite{28, 0, 0}, false, true}} {
		t.Run(fmt.Sprintf("%+v", v), func(t *testing.T) {
			ends := newLab(t)
			ports := [2]uint16{0, 7} // of the echo server
			cs := children(byte(id+1), v.s, v.esn, v.encap, false)
			for i, e := range ends {
				e.Start()
				cs[i].Mode, cs[i].ReplayWindow = sa.Transport, maxReplayWindow
				cs[i].LocalTS, cs[i].RemoteTS = []sa.Selector{host(guestlab.Outer4[i], ports[i])}, []sa.Selector{host(guestlab.Outer4[1-i], ports[1-i])}
				if err := e.Plugin.Install(context.Background(), cs[i]); err != nil {
					t.Fatal(err)
				}
			}
			stop, stopOther := ends[0].Wire(), ends[1].Wire()
			if got := ping(ends[0], ends[1], guestlab.Outer4[0], guestlab.Outer4[1], 3); got != 3 {
				t.Errorf("%d of 3 probes came back", got)
			}
			if n := guestlab.OnlyESP(t, append(stop(), stopOther()...), v.encap); n != 6 {
				t.Errorf("%d ESP packets crossed, want 6", n)
			}
			for i, e := range ends {
				if u, err := e.Plugin.Remove(context.Background(), cs[i]); err != nil || u.PacketsIn != 3 {
					t.Errorf("final usage %+v, %v", u, err)
				}
				e.nothingLeft(0, 0)
			}
		})
	}
}

// RFC 4303 section 2.7. Only in UDP, since this kernel's segmentation path (esp4_offload) never pads.
func TestGuestShortPacketsArePaddedToOneLength(t *testing.T) {
	guestlab.Need(t)
	ends := newLab(t)
	cs := children(1, suite{20, 128, 0}, true, true, false)
	for i, e := range ends {
		e.Start()
		cs[i].TFC = 1000
		if err := e.Plugin.Install(context.Background(), cs[i]); err != nil {
			t.Fatal(err)
		}
	}
	stop := ends[0].Wire()
	if ping(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 1) != 1 || ping(ends[0], ends[1], guestlab.Inner6[0], guestlab.Inner6[1], 1) != 1 {
		t.Error("a probe did not come back")
	}
	lengths := map[int]int{}
	for _, b := range stop() {
		if b[14+9] == 17 {
			lengths[len(b)]++
		}
	}
	for n := range lengths {
		if len(lengths) != 1 || n < 1000 {
			t.Errorf("lengths on the wire, with their packets: %v", lengths)
		}
	}
	if len(lengths) == 0 {
		t.Error("nothing was sent")
	}
}
