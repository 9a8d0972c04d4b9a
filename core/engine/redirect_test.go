package engine

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// RFC 5685 section 6: a client that is redirected when it is authenticated goes to the new gateway with the same connection,
// and says who sent it.
func TestAClientGoesWhereItIsSent(t *testing.T) {
	t.Parallel()
	w := newNeighbours(t, policy.UniqueReplace, policy.UniqueReplace)
	client, gateway := connection("west", us, them), connection("east", them, us)
	client.FollowRedirects = true
	gateway.RedirectTo = "203.0.113.50"
	w.east, w.west = newPeer(w, 1, client, nil, Limits{}), newPeer(w, 2, gateway, nil, Limits{})
	first := w.initiate(w.east, "west", us, them)
	w.settle()
	next := netip.MustParseAddrPort("203.0.113.50:500")
	var found bool
	for _, info := range w.east.Infos() {
		found = found || info.UID != first && info.IKE.Remote == next && info.Conn == "west"
	}
	if !found {
		t.Errorf("there is no attempt at the other gateway: %+v", w.east.Infos())
	}
	if len(w.east.up())+len(w.west.up())+len(w.east.children)+len(w.west.children) != 0 {
		t.Error("the SA with the first gateway, or a child of it, is still there")
	}
	for _, r := range w.east.records {
		if e, ok := r.Event.(event.IKERedirected); ok && e.To == "203.0.113.50" && e.Result == "followed" {
			return
		}
	}
	t.Error("nothing was told of it")
}

// A gateway that is named by DNS is looked up beside the shard.
func TestAGatewayIsLookedUpByName(t *testing.T) {
	t.Parallel()
	e, _, p := start(t, func(c *Config) {
		c.Resolve = func(_ context.Context, host string) (netip.Addr, error) {
			if host != "gw2.example.net" {
				return netip.Addr{}, errBroken
			}
			return netip.MustParseAddr("198.51.100.9"), nil
		}
	})
	if _, err := e.Initiate(t.Context(), "west", nil); err != nil {
		t.Fatal(err)
	}
	old := p.made[0].birth.SPI
	redirect := func(to string) {
		d := message(old, "redirect "+to)
		d.Bytes[19] &^= 0x08 // from the responder: ours is the first SPI
		copy(d.Bytes[0:8], d.Bytes[8:16])
		e.Receive([]machine.Datagram{d})
	}
	redirect("nowhere.example.net")
	redirect("gw2.example.net")
	eventually(t, "a second SA", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.made) == 2
	})
	time.Sleep(20 * time.Millisecond) // for a third, which there must not be
	p.mu.Lock()
	defer p.mu.Unlock()
	if got := p.made[1].birth.Remote.Addr().String(); got != "198.51.100.9" || len(p.made) != 2 {
		t.Errorf("%d SAs, the second to %v", len(p.made), got)
	}
}
