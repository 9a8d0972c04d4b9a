package pluginhost

import (
	"context"
	"strings"
	"testing"

	"github.com/parley-ike/parley/core/machine"
)

// words is a configuration of the fixture "wordy".
func words(json string) map[string][]ServiceConfig {
	return map[string][]ServiceConfig{"wordy": {{Kind: "cred", Name: "store", JSON: []byte(json)}}}
}

// key returns the key that the fixture signs with.
func (w *world) key() string {
	w.t.Helper()
	var r machine.Reply
	w.await("an answer", func() bool { // the plugin may have its process and not yet its session
		r = w.call(machine.Sign{Auth: "psk", Remote: machine.Identity{Data: []byte("west")}})
		return r.Err == nil || !r.Err.Kind.Retryable()
	})
	signed, ok := r.Result.(machine.Signed)
	if !ok {
		w.t.Fatalf("got %+v", r)
	}
	return string(signed.Data)
}

func TestARunningPluginTakesAnotherConfigurationAndKeepsItOverARestart(t *testing.T) {
	t.Parallel()
	w := started(t, quick, fixture(t, "wordy", []string{"auth", "cred"}, "wordy"))
	before, old := w.Status()[0], w.key()
	if err := w.Reconfigure(context.Background(), words(`"better"`)); err != nil {
		t.Fatal(err)
	}
	if now := w.Status()[0]; now.PID != before.PID || now.Restarts != 0 || w.key() != `"better"` || old != "{}" {
		t.Errorf("%+v signs with %s, before with %s", now, w.key(), old)
	}
	w.kill(0)
	w.await("the restart", func() bool { s := w.Status()[0]; return s.State == Running && s.PID != before.PID })
	if got := w.key(); got != `"better"` {
		t.Errorf("after its restart it signs with %s", got)
	}
}

func TestARefusedConfigurationChangesNothing(t *testing.T) {
	t.Parallel()
	w := started(t, quick, fixture(t, "wordy", []string{"auth", "cred"}, "wordy"))
	err := w.Reconfigure(context.Background(), words(`"bad"`))
	if err == nil || !strings.Contains(err.Error(), `plugin "wordy" refuses its configuration: cred "store": bad is no word`) {
		t.Fatalf("got %v", err)
	}
	if services := w.supervisors[0].current().Services; services != nil || w.key() != "{}" {
		t.Errorf("it signs with %s, and the next start gets %v", w.key(), services)
	}
	if err := w.Reconfigure(context.Background(), map[string][]ServiceConfig{"nobody": {{}}}); err != nil {
		t.Errorf("a plugin that is not there: %v", err)
	}
}

func TestAPluginThatIsDownCannotJudge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick, fixture(t, "wordy", []string{"auth", "cred"}, "wordy"))
	err := w.Reconfigure(context.Background(), words(`"better"`))
	if err == nil || !strings.Contains(err.Error(), `plugin "wordy" is down`) {
		t.Fatalf("got %v", err)
	}
}
