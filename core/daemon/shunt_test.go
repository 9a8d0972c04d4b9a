package daemon

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/control"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// What was to bypass protection and does not is told by the status, as long as it is so.
func TestPoliciesThatAreNotInForceAreInTheStatus(t *testing.T) {
	path, err := firstParty()
	if err != nil {
		t.Fatal(err)
	}
	n := prepared(t, 12090, plugin(t, "sa", path, `args = ["sa:memory"]`)+
		"bypass \"ssh\" {\n local_ts = [\"0.0.0.0/0[tcp/22]\"]\n remote_ts = [\"0.0.0.0/0\"]\n}\n")
	n.start(t)
	n.awaitReady(t)
	c, err := control.Dial(filepath.Join(n.RuntimeDir, "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.Status(t.Context(), &controlv1.StatusRequest{})
	if err != nil || len(s.Backend.Unset) != 1 || !strings.HasPrefix(s.Backend.Unset[0], "bypass/ssh: no SA backend here") {
		t.Errorf("%+v, %v", s.GetBackend(), err)
	}
	n.stop(t, stopBudget)
}

func TestAFailureOfPoliciesIsToldOncePerReasonAndForgottenWhenMended(t *testing.T) {
	t.Parallel()
	var all traps
	e := event.PoliciesNotSet{Backend: "xfrm", Policies: []string{"bypass/ssh"}, Reason: "in the way"}
	if !all.fail(e) || all.fail(e) {
		t.Error("it should be told once")
	}
	if got := all.problems(); !slices.Equal(got, []string{"bypass/ssh: in the way"}) {
		t.Errorf("%q", got)
	}
	if e.Reason = "no privilege"; !all.fail(e) {
		t.Error("another reason is not told")
	}
	if all.mend("xfrm"); all.problems() != nil || !all.fail(e) {
		t.Error("it was not mended")
	}
}
