package xfrm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/sa/internal/guestlab"
	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

// The simulated card (netdevsim) has 33 places, takes AES-GCM with 128 bits only, and shows its table in debugfs.
const (
	cardSize  = 33
	cardTable = "/sys/kernel/debug/netdevsim/netdevsim%d/ports/0/ipsec"
)

// card is an end with a simulated card and the offload backend.
type card struct {
	*end
	number int
	name   string // of the device
}

func newCard(t *testing.T, number int) *card {
	t.Helper()
	_ = unix.Mount("debug", "/sys/kernel/debug", "debugfs", 0, "")
	c := &card{end: newLab(t)[0], number: number}
	before := map[string]bool{}
	c.Do(func() error {
		for _, l := range c.devices() {
			before[l.Attrs().Name] = true
		}
		return os.WriteFile("/sys/bus/netdevsim/new_device", fmt.Appendf(nil, "%d 1", number), 0)
	})
	t.Cleanup(func() { _ = os.WriteFile("/sys/bus/netdevsim/del_device", fmt.Append(nil, number), 0) })
	c.Do(func() error {
		for _, l := range c.devices() {
			if !before[l.Attrs().Name] {
				c.name = l.Attrs().Name
				return errors.Join(netlink.LinkSetUp(l), addAddress(c.name, "172.16.0.1/24"))
			}
		}
		return errors.New("the simulated card has not come; the kernel needs CONFIG_NETDEVSIM")
	})
	c.open()
	return c
}

func (c *card) devices() []netlink.Link {
	all, err := netlink.LinkList()
	if err != nil {
		c.T.Fatal(err)
	}
	return all
}

// open opens the offload backend.
func (c *card) open() {
	c.Do(func() (err error) {
		c.Plugin, err = NewOffload(Config{StateDir: c.Dir}, Sockets{})
		return err
	})
	p := c.Plugin
	ctx, stop := context.WithCancel(context.Background())
	c.T.Cleanup(func() { stop(); p.Close() })
	c.Told = make(chan sa.Event, 256)
	go func() { _ = p.Watch(ctx, func(event sa.Event) { c.Told <- event }) }()
}

// table is what the card itself shows.
func (c *card) table() string {
	c.T.Helper()
	b, err := os.ReadFile(fmt.Sprintf(cardTable, c.number))
	if err != nil {
		c.T.Fatal(err)
	}
	return string(b)
}

func (c *card) wantTable(what string, texts ...string) {
	c.T.Helper()
	have := c.table()
	for _, text := range texts {
		if !strings.Contains(have, text) {
			c.T.Errorf("%s: the card's table lacks %q:\n%s", what, text, have)
		}
	}
}

// child is one whose ESP leaves by the card.
func (c *card) child(id byte, h sa.Handling) sa.Child {
	child := children(id, suite{20, 128, 0}, false, false, false)[0]
	child.Local, child.Remote = netip.MustParseAddr("172.16.0.1"), netip.MustParseAddr("172.16.0.2")
	child.LocalTS, child.RemoteTS = []sa.Selector{guestlab.Subnet("172.16.0.1/32")}, []sa.Selector{guestlab.Subnet(fmt.Sprintf("10.50.%d.0/24", id))}
	child.Handling, child.ReplayWindow = h, 32
	return child
}

// wantPlaced takes one event.
func (c *card) wantPlaced(spi uint32, where, reason string) {
	c.T.Helper()
	select {
	case e := <-c.Told:
		p, ok := e.(sa.Placed)
		if !ok || p.SPIIn != spi || p.Where != where || !strings.Contains(p.Reason, reason) || reason == "" && p.Reason != "" {
			c.T.Errorf("told %T%+v, want that %x is in %q because of %q", e, e, spi, where, reason)
		}
	case <-time.After(3 * time.Second):
		c.T.Error("nobody told where the child is")
	}
}

func (c *card) install(child sa.Child) {
	c.T.Helper()
	if err := c.Plugin.Install(context.Background(), child); err != nil {
		c.T.Fatal(err)
	}
}

func TestGuestTheCardIsFound(t *testing.T) {
	guestlab.Need(t)
	c := newCard(t, 1)
	can, err := c.Plugin.Probe(context.Background())
	if err != nil || !can.Usable || can.Name != "offload" || can.Offload != "packet" || !strings.Contains(can.Reason, "packet offload on "+c.name) {
		t.Errorf("%+v, %v", can, err)
	}
	if len(can.Devices) != 1 || can.Devices[0].Name != c.name || !can.Devices[0].Packet || !can.Devices[0].Crypto || len(can.Devices[0].Algorithms) != 1 || can.Devices[0].Algorithms[0].ID != 20 ||
		can.Devices[0].MaxReplayWindow < 32 {
		t.Errorf("the card is said to do %+v", can.Devices)
	}
	c.wantTable("after the probe", "SA count=0")
	c.nothingLeft(0, 0)
}

func TestGuestADeviceCarriesWhatItCan(t *testing.T) {
	guestlab.Need(t)
	for mode, want := range map[sa.Offload]string{sa.OffloadAuto: "packet", sa.OffloadPacket: "packet", sa.OffloadCrypto: "crypto"} {
		t.Run(modeName(mode)+" becomes "+want, func(t *testing.T) {
			c := newCard(t, 1)
			child := c.child(1, sa.Handling{Offload: mode})
			c.install(child)
			c.wantPlaced(child.SPIIn, want+" offload on "+c.name, "")
			policies := "policies=0"
			if want == "packet" {
				policies = "policies=2"
			}
			c.wantTable("installed", "SA count=2", fmt.Sprintf("spi=0x%08x", child.SPIIn), fmt.Sprintf("spi=0x%08x", child.SPIOut), " "+want+" ", policies)
			c.Do(func() error { // a neighbour, so that something leaves
				link, err := netlink.LinkByName(c.name)
				if err != nil {
					return err
				}
				mac, _ := net.ParseMAC("02:00:00:00:00:02")
				peer := &netlink.Neigh{LinkIndex: link.Attrs().Index, IP: child.Remote.AsSlice(), HardwareAddr: mac, State: netlink.NUD_PERMANENT}
				return errors.Join(netlink.NeighAdd(peer), netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: network("10.50.1.0/24"), Gw: child.Remote.AsSlice()}))
			})
			for range 3 {
				c.udp("172.16.0.1", "10.50.1.9", []byte("by the card"), func(int) error { return nil })
			}
			used := "tx=3"
			if want == "packet" {
				used = "packets=3" // by the device's own count
			}
			c.wantTable("used", used)
			if u, err := c.Plugin.Usage(context.Background(), child); err != nil || u.PacketsOut != 3 {
				t.Errorf("the device's counters: %+v, %v", u, err)
			}
			again := child
			again.Hard.Packets = 1 << 20 // changed in place
			if err := c.Plugin.Update(context.Background(), again); err != nil {
				t.Error(err)
			}
			c.wantTable("updated", "SA count=2")
			c.remove(again)
			c.wantTable("removed", "SA count=0")
		})
	}
}

// A soft and a hard limit that the device itself has counted.
func TestGuestTheDeviceCountsLifetimes(t *testing.T) {
	guestlab.Need(t)
	c := newCard(t, 1)
	child := c.child(1, sa.Handling{Offload: sa.OffloadPacket})
	child.Soft.Packets, child.Hard.Packets = 5, 10
	c.install(child)
	c.wantPlaced(child.SPIIn, "packet offload on "+c.name, "")
	place := strings.Index(c.table(), fmt.Sprintf("spi=0x%08x", child.SPIOut))
	index := c.table()[strings.LastIndex(c.table()[:place], "sa["):][3:4]
	for _, packets := range []int{6, 11} {
		if err := os.WriteFile(fmt.Sprintf(cardTable, c.number), fmt.Appendf(nil, "%s %d 1000", index, packets), 0); err != nil {
			t.Fatal(err)
		}
		for e := range c.Told {
			got, ok := e.(sa.Expired)
			if !ok { // the comparison at the beginning of the watch may see first that it has gone
				continue
			}
			if got.Cause != sa.Packets || got.SPIIn != child.SPIIn {
				t.Fatalf("told %+v", got)
			} else if got.Hard == (packets > 10) { // a soft one may come twice
				break
			}
		}
	}
	c.remove(child)
}

// The 34th SA finds the table full and goes on in software, and its child says so.
func TestGuestAFullCardLeavesTheRestToSoftware(t *testing.T) {
	guestlab.Need(t)
	c := newCard(t, 1)
	var all []sa.Child
	for id := range byte(18) {
		child := c.child(id+1, sa.Handling{Offload: sa.OffloadAuto})
		all = append(all, child)
		c.install(child)
		switch {
		case 2*id+2 <= cardSize:
			c.wantPlaced(child.SPIIn, "packet offload on "+c.name, "")
		case 2*id+1 <= cardSize: // the 33rd SA has a place, the 34th has none
			c.wantPlaced(child.SPIIn, "software outwards, packet offload on "+c.name+" inwards", c.name+" refused packet offload")
		default:
			c.wantPlaced(child.SPIIn, "software", "refused crypto offload")
		}
	}
	c.wantTable("full", fmt.Sprintf("SA count=%d", cardSize))
	required := c.child(30, sa.Handling{Offload: sa.OffloadAuto, OffloadRequired: true})
	err := c.Plugin.Install(context.Background(), required)
	if !errors.Is(err, sdk.ErrUnsupported) || !strings.Contains(err.Error(), "offload is required: "+c.name+" refused packet offload") {
		t.Errorf("a child that insists: %v", err)
	}
	for _, child := range all {
		if _, err := c.Plugin.Remove(context.Background(), child); err != nil {
			t.Fatal(err)
		}
	}
	c.wantTable("removed", "SA count=0")
	c.nothingLeft(0, 0)
}

func TestGuestWhatADeviceCannotDoIsSoftwareOrAnError(t *testing.T) {
	guestlab.Need(t)
	c := newCard(t, 1)
	for name, tt := range map[string]struct {
		change func(*sa.Child)
		reason string
	}{
		"a cipher":                     {func(x *sa.Child) { *x = c.cbc(*x) }, c.name + " refused crypto offload"},
		"a device that has no offload": {func(x *sa.Child) { x.Handling.OffloadDevice = "eth0" }, "eth0 refused crypto offload: its driver does not do it"},
		"no device":                    {func(x *sa.Child) { x.Handling.OffloadDevice = "eth9" }, "eth9"},
		"no way":                       {func(x *sa.Child) { x.Remote = netip.MustParseAddr("198.51.100.1") }, "198.51.100.1"},
	} {
		child := c.child(1, sa.Handling{Offload: sa.OffloadAuto})
		tt.change(&child)
		c.install(child)
		c.wantPlaced(child.SPIIn, "software", tt.reason)
		c.remove(child)
		child.Handling.OffloadRequired = true
		if err := c.Plugin.Install(context.Background(), child); err == nil || !strings.Contains(err.Error(), tt.reason) {
			t.Errorf("%s, required: %v", name, err)
		}
		c.nothingLeft(0, 0)
	}
}

func (c *card) cbc(like sa.Child) sa.Child {
	child := children(1, suite{12, 128, 12}, false, false, false)[0]
	child.Local, child.Remote, child.LocalTS, child.RemoteTS, child.Handling = like.Local, like.Remote, like.LocalTS, like.RemoteTS, like.Handling
	return child
}

// When a device goes down the kernel deletes its SAs; the child is told to be lost, so that it is made anew where that is possible.
func TestGuestADeviceThatGoesDownLosesItsChildren(t *testing.T) {
	guestlab.Need(t)
	c := newCard(t, 1)
	child := c.child(1, sa.Handling{Offload: sa.OffloadAuto})
	c.install(child)
	c.wantPlaced(child.SPIIn, "packet offload on "+c.name, "")
	c.Do(func() error {
		link, err := netlink.LinkByName(c.name)
		if err != nil {
			return err
		}
		return netlink.LinkSetDown(link)
	})
	c.WantEvents(sa.Lost{SPIIn: child.SPIIn})
	next := c.child(2, sa.Handling{Offload: sa.OffloadAuto, OffloadDevice: c.name})
	next.Local, next.Remote = netip.MustParseAddr(guestlab.Outer4[0]), netip.MustParseAddr(guestlab.Outer4[1]) // another way
	c.install(next)
	c.wantPlaced(next.SPIIn, "software", c.name+" is down")
	for _, x := range []sa.Child{child, next} {
		if _, err := c.Plugin.Remove(context.Background(), x); err != nil {
			t.Error(err)
		}
	}
	c.nothingLeft(0, 0)
}

func TestGuestPlainXFRMAndOffloadLeaveEachOtherAlone(t *testing.T) {
	guestlab.Need(t)
	c := newCard(t, 1)
	child := c.child(1, sa.Handling{Offload: sa.OffloadAuto})
	c.install(child)
	offload := c.Plugin
	c.Start() // plain XFRM in the same namespace, with a journal of its own in the same folder
	clash := c.child(2, sa.Handling{})
	clash.LocalTS, clash.RemoteTS = child.LocalTS, child.RemoteTS
	if err := c.Plugin.Install(context.Background(), clash); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("the policies of the offload backend: %v", err)
	}
	if s, err := c.Plugin.kernel.GetSA(&child, kernel.Inbound(&child)); s != nil || err != nil {
		t.Errorf("plain XFRM takes the SA for its own: %v", err)
	}
	child.Handling.Offload, child.UID = sa.OffloadAuto, sa.UID{7}
	if err := c.Plugin.Install(context.Background(), child); !errors.Is(err, sdk.ErrUnsupported) {
		t.Errorf("offload by plain XFRM: %v", err)
	}
	c.Plugin, child.UID = offload, sa.UID{1}
	c.remove(child)
}

// A device that takes SAs and refuses their policies leaves the child to crypto offload.
func TestGuestADeviceThatRefusesAPolicyIsNotAskedForMore(t *testing.T) {
	guestlab.Need(t)
	c := newCard(t, 1)
	c.Do(func() error { c.Plugin.kernel.cards.policies = 0xff; return nil }) // flags that no kernel knows
	child := c.child(1, sa.Handling{Offload: sa.OffloadAuto})
	c.install(child)
	c.wantPlaced(child.SPIIn, "crypto offload on "+c.name, c.name+" refused a policy of packet offload")
	c.wantTable("installed", "SA count=2", " crypto ", "policies=0")
	c.remove(child)
	child.Handling = sa.Handling{Offload: sa.OffloadPacket, OffloadRequired: true}
	if err := c.Plugin.Install(context.Background(), child); !errors.Is(err, sdk.ErrUnsupported) || !strings.Contains(err.Error(), "refused a policy") {
		t.Errorf("a child that insists: %v", err)
	}
	c.wantTable("removed", "SA count=0")
	c.nothingLeft(0, 0)
}

// A child that went on in software is asked to be replaced when its device has room for two SAs, and not before, and not too often.
func TestGuestAChildInSoftwareIsReplacedWhenTheDeviceHasRoom(t *testing.T) {
	guestlab.Need(t)
	c := newCard(t, 1)
	var all []sa.Child
	for id := range byte(cardSize/2 + 2) {
		child := c.child(id+1, sa.Handling{Offload: sa.OffloadCrypto})
		child.Name = fmt.Sprint("child", id)
		all = append(all, child)
		c.install(child)
		<-c.Told // where it is
	}
	last := all[len(all)-1]
	try := func(after time.Duration) {
		c.Plugin.Locked(func() { c.Plugin.retryOne(time.Now().Add(after)) })
	}
	try(time.Hour)
	c.WantEvents() // the table is full
	for _, x := range all[:2] {
		if _, err := c.Plugin.Remove(context.Background(), x); err != nil {
			t.Fatal(err)
		}
	}
	try(0)
	c.WantEvents()                                                                    // too early
	if _, err := c.Plugin.Remove(context.Background(), all[len(all)-2]); err != nil { // it waits too, and is no more
		t.Fatal(err)
	}
	try(time.Hour)
	try(time.Hour)
	c.WantEvents(sa.Expired{SPIIn: last.SPIIn, Cause: sa.DeviceHasRoom})
	next := c.child(40, last.Handling)
	next.Name, next.LocalTS, next.RemoteTS = last.Name, last.LocalTS, last.RemoteTS
	c.install(next)
	c.wantPlaced(next.SPIIn, "crypto offload on "+c.name, "")
	if n := len(c.Plugin.kernel.cards.waits); n != 0 {
		t.Errorf("%d children wait", n)
	}
	for _, x := range append(all, next) {
		if _, err := c.Plugin.Remove(context.Background(), x); err != nil {
			t.Fatal(err)
		}
	}
	c.nothingLeft(0, 0)
}
