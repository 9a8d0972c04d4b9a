package daemon

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/pluginhost"
	"github.com/parley-ike/parley/core/policy"
)

func trapped() []*policy.Child { return []*policy.Child{{Name: "lan", Start: policy.StartTrap}} }

var traffic = order{conn: "west", children: []string{"lan"}, traffic: true}

func TestTrafficBringsItsChildUpOnceAtATime(t *testing.T) {
	t.Parallel()
	a := keeping(t, trapped(), func(a *attempts) {
		wait(time.Minute) // without traffic nothing happens
		for range 3 {
			a.keeper.order(traffic)
			wait(time.Second)
		}
		a.comesUp(1, "lan")
		a.keeper.order(traffic)
		wait(time.Hour)
		a.goes(1, "lan", "peer")
		wait(time.Hour) // its end alone brings nothing back
		a.keeper.order(traffic)
		wait(time.Minute)
	})
	a.want(t, time.Minute, time.Minute+3*time.Second+2*time.Hour)
	if want := []string{"lan", "lan"}; !slices.Equal(a.asked, want) {
		t.Errorf("asked for %v, want %v", a.asked, want)
	}
}

func TestTrafficWaitsLongerAfterEachFailure(t *testing.T) {
	t.Parallel()
	a := keeping(t, trapped(), func(a *attempts) {
		for told := byte(0); len(a.at) < 5; { // there is traffic all the time, and no attempt gets anywhere
			a.keeper.order(traffic)
			wait(time.Second)
			if a.uid != told {
				told = a.uid
				a.tell(told, event.IKEInitiated{IKE: event.IKESA{Role: "initiator"}}, event.IKEFailed{Cause: event.CauseTimeout})
			}
		}
	})
	for i := 2; i < len(a.at); i++ {
		if a.at[i]-a.at[i-1] < a.at[i-1]-a.at[i-2] {
			t.Errorf("tried at %v: the pauses do not grow", a.at)
		}
	}
	if a.at[4]-a.at[3] < 2*(a.at[2]-a.at[1]) {
		t.Errorf("tried at %v: the pauses do not grow", a.at)
	}
}

func TestTrafficDoesNotUndoAnOperatorsDown(t *testing.T) {
	t.Parallel()
	a := keeping(t, append(trapped(), &policy.Child{Name: "dmz"}), func(a *attempts) {
		a.keeper.order(order{conn: "west", down: true})
		a.keeper.order(traffic)
		wait(time.Minute)
		a.keeper.order(order{conn: "west"})
		a.keeper.order(order{conn: "west", children: []string{"dmz"}, traffic: true}) // it has no trap
		a.keeper.order(order{conn: "nowhere", children: []string{"lan"}, traffic: true})
		wait(time.Minute)
		a.keeper.order(traffic)
		wait(time.Minute)
	})
	a.want(t, 2*time.Minute)
}

func TestTrapsAreForTheChildrenOfTheirBackend(t *testing.T) {
	t.Parallel()
	local, remote := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	c := &policy.Connection{Name: "west", Local: policy.Endpoint{Addr: local}, Remote: policy.Endpoint{Addr: remote}, Children: []*policy.Child{
		{Name: "default", Start: policy.StartTrap, LocalAssigned: true}, {Name: "kernel", Start: policy.StartTrap, Backend: "xfrm"},
		{Name: "other", Start: policy.StartTrap, Backend: "userspace"}, {Name: "up", Start: policy.StartUp}, {Name: "none"},
	}}
	c.ApplyDefaults()
	got := trapsOf(fitted(&policy.Snapshot{Connections: []*policy.Connection{c}}, "xfrm", nil), "xfrm")
	if len(got) != 2 || !slices.ContainsFunc(got[0].LocalTS, func(s machine.Selector) bool { return s.Start == netip.IPv4Unspecified() }) || got[0].Child != "default" || got[1].Child != "kernel" || got[0].Local != local || got[0].Remote != remote ||
		len(got[1].LocalTS) != 1 || got[0].RemoteTS[0].Start != remote {
		t.Errorf("%+v", got)
	}
	var known traps
	known.note("xfrm", got)
	if !known.has("west", "kernel") || known.has("west", "other") || known.has("east", "kernel") {
		t.Error("a child waits that has no trap, or the other way round")
	}
	known.note("xfrm", nil)
	if known.has("west", "kernel") {
		t.Error("a trap that is gone is still told of")
	}
}

func TestAPacketIsDescribed(t *testing.T) {
	t.Parallel()
	a, b := netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("fd02::1")
	for want, p := range map[string]pluginhost.Acquire{
		"UDP from 10.1.0.1:53 to [fd02::1]:7":         {Protocol: 17, Source: netip.AddrPortFrom(a, 53), Destination: netip.AddrPortFrom(b, 7)},
		"ICMP from 10.1.0.1 to fd02::1":               {Protocol: 1, Source: netip.AddrPortFrom(a, 2048), Destination: netip.AddrPortFrom(b, 2048)}, // an echo request
		"protocol 47 from 10.1.0.1 to fd02::1":        {Protocol: 47, Source: netip.AddrPortFrom(a, 0), Destination: netip.AddrPortFrom(b, 0)},
		"a packet that the backend does not describe": {},
	} {
		if got := packet(p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
