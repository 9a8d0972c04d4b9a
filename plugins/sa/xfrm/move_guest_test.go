package xfrm

import (
	"context"
	"testing"

	"github.com/parley-ike/parley/plugins/sa/internal/guestlab"
)

// Where an SA has no successor of another name, there is none for an instant, and a packet that comes then has the kernel ask for
// one, under the very SPI that the policy names: the SA takes that place.
func TestGuestAChildMovesWhilePacketsCome(t *testing.T) {
	guestlab.Need(t)
	ends := newLab(t)
	for _, e := range ends {
		e.Start()
	}
	cs := children(1, suite{20, 128, 0}, false, false, false)
	update := func() {
		t.Helper()
		for i, e := range ends {
			if err := e.Plugin.Update(context.Background(), cs[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	update()
	floods := []*flood{newFlood(t, ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 9), newFlood(t, ends[1], ends[0], guestlab.Inner4[1], guestlab.Inner4[0], 10)}
	for range 100 {
		for i := range cs {
			cs[i].Encap, cs[i].LocalPort, cs[i].RemotePort = !cs[i].Encap, 4500, 4500
		}
		update()
	}
	for _, f := range floods {
		f.end()
	}
	if got := ping(ends[0], ends[1], guestlab.Inner4[0], guestlab.Inner4[1], 3); got != 3 {
		t.Errorf("%d of 3 probes came back", got)
	}
	for _, e := range ends {
		e.nothingLeft(2, 6)
	}
}
