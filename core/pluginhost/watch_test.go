package pluginhost

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	sav1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/sa/v1"
)

func TestWhatABackendTellsArrivesInOrder(t *testing.T) {
	t.Parallel()
	for _, grpcOnly := range []bool{false, true} {
		t.Run(fmt.Sprintf("gRPC=%v", grpcOnly), func(t *testing.T) {
			t.Parallel()
			told := make(chan any, 8)
			cfg := quick
			cfg.GRPCOnly = grpcOnly
			cfg.Told = func(backend string, in machine.Input) { told <- [2]any{backend, in} }
			cfg.Acquired = func(backend string, a Acquire) { told <- [2]any{backend, a} }
			w := started(t, cfg, fixture(t, "all", []string{"ke", "auth", "cred", "sa"}, "all"))
			from := netip.MustParseAddrPort("192.0.2.9:4501")
			c := machine.ChildSA{UID: event.UID{1}, Backend: "memory", Conn: "west", Name: "tell", SPIIn: 300, SPIOut: 400, Remote: from.Addr(), RemotePort: from.Port()}
			if err := w.Install(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if err := w.SetTraps(t.Context(), "memory", []Trap{{Conn: "west", Child: "lan"}}); err != nil {
				t.Fatal(err)
			}
			for _, want := range []any{
				machine.ChildExpired{SPIIn: 300, Hard: true, Cause: "bytes"}, machine.ChildMoved{SPIIn: 300, Remote: from}, machine.ChildLost{SPIIn: 300}, machine.ChildPlaced{SPIIn: 300, Where: "software", Reason: "full"},
				Acquire{Conn: "west", Child: "tell", Protocol: 17, Source: from}, Acquire{Conn: "west", Child: "lan"},
			} {
				select {
				case got := <-told:
					if got != [2]any{"memory", want} {
						t.Errorf("told %+v, want %+v", got, want)
					}
				case <-time.After(10 * time.Second):
					t.Fatalf("%+v did not arrive", want)
				}
			}
			if err := w.SetTraps(t.Context(), "nowhere", nil); err == nil {
				t.Error("a backend that is not there got traps")
			}
		})
	}
}

func TestEventsThatMakeNoSenseAreDropped(t *testing.T) {
	t.Parallel()
	cfg := quick
	cfg.Told = func(_ string, in machine.Input) { t.Errorf("told %+v", in) }
	cfg.Acquired = func(_ string, a Acquire) { t.Errorf("acquired %+v", a) }
	w := started(t, cfg, fixture(t, "all", []string{"ke", "auth", "cred", "sa"}, "all"))
	theirs := w.supervisors[0].session.Load()
	lost := &sav1.Event{What: &sav1.Event_Lost{Lost: &sav1.Lost{SpiIn: 300}}}
	for name, c := range map[string]struct {
		from    *session
		service string
		m       *sav1.Event
	}{
		"from another plugin":  {&session{name: "other"}, "memory", lost},
		"of another backend":   {theirs, "xfrm", lost},
		"of no backend":        {theirs, "echo", lost},
		"empty":                {theirs, "memory", &sav1.Event{}},
		"moved nowhere":        {theirs, "memory", &sav1.Event{What: &sav1.Event_Moved{Moved: &sav1.Moved{SpiIn: 300}}}},
		"moved to a bad port":  {theirs, "memory", &sav1.Event{What: &sav1.Event_Moved{Moved: &sav1.Moved{Remote: make([]byte, 4), RemotePort: 1 << 16}}}},
		"an address of 5":      {theirs, "memory", &sav1.Event{What: &sav1.Event_Acquired{Acquired: &sav1.Acquired{Source: make([]byte, 5)}}}},
		"an impossible packet": {theirs, "memory", &sav1.Event{What: &sav1.Event_Acquired{Acquired: &sav1.Acquired{Protocol: 256}}}},
	} {
		body, err := proto.Marshal(c.m)
		if err != nil {
			t.Fatal(err)
		}
		before := w.logs.FilterMessage("an event of a plugin was dropped").Len()
		w.asked(c.from, &basev1.Frame{Op: uint32(basev1.Op_OP_SA_EVENT), Service: c.service, Body: body})
		if w.logs.FilterMessage("an event of a plugin was dropped").Len() != before+1 {
			t.Errorf("%s: no word in the log", name)
		}
	}
	w.asked(theirs, &basev1.Frame{Op: uint32(basev1.Op_OP_SA_EVENT), Service: "memory", Body: []byte{0xff}})
	if err := w.Install(context.Background(), child(1)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
