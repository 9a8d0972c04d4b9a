package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

// device is an XFRM interface that children name; the zero value is none. What is routed into it is taken by their policies, and
// what they received comes out of it. Its other side stays in our own network namespace, wherever the interface lies.
type device struct {
	Name  string `json:"name,omitempty"`
	Netns string `json:"netns,omitempty"`
}

func (d device) none() bool { return d == device{} }

func (d device) String() string {
	if d.Netns == "" {
		return d.Name
	}
	return d.Name + " in network namespace " + d.Netns
}

func deviceOf(c *sa.Child) device { return device{c.Handling.Interface, c.Handling.Netns} }

// checkHandling refuses what the driver cannot do, and what makes no sense.
func (b *Backend) checkHandling(c *sa.Child) error {
	h, able := &c.Handling, []string(nil)
	if driver, ok := b.driver.(Handler); ok {
		able = driver.Settings()
	}
	for _, need := range h.Needs() {
		if !slices.Contains(able, need) {
			return fmt.Errorf("%s has no setting %s; leave it out, or use a backend that has: %w", b.name, need, sdk.ErrUnsupported)
		}
	}
	switch {
	case h.Mark&^h.MarkMask != 0 || h.OutputMark&^h.OutputMarkMask != 0:
		return fmt.Errorf("a mark has bits that its mask has not: %w", sdk.ErrInvalid)
	case h.Interface != "" && h.IfID == 0:
		return fmt.Errorf("interface %s without the number of an XFRM interface; set if_id: %w", h.Interface, sdk.ErrInvalid)
	case h.Netns != "" && h.Interface == "":
		return fmt.Errorf("network namespace %s without an interface there; set interface: %w", h.Netns, sdk.ErrInvalid)
	}
	return loops(c)
}

// loops refuses a route that would lead ESP packets themselves into the interface.
func loops(c *sa.Child) error {
	if c.Handling.Interface == "" || c.Handling.Netns != "" {
		return nil
	}
	for _, s := range c.RemoteTS {
		if s.Start.BitLen() == c.Remote.BitLen() && !c.Remote.Less(s.Start) && !s.End.Less(c.Remote) {
			return fmt.Errorf("the selectors cover the peer's own address %v, so that a route through %s would catch ESP itself; "+
				"set netns, or leave interface out and make the routes by hand: %w", c.Remote, c.Handling.Interface, sdk.ErrInvalid)
		}
	}
	return nil
}

// in opens netlink in the network namespace of a device; done must be called.
func (b *Backend) in(d device) (links *netlink.Handle, done func(), err error) {
	if d.Netns == "" {
		return b.links, func() {}, nil
	}
	ns, err := netns.GetFromName(d.Netns)
	if err != nil {
		return nil, nil, fmt.Errorf("network namespace %s: %w; make it (ip netns add %[1]s)", d.Netns, err)
	}
	defer ns.Close()
	links, err = netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, nil, fmt.Errorf("network namespace %s: %w", d.Netns, err)
	}
	return links, links.Close, nil
}

// makeDevice makes sure that an interface is there with its number, and up. One that is there already is not ours, and stays.
func (b *Backend) makeDevice(d device, id uint32) error {
	if d.none() {
		return nil
	}
	links, done, err := b.in(d)
	if err != nil {
		return err
	}
	defer done()
	link, err := links.LinkByName(d.Name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		if err = b.addDevice(d, id); err == nil {
			link, err = links.LinkByName(d.Name)
		}
	}
	if err != nil {
		return fmt.Errorf("interface %v: %w", d, err)
	}
	if x, ok := link.(*netlink.Xfrmi); !ok || x.Ifid != id {
		return fmt.Errorf("interface %v is there and is no XFRM interface with if_id %d; name another, or delete it: %w", d, id, sdk.ErrInvalid)
	}
	return links.LinkSetUp(link)
}

// addDevice makes an interface here, where the SAs are, and then moves it.
func (b *Backend) addDevice(d device, id uint32) error {
	if err := b.journal.own(d, true); err != nil {
		return err
	}
	link := &netlink.Xfrmi{LinkAttrs: netlink.LinkAttrs{Name: d.Name}, Ifid: id}
	if err := b.links.LinkAdd(link); err != nil {
		return errors.Join(fmt.Errorf("making it: %w; the kernel may lack CONFIG_XFRM_INTERFACE", err), b.journal.own(d, false))
	}
	if d.Netns == "" {
		return nil
	}
	ns, err := netns.GetFromName(d.Netns)
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := b.links.LinkSetNsFd(link, int(ns)); err != nil {
		return errors.Join(fmt.Errorf("moving it to network namespace %s: %w", d.Netns, err), b.links.LinkDel(link), b.journal.own(d, false))
	}
	return nil
}

// dropDevice deletes an interface of ours that no child needs any more; one that has vanished is gone.
func (b *Backend) dropDevice(d device) error {
	if d.none() || !b.journal.made[d] || b.journal.onDevice[d] > 0 {
		return nil
	}
	if links, done, err := b.in(d); err == nil {
		defer done()
		if link, err := links.LinkByName(d.Name); err == nil {
			if err := links.LinkDel(link); err != nil {
				return fmt.Errorf("deleting interface %v: %w", d, err)
			}
		}
	}
	return b.journal.own(d, false)
}

// way is what a route leads to, and through which interface; that of none is the way that the outer packets take.
type way struct {
	netip.Prefix
	through device
}

// ways lists what a child's routes lead to. Where marks, or an interface that others made, choose the packets, routes are theirs to make.
func (e *entry) ways() (all []way) {
	h, d := &e.Child.Handling, deviceOf(&e.Child)
	if d.none() && (h.IfID != 0 || h.MarkMask != 0) {
		return nil
	}
	for _, dst := range e.remotes() {
		all = append(all, way{dst, d})
	}
	return all
}

// routeThrough makes the route of a way through an interface what the youngest child that goes it wants.
func (b *Backend) routeThrough(w way) error {
	links, done, err := b.in(w.through)
	e := b.journal.reaches(w)
	if err != nil && e != nil {
		return err
	}
	if err != nil {
		return nil // the namespace has gone, and the route with it
	}
	defer done()
	link, err := links.LinkByName(w.through.Name)
	if err != nil {
		return nil // likewise
	}
	r := &netlink.Route{Dst: ipNet(w.Prefix), LinkIndex: link.Attrs().Index, Protocol: routeProtocol, Scope: netlink.SCOPE_LINK, Table: b.cfg.RouteTable}
	if e == nil {
		r.Scope = netlink.SCOPE_NOWHERE // of any scope
		if err := links.RouteDel(r); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("deleting the route to %v through %v: %w", w.Prefix, w.through, err)
		}
		return nil
	}
	if source := e.source(w.Prefix, nil); source.IsValid() {
		r.Src = source.AsSlice()
	}
	if err = b.rule(links, w.Addr()); err == nil {
		err = links.RouteReplace(r)
	}
	if err != nil {
		return fmt.Errorf("route to %v through %v: %w", w.Prefix, w.through, err)
	}
	return nil
}
