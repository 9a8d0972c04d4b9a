package engine

import (
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// The IPsec SAs of IKEv1 outlive the ISAKMP SA that made them (RFC 2408 section 2.1): whichever side replaces it, the child moves to the
// new one on both sides, its backend never loses it, and the journals of all replay.
func TestChildrenMoveToTheISAKMPSAThatTakesThePlaceOfTheirs(t *testing.T) {
	t.Parallel()
	for i, who := range []string{"east", "west", "both", "east", "west"} {
		dir := t.TempDir()
		rec, err := journal.NewRecorder(dir, func(path string, err error) { t.Errorf("%s: %v", path, err) })
		if err != nil {
			t.Fatal(err)
		}
		w := newUniquePeers1(t, rec, []policy.Unique{policy.UniqueReplace, policy.UniqueNever}[i/3])
		w.connect(1)
		before := w.east.Infos()[0].UID
		for range 3 {
			if who != "west" {
				w.east.Command(w.now, Selector{All: true}, machine.Rekey{})
			}
			if who != "east" {
				w.west.Command(w.now, Selector{All: true}, machine.Rekey{})
			}
			w.settle()
			if len(w.east.children) != 1 || len(w.west.children) != 1 {
				t.Fatalf("%s: %d and %d children while the ISAKMP SA is replaced", who, len(w.east.children), len(w.west.children))
			}
			w.pass(time.Minute)
		}
		for _, p := range []*peer{w.east, w.west} {
			infos := p.Infos()
			if len(infos) != 1 || infos[0].State != stateEstablished || infos[0].UID == before || len(infos[0].Children) != 1 || len(p.children) != 1 {
				t.Errorf("%s: %+v, %d children in the backend", who, infos, len(p.children))
			}
		}
		for spi := range w.east.children { // what a backend tells reaches the new owner
			w.east.Tell(w.now, childKey{"", spi}, machine.ChildExpired{SPIIn: spi, Cause: "bytes"})
		}
		w.pass(time.Minute)
		if n := w.east.told("child_sa.rekeyed"); n != 1 || len(w.east.children) != 1 {
			t.Errorf("%s: %d children were replaced, %d are there", who, n, len(w.east.children))
		}
		w.east.Command(w.now, Selector{All: true}, machine.Terminate{Reason: "test"})
		w.pass(2 * time.Minute)
		if n := len(w.east.children) + len(w.west.children); n != 0 {
			t.Errorf("%s: %d children are left", who, n)
		}
		rec.Close()
		for _, path := range journals(t, dir) {
			if steps, _, err := replay(t, path); err != nil {
				t.Errorf("%s: %s: after %d steps: %v", who, path, steps, err)
			}
		}
	}
}

// newUniquePeers1 are newPeers1 of another policy.
func newUniquePeers1(t testing.TB, rec *journal.Recorder, u policy.Unique) *peers {
	w := newPeers1(t, rec, 1, 1)
	for p, c := range map[*peer]*policy.Connection{w.east: connection("west", us, them), w.west: connection("east", them, us)} {
		c.Version, c.IKE, c.Unique = 1, policy.DefaultIKEv1(), u
		two, one := Protocols(&policy.Snapshot{Connections: []*policy.Connection{c}}, false)
		p.SetProtocol(two)
		p.SetIKEv1(one)
	}
	return w
}

// Children for an SA that is gone come back to where they were, and end with that.
func TestABequestToNobodyComesBack(t *testing.T) {
	t.Parallel()
	w := newPeers1(t, nil, 1, 1)
	w.connect(1)
	e := w.east.Infos()[0]
	w.east.Command(w.now, Selector{All: true}, machine.Replaced{By: event.UID{1}, Cause: machine.ReplaceReauth})
	w.settle()
	if got := w.east.Infos(); len(got) != 1 || got[0].UID != e.UID || len(got[0].Children) != 1 {
		t.Fatalf("%+v", got)
	}
	w.pass(2 * time.Minute)
	if n := len(w.east.children) + len(w.west.children); n != 0 {
		t.Errorf("%d children are left", n)
	}
}
