package sa

import (
	"context"
	"net/netip"
	"sync"
)

// Event is what a backend tells by itself: Expired, Moved, Lost, Placed or Acquired.
type Event interface{ event() }

// Expired says: a child has carried as much as its limits allow, in either direction. After a hard limit it carries nothing more.
type Expired struct {
	SPIIn uint32
	Hard  bool
	Cause string // Bytes, Packets, SequenceNumbers or DeviceHasRoom
}

// Causes of expiry. A child without ESN expires with its sequence numbers too, which never cycle (RFC 4303 section 3.3.3).
const (
	Bytes           = "bytes"
	Packets         = "packets"
	SequenceNumbers = "sequence numbers"
	// DeviceHasRoom is no limit: the child goes on in software, and the one that replaces it may be given to its device.
	DeviceHasRoom = "device has room"
)

// Moved says: authentic ESP in UDP, newer than all before, came from another address or port than the child has (RFC 3948
// section 3). Until an update it is told again, but not more than once a second.
type Moved struct {
	SPIIn  uint32
	Remote netip.AddrPort
}

// Lost says: a child is in the data plane no more, though nobody removed it through this plugin. Its keys must not be installed
// again, because nobody knows its last sequence number.
type Lost struct{ SPIIn uint32 }

// Placed says: where a child that may be given to a device is carried. It is told when that becomes so.
type Placed struct {
	SPIIn  uint32
	Where  string // "packet offload on eth0", "crypto offload on eth0", "software"
	Reason string // why it is there and not where more would be done; "" when nothing was refused
}

// Acquired says: a packet met a trap and there is no child for it. While the traffic goes on it is told again, but not more than
// once a second.
type Acquired struct {
	Conn, Name          string // of the trap
	Protocol            uint8
	Source, Destination netip.AddrPort // of the packet, inside; port 0 when it has none, zero when the backend cannot say
}

func (Expired) event()  {}
func (Moved) event()    {}
func (Lost) event()     {}
func (Placed) event()   {}
func (Acquired) event() {}

// Watcher is implemented by backends that tell events.
type Watcher interface {
	// Watch gives events to tell, one after the other, until ctx ends, and returns its error. It begins with what is so now:
	// limits that were reached, and children that were lost, while nobody watched. One watch runs at a time.
	Watch(ctx context.Context, tell func(Event)) error
}

// Trap are the selectors of a child that is made when there is traffic for it.
type Trap struct {
	Conn, Name        string
	ReqID             uint32
	Mode              Mode
	Local, Remote     netip.Addr // outer addresses, zero: not known yet
	LocalTS, RemoteTS []Selector
	Handling          Handling // of the child; marks and IfID select packets
	Action            Action
}

// Action is what becomes of a packet that meets a trap.
type Action uint8

// Actions.
const (
	Acquire Action = iota // it is told of by Acquired
	Bypass                // it passes in clear (SettingBypass)
	Discard               // it is dropped (SettingDiscard)
)

// Trapper is implemented by backends that catch packets for which there is no child yet.
type Trapper interface {
	// SetTraps replaces all traps of an owner. A trap lies beneath every child whose selectors cover the packet; a packet that meets
	// it is told by Acquired and never leaves in clear.
	SetTraps(ctx context.Context, owner string, traps []Trap) error
}

// feedSize is how many events wait for the watcher: they are few, and told again.
const feedSize = 256

// Feed carries events from a data path, which must not wait, to Watch. The zero value is ready; a backend may embed it.
type Feed struct {
	once sync.Once
	wait chan Event
}

func (f *Feed) queue() chan Event {
	f.once.Do(func() { f.wait = make(chan Event, feedSize) })
	return f.wait
}

// Tell hands an event over; false says that there is no room, so that it is to be told later.
func (f *Feed) Tell(e Event) bool {
	select {
	case f.queue() <- e:
		return true
	default:
		return false
	}
}

// Watch implements Watcher.
func (f *Feed) Watch(ctx context.Context, tell func(Event)) error {
	for {
		select {
		case e := <-f.queue():
			tell(e)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
