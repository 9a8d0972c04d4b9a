package kernel

import (
	"net/netip"
	"time"

	"github.com/parley-ike/parley/sdk/sa"
)

// movedPause is how often a child that moves is told of: the kernel tells with each packet.
const movedPause = time.Second

// ResyncPause is how long after a loss of messages the kernel is compared with the journal; more losses meanwhile cost nothing.
const ResyncPause = 200 * time.Millisecond

// heard runs f when what the kernel tells can mean anything here.
func (b *Backend) heard(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed && b.ready() == nil {
		f()
	}
}

// Expired handles that an SA has reached a limit, having carried what m says.
func (b *Backend) Expired(at Place, hard bool, m *State) {
	b.heard(func() {
		e := b.journal.sas[at]
		if e == nil {
			return
		}
		v := e.Child.Soft
		if hard {
			v = e.Child.Hard
			e.last.add(m, at == Outbound(&e.Child).At())
		}
		why := cause(&e.Child, v, m)
		if why == "" { // the device that counted has forgotten the SA already
			why = only(v)
		}
		told := b.tell(sa.Expired{SPIIn: e.Child.SPIIn, Hard: hard, Cause: why})
		e.gone = e.gone || hard && told // it is no loss any more
	})
}

// Mapped handles that authentic ESP in UDP came from elsewhere.
func (b *Backend) Mapped(at Place, from netip.AddrPort) {
	b.heard(func() {
		e := b.journal.sas[at]
		if e == nil || time.Since(e.movedAt) < movedPause {
			return
		}
		e.movedAt = time.Now()
		b.tell(sa.Moved{SPIIn: e.Child.SPIIn, Remote: from})
	})
}

// InboundFrom finds an inbound SA by the peer's address and the SPI.
func (b *Backend) InboundFrom(remote netip.Addr, spi uint32) (at Place, ok bool) {
	b.heard(func() {
		for _, e := range b.journal.entries {
			if e.Child.SPIIn == spi && e.Child.Remote == remote {
				at, ok = Inbound(&e.Child).At(), true
			}
		}
	})
	return at, ok
}

// Deleted handles that another program deleted an SA.
func (b *Backend) Deleted(at Place) {
	b.heard(func() {
		if e := b.journal.sas[at]; e != nil && b.lost(e) {
			b.miss(e)
		}
	})
}

// Acquired handles that a packet met a policy that has no SA.
func (b *Backend) Acquired(t Traffic, proto uint8, from, to netip.AddrPort) {
	b.heard(func() {
		if trap := b.journal.traps[t]; trap != nil {
			b.tell(sa.Acquired{Conn: trap.Conn, Name: trap.Name, Protocol: proto, Source: from, Destination: to})
		}
	})
}

// miss tells once that a child is lost.
func (b *Backend) miss(e *entry) {
	if !e.gone {
		e.gone = b.tell(sa.Lost{SPIIn: e.Child.SPIIn})
	}
}

// tell hands an event over; without room all is compared again later.
func (b *Backend) tell(e sa.Event) bool {
	if b.Tell(e) {
		return true
	}
	b.ResyncSoon()
	return false
}

// ResyncSoon compares the kernel with the journal after a while.
func (b *Backend) ResyncSoon() {
	if b.resyncing.CompareAndSwap(false, true) {
		time.AfterFunc(ResyncPause, b.Resync)
	}
}

// Resync compares the kernel with the journal, and tells of what happened while nobody listened.
func (b *Backend) Resync() {
	b.resyncing.Store(false)
	b.heard(b.compare)
}

func (b *Backend) compare() {
	have, err := b.driver.ListSAs()
	if err != nil {
		b.ResyncSoon()
		return
	}
	for _, e := range b.journal.entries {
		why, lost := e.spent(have)
		switch {
		case lost && b.lost(e):
			b.miss(e)
		case why != "":
			b.tell(sa.Expired{SPIIn: e.Child.SPIIn, Cause: why})
		}
	}
}

// spent names the soft limit that a child has reached, "" for none, and tells whether an SA is missing.
func (e *entry) spent(have map[Place]*State) (why string, missing bool) {
	for _, h := range halves(&e.Child) {
		m := have[h.At()]
		if m == nil {
			return "", true
		}
		if why == "" {
			why = cause(&e.Child, e.Child.Soft, m)
		}
	}
	return why, false
}
