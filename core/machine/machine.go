package machine

import (
	"net/netip"
	"time"

	"github.com/parley-ike/parley/bus/event"
)

// Machine is one IKE SA, of either version.
type Machine interface {
	// Step consumes one input and appends what is to be done to fx, in order.
	Step(now time.Time, in Input, fx *Effects)
	// Deadline is the instant at which the machine wants a Tick, the zero time for none.
	Deadline() time.Time
	// Info describes the SA for people.
	Info() Info
	// Installed lists the child SAs that the machine holds or may hold in an SA backend, for reconciliation.
	Installed() []ChildSA
}

// Owner routes replies to the SA that asked: its local SPI (IKEv2) or cookie (IKEv1).
type Owner uint64

// Request is a call on its way from a machine to a plugin.
type Request struct {
	Owner Owner
	Call  Call
}

// Return is a reply on its way back.
type Return struct {
	Owner Owner
	Reply Reply
}

// Info is a snapshot of an SA for status displays.
type Info struct {
	UID         event.UID
	Conn        string
	State       string
	IKE         event.IKESA
	Created     time.Time
	Established time.Time // zero before
	Children    []event.ChildSA
	Inner       Inner
}

// Input is what a step consumes: a Datagram, a Reply, a Tick or a command.
type Input interface{ input() }

// Datagram is a received IKE message, without the non-ESP marker. The machine may keep Bytes.
type Datagram struct {
	Local, Remote netip.AddrPort
	Bytes         []byte
}

// Ticket names a call within its SA. It counts up from 1.
type Ticket uint64

// Reply is the answer to a call. Exactly one of Result and Err is set.
type Reply struct {
	Ticket Ticket
	Result Result
	Err    *CallError
}

// Tick tells that the deadline has passed.
type Tick struct{}

// Decided tells an SA that the one that spawned it has settled what becomes of it (Decide). What that is the two know.
type Decided struct{}

// Initiate is the command to start negotiating as the initiator. Children are names of the connection's children; the
// first is made in IKE_AUTH, the others in CREATE_CHILD_SA exchanges. Given to an established SA it makes those that it
// does not have.
type Initiate struct {
	Children []string
	Replaces event.UID    // an SA that the new one is to take the place of; zero for none
	Wants    []netip.Addr // inner addresses that the peer assigned to that SA, to be asked for again
	// Redirected says that another gateway sent us to the peer.
	Redirected Redirected
}

// Terminate is the command to delete the IKE SA, or with Child set one child SA by name.
type Terminate struct {
	Child  string
	Reason string
}

// Probe is the command to check the peer's liveness now (RFC 7296 section 2.4).
type Probe struct{}

// Rekey is the command to replace the IKE SA, or with Child set one child SA by name, by a new one (RFC 7296 section 2.8).
type Rekey struct{ Child string }

// Migrate is the command to move the SA to other addresses of ours (RFC 4555). Local is where messages are to be sent from,
// Additional what else we can be reached at.
type Migrate struct {
	Local      netip.AddrPort
	Additional []netip.Addr
}

// ChildExpired tells that a child has carried as much as its limits allow. An SA backend saw it.
type ChildExpired struct {
	SPIIn uint32
	Hard  bool   // it carries nothing more; else it is time for a new one
	Cause string // "bytes", "packets", "sequence numbers", or "device has room"
}

// ChildMoved tells that authentic ESP in UDP came from a new address or port (RFC 3948 section 3). An SA backend saw it.
type ChildMoved struct {
	SPIIn  uint32
	Remote netip.AddrPort
}

// ChildLost tells that a child is no longer in its SA backend, though nobody asked for its removal.
type ChildLost struct{ SPIIn uint32 }

// ChildPlaced tells where a child that may be given to a device is carried. An SA backend decided it.
type ChildPlaced struct {
	SPIIn         uint32
	Where, Reason string
}

func (Datagram) input()     {}
func (Reply) input()        {}
func (Tick) input()         {}
func (Decided) input()      {}
func (Initiate) input()     {}
func (Terminate) input()    {}
func (Probe) input()        {}
func (Rekey) input()        {}
func (Migrate) input()      {}
func (ChildExpired) input() {}
func (ChildMoved) input()   {}
func (ChildLost) input()    {}
func (ChildPlaced) input()  {}
