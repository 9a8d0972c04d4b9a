package engine

import (
	"net/netip"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/sdk/secret"
)

// Effects that differ in whatever place have different digests, equal ones the same.
func TestADigestTellsEffectsApart(t *testing.T) {
	t.Parallel()
	child := func(change func(*machine.ChildSA)) machine.Effect {
		c := machine.ChildSA{Name: "lan", SPIIn: 1, Local: us.Addr(), EncrIn: secret.Bytes{1, 2}, LocalTS: []machine.Selector{{Protocol: 6}}}
		change(&c)
		return machine.Call{Ticket: 1, Op: machine.InstallChild{Child: c}, By: epoch}
	}
	told := func(e event.Event) machine.Effect { return machine.Emit{Event: e} }
	cases := [][]machine.Effect{
		nil,
		{machine.Cancel{Ticket: 1}},
		{machine.Cancel{Ticket: 2}},
		{machine.Cancel{Ticket: 1}, machine.Cancel{Ticket: 2}},
		{machine.Cancel{Ticket: 2}, machine.Cancel{Ticket: 1}},
		{machine.Send{Local: us, Remote: them, Bytes: []byte("one")}},
		{machine.Send{Local: us, Remote: them, Bytes: []byte("oNe")}},
		{machine.Send{Local: us, Remote: us, Bytes: []byte("one")}},
		{machine.Send{Local: us, Remote: netip.AddrPortFrom(them.Addr(), 1), Bytes: []byte("one")}},
		{machine.Call{Ticket: 1, Op: machine.KEInitiate{Method: 1}, By: epoch}},
		{machine.Call{Ticket: 1, Op: machine.KERespond{Method: 1}, By: epoch}},
		{machine.Call{Ticket: 1, Op: machine.KEInitiate{Method: 1}, By: epoch.Add(time.Nanosecond)}},
		{child(func(*machine.ChildSA) {})},
		{child(func(c *machine.ChildSA) { c.Held = true })},
		{child(func(c *machine.ChildSA) { c.EncrIn = secret.Bytes{1, 3} })},
		{child(func(c *machine.ChildSA) { c.UID[15] = 1 })},
		{child(func(c *machine.ChildSA) { c.LocalTS[0].Protocol = 17 })},
		{child(func(c *machine.ChildSA) { c.LocalTS[0].Start = us.Addr() })},
		{child(func(c *machine.ChildSA) { c.Remote = netip.IPv4Unspecified() })},
		{told(event.IKEDeleted{By: "us"})},
		{told(event.IKEDeleted{Reason: "us"})},
		{told(event.ChildDeleted{By: "us"})},
		{told(event.AddressAssigned{Subnets: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")}})},
		{told(event.AddressAssigned{Subnets: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/24")}})},
		{machine.Done{Reason: "us"}},
		{machine.Spawn{Owner: 1}},
		{machine.Spawn{Owner: 2}},
	}
	for i, a := range cases {
		for j, b := range cases {
			if (Digest(a) == Digest(b)) != (i == j) {
				t.Errorf("digests of %d and %d: %x and %x", i, j, Digest(a), Digest(b))
			}
		}
	}
}
