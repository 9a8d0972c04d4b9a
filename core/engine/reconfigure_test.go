package engine

import (
	"testing"
	"time"

	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// An IKE SA whose connection has other children stays, and its journal, which carries them, replays.
func TestAnIKESAGoesOnWithOtherChildrenAndReplays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rec, err := journal.NewRecorder(dir, func(path string, err error) { t.Errorf("%s: %v", path, err) })
	if err != nil {
		t.Fatal(err)
	}
	w := newPeers(t, rec, Limits{})
	w.connect(1)
	before := w.east.Infos()[0]
	next := connection("west", us, them)
	next.Children[0].Name = "dmz"
	if n := w.east.Command(w.now, Selector{Conn: "another"}, machine.Reconfigure{Connection: next}); n != 0 {
		t.Errorf("%d SAs of another connection", n)
	}
	w.east.Command(w.now, Selector{Conn: before.Conn}, machine.Reconfigure{Connection: next})
	w.settle()
	if after := w.east.Infos()[0]; after.UID != before.UID || after.State != stateEstablished || len(after.Children) != 0 {
		t.Errorf("it is %+v", after)
	}
	if n := len(w.east.children) + len(w.west.children); n != 0 {
		t.Errorf("%d children are left in the backends", n)
	}
	w.east.Command(w.now, Selector{All: true}, machine.Terminate{Reason: "test"})
	w.pass(2 * time.Minute)
	rec.Close()
	for _, path := range journals(t, dir) {
		if steps, _, err := replay(t, path); err != nil {
			t.Errorf("%s: after %d steps: %v", path, steps, err)
		}
	}
}

// A reload gives the running SAs of a connection its present version.
func TestReconfigureTakesThePresentVersion(t *testing.T) {
	t.Parallel()
	e, _, _ := start(t, nil)
	e.SetPolicy(&policy.Snapshot{Connections: []*policy.Connection{connection("west", us, them)}})
	if n, err := e.Reconfigure(t.Context(), "west"); n != 0 || err != nil {
		t.Errorf("without an SA: %d, %v", n, err)
	}
	if _, err := e.Reconfigure(t.Context(), "nobody"); err == nil {
		t.Error("a connection that does not exist is taken")
	}
}
