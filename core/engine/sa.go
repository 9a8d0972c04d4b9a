package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
)

// sa is the engine's side of an SA.
type sa struct {
	owner   machine.Owner
	major   uint8 // version of IKE
	machine machine.Machine
	track   *journal.Track // nil when it is not recorded

	uid      event.UID
	conn     string
	sequence uint64 // of the last event

	dial      [2]netip.AddrPort // local and remote end of the first message, if we sent it
	successor machine.Owner     // the SA that Renew asked for last

	init  initKey    // in the index of first messages; zero for initiators
	from  netip.Addr // whose place at the gate is taken; zero when none is
	phase phase

	deadline int64 // Unix nanoseconds, 0 for none
	due      int64 // the instant in the heap, never after deadline
	place    int   // in the heap, from 1; 0 outside
}

// phase is what the engine knows of an SA's life, from its effects.
type phase uint8

const (
	opening phase = iota
	established
	ended // deleted or failed; it may stay for a while to repeat its last response
	gone  // Done
)

// initKey finds the SA of a repeated IKE_SA_INIT request. Two peers behind one NAT may choose the same SPI, so that
// neither address nor SPI will do: the whole message decides (RFC 7296 section 2.1), with the address it came from.
type initKey [16]byte

func initKeyOf(d machine.Datagram) initKey {
	h := sha256.New()
	ip := d.Remote.Addr().As16()
	h.Write(ip[:])
	h.Write(binary.BigEndian.AppendUint16(nil, d.Remote.Port()))
	h.Write(d.Bytes)
	var sum [sha256.Size]byte
	return initKey(h.Sum(sum[:0])[:16])
}
