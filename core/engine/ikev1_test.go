package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// newPeers1 are two shards whose connection has another version of IKE.
func newPeers1(t testing.TB, rec *journal.Recorder, east, west uint8) *peers {
	w := newPeers(t, rec, Limits{})
	for p, version := range map[*peer]uint8{w.east: east, w.west: west} {
		c := connection("west", us, them)
		if p == w.west {
			c = connection("east", them, us)
		}
		c.Version, c.IKE = version, nil
		if version == 1 {
			c.IKE = policy.DefaultIKEv1()
		}
		c.ApplyDefaults()
		two, one := Protocols(&policy.Snapshot{Connections: []*policy.Connection{c}}, false)
		p.SetProtocol(two)
		p.SetIKEv1(one)
	}
	return w
}

// Main mode and quick mode (RFC 2409 sections 5.4 and 5.5) through the engine, and a journal that replays.
func TestTwoShardsBringUpATunnelByIKEv1AndReplayIt(t *testing.T) {
	t.Parallel()
	for name, versions := range map[string][2]uint8{"both": {1, 1}, "any answers": {1, policy.AnyVersion}} {
		dir := t.TempDir()
		rec, err := journal.NewRecorder(dir, func(path string, err error) { t.Errorf("%s: %v", path, err) })
		if err != nil {
			t.Fatal(err)
		}
		w := newPeers1(t, rec, versions[0], versions[1])
		w.connect(2)
		for _, info := range append(w.east.Infos(), w.west.Infos()...) {
			if info.IKE.Version != 1 || info.State != stateEstablished {
				t.Errorf("%s: %+v", name, info)
			}
		}
		w.pass(time.Minute)
		w.east.Command(w.now, Selector{Conn: "west"}, machine.Terminate{Reason: "test"})
		w.pass(2 * time.Minute)
		if w.east.Len()+w.west.Len()+len(w.east.children)+len(w.west.children) != 0 {
			t.Errorf("%s: %d and %d SAs, %d and %d children are left", name, w.east.Len(), w.west.Len(), len(w.east.children), len(w.west.children))
		}
		rec.Close()
		for _, path := range journals(t, dir) {
			if steps, lines, err := replay(t, path); err != nil || !strings.Contains(strings.Join(lines, "\n"), "emit ike_sa.established") {
				t.Errorf("%s: %s: after %d steps: %v", name, path, steps, err)
			}
		}
	}
}

// "any" begins IKEv2.
func TestAnyVersionBeginsIKEv2(t *testing.T) {
	t.Parallel()
	w := newPeers1(t, nil, policy.AnyVersion, policy.AnyVersion)
	w.connect(1)
	if v := w.west.Infos()[0].IKE.Version; v != 2 {
		t.Errorf("it is IKEv%d", v)
	}
}

// A connection of one version does not answer the other.
func TestAConnectionOfOneVersionDoesNotAnswerTheOther(t *testing.T) {
	t.Parallel()
	for _, versions := range [][2]uint8{{1, 2}, {2, 1}} {
		w := newPeers1(t, nil, versions[0], versions[1])
		if _, err := w.east.Initiate(w.now, "west", []string{"lan"}, us, them); err != nil {
			t.Fatal(err)
		}
		w.settle()
		if n := w.east.counters.Established.Load() + w.west.counters.Established.Load(); n != 0 {
			t.Errorf("IKEv%d meets IKEv%d: %d established", versions[0], versions[1], n)
		}
	}
}

// RFC3947-4-7: who answered the main mode begins the next one on the ports of today, because it chose none.
func TestAResponderOfIKEv1ReplacesItsSAOnThePortsOfTheOldOne(t *testing.T) {
	t.Parallel()
	w := newPeers1(t, nil, 1, 1)
	w.connect(1)
	old := w.west.Infos()[0].UID
	w.west.Command(w.now, Selector{Conn: "east"}, machine.Rekey{})
	w.pass(time.Minute)
	infos := w.west.Infos()
	if len(infos) != 1 || infos[0].UID == old || infos[0].IKE.Local.Port() != us.Port() || infos[0].State != stateEstablished {
		t.Errorf("%+v", infos)
	}
}
