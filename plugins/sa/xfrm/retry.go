package xfrm

import (
	"errors"
	"net/netip"
	"time"

	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/sdk/sa"
)

// A child that goes on in software, though it may be given to a device, is asked to be replaced as soon as the device takes SAs like
// its. An SA is never moved to a device under its keys: between reading its last sequence number and deleting it a packet could leave,
// whose number the device would use again (RFC 4106 section 3.1 forbids it). A replacement loses no packet.

// Pauses between attempts for one child: a replacement costs both peers a key exchange. They double as long as children of that name
// end up in software.
const (
	retryLook  = 5 * time.Second
	retryFirst = 30 * time.Second
	retryMax   = time.Hour
)

// lineage names the children that replace one another.
type lineage struct{ conn, name string }

// waiting is a child that goes on in software.
type waiting struct {
	child sa.Child // without keys
	next  time.Time
	pause time.Duration
}

// noteSeat remembers a child that did not get all that it wanted, and forgets one that did.
func (d *cards) noteSeat(c *sa.Child, in, out seat) {
	of := lineage{c.Conn, c.Name}
	if in.mode != sa.OffloadNone && out.mode != sa.OffloadNone {
		delete(d.waits, of)
		return
	}
	w := &waiting{child: *c, pause: d.retryFirst}
	w.child.EncrIn, w.child.EncrOut, w.child.IntegIn, w.child.IntegOut = nil, nil, nil, nil
	if before := d.waits[of]; before != nil {
		w.pause = min(2*before.pause, retryMax)
	}
	w.next = time.Now().Add(w.pause)
	d.waits[of] = w
}

// retry looks for room until the backend is closed. One child is asked to be replaced at a time, since it takes what room there is.
func (p *Plugin) retry(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-p.kernel.cards.done:
			return
		case <-ticker.C:
			p.Locked(func() { p.retryOne(time.Now()) })
		}
	}
}

func (p *Plugin) retryOne(now time.Time) {
	select {
	case <-p.kernel.cards.done: // closed while we waited for the lock
		return
	default:
	}
	for of, w := range p.kernel.cards.waits {
		switch {
		case now.Before(w.next):
		case !p.kernel.there(&w.child):
			delete(p.kernel.cards.waits, of)
		case p.hasRoom(&w.child):
			w.next = now.Add(w.pause)
			p.Tell(sa.Expired{SPIIn: w.child.SPIIn, Cause: sa.DeviceHasRoom})
			return
		}
	}
}

// there tells whether the kernel still has a child.
func (k *driver) there(c *sa.Child) bool {
	s, err := k.GetSA(c, kernel.Inbound(c))
	return err == nil && s != nil
}

// hasRoom tries what the child would need on its device: two SAs at the same time.
func (p *Plugin) hasRoom(c *sa.Child) bool {
	device, _, err := p.kernel.cards.device(c)
	if err != nil {
		return false
	}
	like := trial([2]netip.Addr{c.Local, c.Remote}, c.Encr, c.KeyBits, c.Integ)
	like.ESN, like.Mode = c.ESN, c.Mode
	for _, mode := range wishes(c) {
		if p.twoSeats(seat{mode, device}, like) == nil {
			return true
		}
	}
	return false
}

// twoSeats installs a trial SA, then another one beside it, and deletes both.
func (p *Plugin) twoSeats(at seat, like *sa.Child) error {
	first := kernel.Outbound(like)
	first.SPI-- // the other one has the SPI of all trials; both are reserved
	if err := p.kernel.putSA(like, first, []attribute{at.attribute(at.flags(first.Dst, true))}); err != nil {
		return err
	}
	err := p.trySeat(at, like)
	return errors.Join(err, p.kernel.dropSA(first))
}
