package machine

import (
	"net/netip"
	"time"

	"github.com/parley-ike/parley/bus/event"
)

// Effect is something that a step wants done.
type Effect interface{ effect() }

// Send transmits an IKE message. Bytes are not changed afterwards: retransmissions send the same slice. One octet 0xFF
// is a NAT keepalive (RFC 3948 section 2.3); the transport sends it without the non-ESP marker.
type Send struct {
	Local, Remote netip.AddrPort
	Bytes         []byte
}

// Call asks a plugin for an operation. Calls with the same non-zero Key reach the plugin in order. After By the caller
// need not answer any more; the machine itself turns silence into a failure.
type Call struct {
	Ticket Ticket
	Op     Op
	Key    uint64
	By     time.Time
}

// Cancel tells that nobody waits for a call any more. The call may still be performed.
type Cancel struct{ Ticket Ticket }

// Emit publishes a fact.
type Emit struct {
	Subject event.Subject
	Event   event.Event
}

// Spawn hands over a new SA that grew out of this one (a rekeyed IKE SA).
type Spawn struct {
	Owner   Owner
	Machine Machine
}

// Decide tells an SA that this one has spawned what becomes of it, when that was not known before: the driver gives it the input
// Decided. Children, without keys, are its own from then on.
type Decide struct {
	Owner    Owner
	Children []ChildSA
}

// Done tells that the SA has ended; no input will be answered any more.
type Done struct{ Reason string }

func (Send) effect()   {}
func (Call) effect()   {}
func (Cancel) effect() {}
func (Emit) effect()   {}
func (Spawn) effect()  {}
func (Decide) effect() {}
func (Done) effect()   {}

// Effects collects the effects of a step. The zero value is ready; a driver reuses one.
type Effects struct{ list []Effect }

// Add appends e.
func (fx *Effects) Add(e Effect) { fx.list = append(fx.list, e) }

// List returns the effects in order. It is valid until Reset.
func (fx *Effects) List() []Effect { return fx.list }

// Reset forgets all effects and keeps the memory.
func (fx *Effects) Reset() {
	clear(fx.list)
	fx.list = fx.list[:0]
}
