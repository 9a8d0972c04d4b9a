package control_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

func TestRekeyWaitsForWhatTakesThePlace(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		req   *controlv1.RekeyRequest
		prev  event.UID
		asked string
		event event.Event
	}{
		{&controlv1.RekeyRequest{Connection: "west"}, uid1, uid1.String() + " ", event.IKERekeyed{Prev: uid1}},
		{&controlv1.RekeyRequest{Sa: uid1.String()}, uid1, uid1.String() + " ", event.IKERekeyed{Prev: uid1}},
		{&controlv1.RekeyRequest{Connection: "west"}, uid1, uid1.String() + " ", event.IKEReauthenticated{Old: uid1}}, // IKEv1
		{&controlv1.RekeyRequest{Connection: "west", Child: "lan"}, lan().UID, uid1.String() + " lan",
			event.ChildRekeyed{Child: event.ChildSA{UID: event.UID{77}, Name: "lan"}, Prev: lan().UID}},
	} {
		w := newWorld(t, nil)
		w.engine.sas = []machine.Info{established()}
		w.engine.script = []event.Event{event.IKERekeyed{Prev: event.UID{1, 2, 3}}, tt.event}
		out, err := w.Rekey(context.Background(), tt.req)
		if err != nil || len(out.Pending) != 0 || len(out.Rekeyed) != 1 || out.Rekeyed[0].Prev != tt.prev.String() ||
			out.Rekeyed[0].Uid != (event.UID{77}).String() || !slices.Equal(w.engine.rekeyed, []string{tt.asked}) {
			t.Errorf("%v: got %v, %v; asked %v", tt.req, out, err, w.engine.rekeyed)
		}
	}
}

func TestRekeyReportsWhatIsNotReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.engine.sas = []machine.Info{established()}
	out, err := w.Rekey(context.Background(), &controlv1.RekeyRequest{Connection: "west", TimeoutMs: 50})
	if err != nil || !slices.Equal(out.Pending, []string{uid1.String()}) || len(out.Rekeyed) != 0 {
		t.Errorf("got %v, %v", out, err)
	}
}

func TestRekeySeesWhatThePeerReplacesWhileTheSAsAreListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.engine.sas = []machine.Info{established()}
	w.engine.listing = func() {
		publish(w.engine.bus, []story{{event.UID{77}, "west", []event.Event{event.IKERekeyed{Prev: uid1}}}})
	}
	out, err := w.Rekey(context.Background(), &controlv1.RekeyRequest{Connection: "west"})
	if err != nil || len(out.Pending) != 0 || len(out.Rekeyed) != 1 {
		t.Errorf("got %v, %v", out, err)
	}
}

func TestRekeyDoesNotWaitForWhatHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.engine.sas = []machine.Info{established()}
	w.engine.script = []event.Event{event.ChildDeleted{Child: lan(), By: "peer"}}
	begin := time.Now()
	out, err := w.Rekey(context.Background(), &controlv1.RekeyRequest{Connection: "west", Child: "lan"})
	if err != nil || !slices.Equal(out.Pending, []string{lan().UID.String()}) || time.Since(begin) > 5*time.Second {
		t.Errorf("got %v, %v after %v", out, err, time.Since(begin))
	}
}

// The old SA may tell of its end before the new one tells that it took its place: they live in two shards.
func TestRekeyWaitsThoughTheOldSAHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.engine.sas = []machine.Info{established()}
	w.engine.script = []event.Event{event.ChildDeleted{Child: lan(), By: "rekey"}, event.ChildRekeyed{Child: event.ChildSA{UID: event.UID{77}}, Prev: lan().UID}}
	out, err := w.Rekey(context.Background(), &controlv1.RekeyRequest{Connection: "west", Child: "lan"})
	if err != nil || len(out.Pending) != 0 || len(out.Rekeyed) != 1 {
		t.Errorf("got %v, %v", out, err)
	}
}

func TestRekeyRefusesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for want, all := range map[codes.Code][]*controlv1.RekeyRequest{
		codes.InvalidArgument:    {{}, {Connection: "west", Sa: "01"}, {Sa: "01", Child: "lan"}},
		codes.NotFound:           {{Connection: "wst"}, {Connection: "west", Child: "wan"}, {Sa: "ffff"}},
		codes.FailedPrecondition: {{Connection: "west"}, {Connection: "west", Child: "lan"}},
	} {
		for _, req := range all {
			if _, err := w.Rekey(context.Background(), req); status.Code(err) != want {
				t.Errorf("%v: %v, want %v", req, err, want)
			}
		}
	}
}
