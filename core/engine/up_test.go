package engine

import (
	"slices"
	"testing"

	"github.com/parley-ike/parley/core/machine"
)

// A further child of a connection is made inside the IKE SA that is up, the one established last, and only without one in a
// new IKE SA.
func TestUpJoinsTheIKESAThatIsUp(t *testing.T) {
	t.Parallel()
	e, _, p := start(t, nil)
	first, joined, err := e.Up(t.Context(), "west", []string{"lan"})
	if err != nil || joined {
		t.Fatalf("the first: joined %v, %v", joined, err)
	}
	again, joined, err := e.Up(t.Context(), "west", []string{"dmz"})
	if err != nil || joined || again == first {
		t.Fatalf("while none is established: %v, joined %v, %v", again, joined, err)
	}
	for i, uid := range []int{1, 0} {
		e.Receive([]machine.Datagram{message(p.made[uid].birth.SPI, "auth")})
		eventually(t, "established", func() bool { return e.Counters().Established.Load() == int64(i+1) })
	}
	got, joined, err := e.Up(t.Context(), "west", []string{"dmz"})
	if err != nil || !joined || got != first {
		t.Errorf("got %v, joined %v, %v; want %v", got, joined, err, first)
	}
	if _, joined, _ := e.Up(t.Context(), "east", nil); joined {
		t.Error("a child of another connection joined")
	}
	last := p.made[0].inputs[len(p.made[0].inputs)-1]
	if in, ok := last.(machine.Initiate); !ok || !slices.Equal(in.Children, []string{"dmz"}) {
		t.Errorf("the SA was told %+v", last)
	}
}
