package engine

import (
	"runtime"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
)

// rekeyAll replaces everything once: the children from one side, the IKE SAs from the other.
func (w *peers) rekeyAll() {
	w.east.Command(w.now, Selector{All: true}, machine.Rekey{Child: "lan"})
	w.settle()
	w.pass(10 * time.Second)
	w.west.Command(w.now, Selector{All: true}, machine.Rekey{})
	w.settle()
	w.pass(time.Minute)
}

// An SA that grew out of another is driven, counted, found by its children, terminated and forgotten like any other, and its events
// are numbered from 1.
func TestRekeyedSAsAreSAs(t *testing.T) {
	t.Parallel()
	w := newPeers(t, nil, Limits{})
	const tunnels, rounds = 3, 4
	w.connect(tunnels)
	for range rounds {
		w.rekeyAll()
	}
	for name, p := range map[string]*peer{"east": w.east, "west": w.west} {
		if got := p.counters.Established.Load(); got != tunnels || p.Len() != tunnels || len(p.children) != tunnels || len(p.Shard.children) != tunnels {
			t.Errorf("%s: %d of %d SAs established, %d children in the backend, %d known", name, got, p.Len(), len(p.children), len(p.Shard.children))
		}
		if half := p.counters.HalfOpen.Load(); half != 0 {
			t.Errorf("%s: %d half-open", name, half)
		}
		checkRekeyEvents(t, name, p, tunnels*rounds)
	}
	if installed := w.west.Installed(); len(installed) != tunnels {
		t.Errorf("%d children are listed", len(installed))
	}
	w.east.Command(w.now, Selector{All: true}, machine.Terminate{Reason: "test"})
	w.settle()
	w.pass(2 * time.Minute)
	if left := w.east.Len() + w.west.Len() + len(w.east.children) + len(w.west.children) + len(w.east.c.Roster.members); left != 0 {
		t.Errorf("%d SAs, children and members of the roster are left", left)
	}
}

func checkRekeyEvents(t *testing.T, name string, p *peer, want int) {
	t.Helper()
	numbers, rekeyed, children := map[event.UID]uint64{}, 0, 0
	for _, r := range p.records {
		if numbers[r.Subject.IKE]++; r.SASequence != numbers[r.Subject.IKE] {
			t.Fatalf("%s: %s of %v has number %d, want %d", name, r.Event.Kind().Name, r.Subject.IKE, r.SASequence, numbers[r.Subject.IKE])
		}
		switch r.Event.(type) {
		case event.IKERekeyed:
			rekeyed++
		case event.ChildRekeyed:
			children++
		}
	}
	if rekeyed != want || children != want {
		t.Errorf("%s tells of %d rekeyed IKE SAs and %d children, want %d", name, rekeyed, children, want)
	}
}

// A journal holds an SA and those that grew out of it, and replays all of them.
func TestARekeyedSAReplays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rec, err := journal.NewRecorder(dir, func(path string, err error) { t.Errorf("%s: %v", path, err) })
	if err != nil {
		t.Fatal(err)
	}
	w := newPeers(t, rec, Limits{})
	w.connect(2)
	w.rekeyAll()
	w.rekeyAll()
	w.east.Command(w.now, Selector{All: true}, machine.Terminate{Reason: "test"})
	w.settle()
	w.pass(2 * time.Minute)
	rec.Close()
	paths := journals(t, dir)
	if len(paths) != 4 {
		t.Fatalf("%d journals", len(paths))
	}
	for _, path := range paths {
		j, err := journal.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		owners := map[machine.Owner]bool{}
		for step, err := range Replay(j, RebuildIKEv2) {
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			owners[step.Owner] = true
		}
		if len(owners) != 3 {
			t.Errorf("%s has %d SAs, not one and the two that replaced it", path, len(owners))
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The journal of SAs in two shards has their steps and digests in any order.
func TestStepsOfTwoShardsInOneJournalAreToldApart(t *testing.T) {
	t.Parallel()
	p := player{digests: map[machine.Owner]uint64{1: 11, 2: 22}}
	for owner, digest := range map[machine.Owner]uint64{1: 11, 2: 22} {
		if _, err := p.play(journal.Entry{Check: true, Owner: owner, Digest: digest}); err != nil {
			t.Errorf("owner %d: %v", owner, err)
		}
	}
	if _, err := p.play(journal.Entry{Check: true, Owner: 1, Digest: 22}); err == nil {
		t.Error("the digest of another SA passes")
	}
}

// A list of children is never one from which a child is missing that was just moving.
func TestChildrenThatMoveAreNotMissed(t *testing.T) {
	t.Parallel()
	e, _, _ := start(t, nil)
	if all, err := e.Installed(t.Context()); err != nil || len(all) != 0 {
		t.Fatalf("at rest: %v, %v", all, err)
	}
	e.counters.spawned.Add(1) // it is on its way to another shard
	if _, err := e.Installed(t.Context()); err != ErrMoving {
		t.Errorf("while one is on its way: %v", err)
	}
	e.counters.adopted.Add(1)
	if _, err := e.Installed(t.Context()); err != nil {
		t.Errorf("when it has arrived: %v", err)
	}
}

// An SA that comes to a shard of a stopping engine has missed the command to end.
func TestASpawnedSAThatComesWhenTheEngineStopsEnds(t *testing.T) {
	t.Parallel()
	w := newPeers(t, nil, Limits{})
	w.connect(1)
	w.west.Refuse()
	w.east.Command(w.now, Selector{All: true}, machine.Rekey{})
	w.settle()
	w.pass(2 * time.Minute)
	if w.west.live() != 0 || w.east.live() != 0 || len(w.west.children) != 0 {
		t.Errorf("%d and %d SAs live, %d children", w.west.live(), w.east.live(), len(w.west.children))
	}
}

// BenchmarkMemoryAfterRekeys reports what an SA with one child holds after a hundred rekeyings of each.
func BenchmarkMemoryAfterRekeys(b *testing.B) {
	const n, rounds = 200, 100
	for b.Loop() {
		before := heap()
		w := newPeers(b, nil, Limits{CookieThreshold: 1e6, SourceCookieThreshold: 1e6, SourceRate: 1e6})
		w.connect(n)
		for range rounds {
			w.rekeyAll()
			w.east.records, w.west.records = nil, nil
		}
		w.east.out, w.west.out, w.east.calls, w.west.calls = nil, nil, nil, nil
		b.ReportMetric(float64(heap()-before)/(2*n), "B/SA")
		runtime.KeepAlive(w)
	}
}

// BenchmarkRekey is both sides of a rekeying, with plugins that cost nothing.
func BenchmarkRekey(b *testing.B) {
	for name, in := range map[string]machine.Rekey{"child": {Child: "lan"}, "ike": {}} {
		b.Run(name, func(b *testing.B) {
			w := newPeers(b, nil, Limits{})
			w.connect(1)
			b.ReportAllocs()
			for b.Loop() {
				w.east.Command(w.now, Selector{All: true}, in)
				w.settle()
				w.now = w.now.Add(time.Minute)
				w.settle()
				w.east.records, w.west.records = nil, nil
			}
			if w.east.counters.Established.Load() != 1 {
				b.Fatal(w.east.story())
			}
		})
	}
}
