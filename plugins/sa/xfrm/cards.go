package xfrm

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/sdk/sa"
)

// maxProbed bounds how many devices are tried: a gateway has few cards and may have thousands of tunnels.
const maxProbed = 64

// probeCards tells what the devices of this machine do.
func (p *Plugin) probeCards(c *sa.Capabilities) {
	if p.kernel.cards == nil {
		return
	}
	links, err := p.kernel.cards.links.LinkList()
	if err != nil {
		c.Reason += fmt.Sprintf("; its devices are not known: %v", err)
		return
	}
	var found []string
	for _, link := range links[:min(len(links), maxProbed)] {
		if a := link.Attrs(); a.Flags&net.FlagUp != 0 && a.Flags&net.FlagLoopback == 0 && link.Type() != "xfrm" {
			found = append(found, p.probeCard(c, a)...)
		}
	}
	if len(found) == 0 {
		c.Reason += "; no device that is up does offload, so that everything goes on in software"
		return
	}
	c.Reason += "; " + strings.Join(found, ", ")
}

// probeCard tries each mode on one device with throw-away SAs, and then what it does of the rest.
func (p *Plugin) probeCard(c *sa.Capabilities, link *netlink.LinkAttrs) (found []string) {
	d := sa.Device{Name: link.Name}
	at := seat{device: link.Index}
	for _, mode := range []sa.Offload{sa.OffloadCrypto, sa.OffloadPacket} {
		if p.trySeat(seat{mode, link.Index}, trial(probe4, 20, 128, 0)) != nil {
			continue
		}
		at.mode = mode
		d.Crypto, d.Packet = d.Crypto || mode == sa.OffloadCrypto, mode == sa.OffloadPacket
		found = append(found, fmt.Sprintf("%s offload on %s", modeName(mode), link.Name))
		if c.Offload != modeName(sa.OffloadPacket) {
			c.Offload = modeName(mode)
		}
	}
	if len(found) > 0 {
		p.learn(&d, at)
		c.Devices = append(c.Devices, d)
	}
	return found
}

// learn tries what a device does: algorithms, long sequence numbers, and the largest of the windows that devices have.
func (p *Plugin) learn(d *sa.Device, at seat) {
	d.Algorithms = algorithms(func(encr, bits, integ uint16) error { return p.trySeat(at, trial(probe4, encr, bits, integ)) })
	long := trial(probe4, 20, 128, 0)
	long.ESN = true
	d.ESN = p.trySeat(at, long) == nil
	for _, window := range []uint32{32, 64, 128, 256, maxReplayWindow} {
		if p.tryWindow(at, window) == nil {
			d.MaxReplayWindow = window
		}
	}
}

// tryWindow tries an inbound SA, which is the one that has a window.
func (p *Plugin) tryWindow(at seat, window uint32) error {
	c := trial(probe4, 20, 128, 0)
	h := kernel.Outbound(c)
	h.Out, h.Window = false, window
	return p.sit(c, h, at)
}

// trySeat installs and deletes the outbound SA of a child on a device.
func (p *Plugin) trySeat(at seat, c *sa.Child) error { return p.sit(c, kernel.Outbound(c), at) }

func (p *Plugin) sit(c *sa.Child, h kernel.Half, at seat) error {
	if err := p.kernel.putSA(c, h, []attribute{at.attribute(at.flags(h.Dst, h.Out))}); err != nil {
		return err
	}
	s, err := p.kernel.getSA(h)
	if drop := p.kernel.dropSA(h); err == nil {
		err = drop
	}
	if err == nil && (s == nil || s.seat() != at) {
		err = unix.EOPNOTSUPP
	}
	return err
}

// trial describes a child whose outbound SA carries nothing.
func trial(addrs [2]netip.Addr, encr, bits, integ uint16) *sa.Child {
	size := int(bits)/8 + ciphers[encr].salt
	if ciphers[encr].bits == nil {
		size = ciphers[encr].key + ciphers[encr].salt
	}
	return &sa.Child{Conn: "probe", SPIOut: probeSPI, Local: addrs[0], Remote: addrs[1], Encr: encr, KeyBits: bits, Integ: integ,
		EncrOut: slices.Repeat([]byte{0x5a}, size), IntegOut: make([]byte, integrities[integ].key)}
}

// watchCards compares when a device goes down or away, until the backend is closed: the kernel then deletes the SAs that it had given
// to it, and says nothing.
func (p *Plugin) watchCards(updates <-chan netlink.LinkUpdate) {
	for u := range updates {
		gone := u.Header.Type == unix.RTM_DELLINK || u.Link.Attrs().Flags&net.FlagUp == 0
		if p.Locked(func() { gone = gone && p.kernel.cards.used[u.Link.Attrs().Index] }); gone {
			p.Resync()
		}
	}
}
