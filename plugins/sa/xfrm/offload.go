package xfrm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

// Flags of struct xfrm_user_offload (linux/xfrm.h).
const (
	offloadIPv6    = 1
	offloadInbound = 2
	offloadPacket  = 4
)

// cards is what the offload backend needs to give SAs to devices.
type cards struct {
	links *netlink.Handle
	tell  func(sa.Event) bool
	done  chan struct{} // ends what watches the devices
	used  map[int]bool  // indexes of devices that SAs were given to

	waits      map[lineage]*waiting // children that go on in software
	retryFirst time.Duration
	declined   map[sa.UID]string // children whose policies a device refused, and what it said
	policies   uint8             // flags of offloaded policies: offloadPacket, but in a test
}

// NewOffload returns the backend that gives SAs to network devices, as far as each child wants and its device can: packet offload,
// then crypto offload, then none. Everything else is as with New; what it installed is its own.
func NewOffload(cfg Config, sockets Sockets) (*Plugin, error) {
	p, err := open("offload", OffloadReqIDBase, cfg, sockets)
	if err != nil || p.opening != nil {
		return p, err
	}
	links, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("sa/offload: netlink: %w", err)
	}
	p.kernel.cards = &cards{links: links, tell: p.Tell, done: make(chan struct{}), used: map[int]bool{}, waits: map[lineage]*waiting{}, retryFirst: retryFirst,
		declined: map[sa.UID]string{}, policies: offloadPacket}
	go p.retry(retryLook)
	updates := make(chan netlink.LinkUpdate)
	go p.watchCards(updates)
	resync := netlink.LinkSubscribeOptions{ErrorCallback: func(error) { p.ResyncSoon() }}
	if err := netlink.LinkSubscribeWithOptions(updates, p.kernel.cards.done, resync); err != nil {
		close(updates)
		p.Close()
		return nil, fmt.Errorf("sa/offload: events of devices: %w", err)
	}
	return p, nil
}

// seat is where an SA is carried: by a device, or, with the zero value, by the kernel alone.
type seat struct {
	mode   sa.Offload // OffloadPacket, OffloadCrypto or OffloadNone
	device int        // its index
}

// flags are those of an SA of one direction.
func (s seat) flags(dst netip.Addr, out bool) (f uint8) {
	if dst.Is6() {
		f |= offloadIPv6
	}
	if !out {
		f |= offloadInbound
	}
	if s.mode == sa.OffloadPacket {
		f |= offloadPacket
	}
	return f
}

// attribute is struct xfrm_user_offload.
func (s seat) attribute(flags uint8) attribute {
	b := append(word(uint32(s.device)), flags, 0, 0, 0)
	return attribute{nl.XFRMA_OFFLOAD_DEV, b}
}

// seat reads where an SA is carried.
func (s *state) seat() seat {
	for _, a := range s.attrs {
		if a.kind != nl.XFRMA_OFFLOAD_DEV || len(a.data) < 5 {
			continue
		}
		at := seat{sa.OffloadCrypto, int(int32(binary.NativeEndian.Uint32(a.data)))}
		if a.data[4]&offloadPacket != 0 {
			at.mode = sa.OffloadPacket
		}
		return at
	}
	return seat{}
}

// place makes one SA where it is to be carried. The outbound one, which comes last, has where the child is told.
func (k *driver) place(c *sa.Child, h kernel.Half, carried []attribute) error {
	if k.cards == nil || c.Handling.Offload == sa.OffloadNone {
		return k.putSA(c, h, carried)
	}
	if have, err := k.getSA(h); err != nil || have != nil && have.Reqid == k.reqID(c) {
		return errors.Join(err, k.putSA(c, h, carried)) // changed in place, where it is
	}
	refusals, err := k.offer(c, h, carried)
	if err != nil {
		return err
	}
	if h.Out {
		k.announce(c, refusals)
		k.cards.forget(c.UID)
	}
	return nil
}

// offer asks for one place after the other, and returns why those before the one that was taken were refused.
func (k *driver) offer(c *sa.Child, h kernel.Half, carried []attribute) (refusals []string, err error) {
	device, name, err := k.cards.device(c)
	wishes := wishes(c)
	if err != nil {
		refusals, wishes = append(refusals, err.Error()), nil
	}
	for _, mode := range wishes {
		if why := k.cards.declined[c.UID]; why != "" && mode == sa.OffloadPacket {
			refusals = append(refusals, why)
			continue
		}
		at := seat{mode, device}
		err := k.putSA(c, h, append(carried[:len(carried):len(carried)], at.attribute(at.flags(h.Dst, h.Out))))
		if err == nil {
			if s, err := k.getSA(h); err == nil && s != nil && s.seat() == at {
				k.cards.used[device] = true
				return refusals, nil
			}
			err = errors.New("its driver does not do it") // crypto offload is then left out without a word
			if err := k.dropSA(h); err != nil {
				return nil, err
			}
			refusals = append(refusals, refusal(name, mode, err))
			continue
		}
		refusals = append(refusals, refusal(name, mode, err))
	}
	if c.Handling.OffloadRequired {
		k.cards.forget(c.UID)
		return nil, fmt.Errorf("offload is required: %s; leave require out to go on in software: %w", strings.Join(refusals, "; "), sdk.ErrUnsupported)
	}
	return refusals, k.putSA(c, h, carried)
}

// forget ends what is remembered of a child: it is gone, or it has its place.
func (d *cards) forget(uid sa.UID) { delete(d.declined, uid) }

func refusal(device string, mode sa.Offload, err error) string {
	return fmt.Sprintf("%s refused %s offload: %v", device, modeName(mode), err)
}

func modeName(m sa.Offload) string {
	return map[sa.Offload]string{sa.OffloadPacket: "packet", sa.OffloadCrypto: "crypto"}[m]
}

// wishes are the modes that a child wants, the best first.
func wishes(c *sa.Child) []sa.Offload {
	if c.Handling.Offload == sa.OffloadAuto {
		return []sa.Offload{sa.OffloadPacket, sa.OffloadCrypto}
	}
	return []sa.Offload{c.Handling.Offload}
}

// device finds the device of a child: the one that it names, or the one by which its packets leave.
func (d *cards) device(c *sa.Child) (index int, name string, err error) {
	var link netlink.Link
	if name = c.Handling.OffloadDevice; name != "" {
		link, err = d.links.LinkByName(name)
	} else {
		link, err = d.towards(c.Remote)
	}
	switch {
	case err != nil:
		return 0, "", fmt.Errorf("no device for offload %s: %w", name, err)
	case link.Attrs().Flags&net.FlagUp == 0:
		return 0, "", fmt.Errorf("%s is down", link.Attrs().Name)
	}
	return link.Attrs().Index, link.Attrs().Name, nil
}

func (d *cards) towards(remote netip.Addr) (netlink.Link, error) {
	ways, err := d.links.RouteGet(remote.AsSlice())
	if err != nil {
		return nil, fmt.Errorf("to %v: %w", remote, err)
	}
	if len(ways) == 0 {
		return nil, fmt.Errorf("there is no way to %v", remote)
	}
	return d.links.LinkByIndex(ways[0].LinkIndex)
}

// announce tells where both SAs of a child are.
func (k *driver) announce(c *sa.Child, refusals []string) {
	in, out := k.where(kernel.Inbound(c)), k.where(kernel.Outbound(c))
	k.cards.noteSeat(c, in, out)
	where := k.cards.name(out)
	if in != out {
		where = fmt.Sprintf("%s outwards, %s inwards", where, k.cards.name(in))
	}
	k.cards.tell(sa.Placed{SPIIn: c.SPIIn, Where: where, Reason: strings.Join(refusals, "; ")})
}

func (k *driver) where(h kernel.Half) seat {
	if s, err := k.getSA(h); err == nil && s != nil {
		return s.seat()
	}
	return seat{}
}

// name says a seat in words.
func (d *cards) name(s seat) string {
	if s.mode == sa.OffloadNone {
		return "software"
	}
	return modeName(s.mode) + " offload on " + d.deviceName(s)
}

func (d *cards) deviceName(s seat) string {
	if link, err := d.links.LinkByIndex(s.device); err == nil {
		return link.Attrs().Name
	}
	return fmt.Sprintf("device %d", s.device)
}

// policyDevice is what a policy must say whose SA does packet offload: the device then looks the packets up. Forwarding is not its
// affair.
func (k *driver) policyDevice(c *sa.Child, dir uint8) []attribute {
	if k.cards == nil || dir == kernel.DirFwd {
		return nil
	}
	h := kernel.Direction(c, dir == kernel.DirOut)
	if !h.Dst.IsValid() || h.SPI == 0 { // a trap
		return nil
	}
	at := k.where(h)
	if at.mode != sa.OffloadPacket {
		return nil
	}
	return []attribute{at.attribute(k.cards.policies)}
}

// declines notes that a device takes the SAs of a child and not its policies.
func (k *driver) declines(c *sa.Child, err error) error {
	k.cards.declined[c.UID] = fmt.Sprintf("%s refused a policy of packet offload: %v", k.cards.deviceName(k.where(kernel.Inbound(c))), err)
	return fmt.Errorf("%w: %w", kernel.ErrElsewhere, err)
}
