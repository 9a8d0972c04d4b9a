package pluginhost

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
)

func w0(testing.TB) *zap.Logger { return zap.NewNop() }

func child(n byte) machine.ChildSA {
	return machine.ChildSA{UID: event.UID{n}, Backend: "memory", SPIIn: 300 + uint32(n), SPIOut: 400}
}

func TestABackendIsReconciledAfterItsRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick, fixture(t, "all", []string{"ke", "auth", "cred", "sa"}, "all"))
	ready := make(chan bool, 8)
	w.OnReady(func(kind, name string, restarted bool) {
		if kind == "sa" && name == "memory" {
			ready <- restarted
		}
	})
	ctx := context.Background()
	if err := w.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if <-ready {
		t.Error("the first start was told as a restart")
	}
	w.kill(0)
	if !<-ready {
		t.Error("the restart was told as the first start")
	}
	if err := w.Install(ctx, child(1)); err != nil { // kept
		t.Fatal(err)
	}
	if err := w.Install(ctx, child(2)); err != nil { // unknown to the daemon
		t.Fatal(err)
	}
	if err := w.Install(ctx, child(5)); err != nil { // its peer moved since
		t.Fatal(err)
	}
	moved := child(5)
	moved.Remote, moved.Encap, moved.RemotePort = netip.MustParseAddr("192.0.2.9"), true, 4501
	if err := w.Install(ctx, child(6)); err != nil { // unknown, but to be left
		t.Fatal(err)
	}
	want := []machine.ChildSA{child(1), child(3), child(4), moved}
	spare := func(c machine.ChildSA) bool { return c.UID == child(6).UID }
	got, err := w.Reconcile(ctx, "memory", func() ([]machine.ChildSA, error) { return want, nil }, spare)
	if err != nil || got != (event.BackendReconciled{Backend: "memory", Kept: 1, Reinstalled: 2, Updated: 1, Removed: 1, Left: 1}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if e := awaitEvent[event.BackendReconciled](w); e != got {
		t.Errorf("event %+v", e)
	}
	list, err := w.List(ctx, "memory")
	if err != nil || len(list) != len(want)+1 {
		t.Errorf("the backend holds %+v, %v", list, err)
	}
	if i := slices.IndexFunc(list, func(c machine.ChildSA) bool { return c.UID == moved.UID }); i < 0 || placeOf(list[i]) != placeOf(moved) {
		t.Errorf("the peer that moved is still where it was: %+v", list)
	}
	if _, err := w.Reconcile(ctx, "nowhere", func() ([]machine.ChildSA, error) { return nil, nil }, spare); err == nil {
		t.Error("a backend that is not there was reconciled")
	}
}
