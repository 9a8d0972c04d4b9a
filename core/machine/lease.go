package machine

import (
	"net/netip"

	"github.com/parley-ike/parley/bus/event"
)

// Lease asks the address pools for inner addresses for a peer (RFC 7296 section 2.19). Answer: Leased, or an error of kind
// Exhausted when not a single address can be given. The same Holder asking again has what it had.
type Lease struct {
	Pools    []string     // by name; the first that has an address of a family gives it
	Holder   event.UID    // who holds the lease until Release: the IKE SA, and those that replace it by rekeying
	Identity Identity     // of the peer, proved; it gets the address that it had before
	From     netip.Addr   // outer address of the peer
	Succeeds bool         // the holder takes the place of other SAs of the identity: it gets what they hold, beside them
	Want     []netip.Addr // one for each address asked for; 0.0.0.0 and :: leave the choice to the pool
}

// Leased carries the addresses, at most one for each that was asked for, and what else the pools tell a peer.
type Leased struct {
	Pools     []string // those that gave an address
	Addresses []netip.Addr
	DNS       []netip.Addr
	Subnets   []netip.Prefix // what lies behind us (RFC 7296 section 3.15.2)
	Domains   []string       // to be resolved by DNS only (RFC 8598)
	Banner    string         // for the peer's user
}

// Release gives all addresses of a holder back; one that holds none is a success. Answer: Released.
type Release struct{ Holder event.UID }

// Released confirms it.
type Released struct{}

func (Lease) op()   {}
func (Release) op() {}

func (Leased) result()   {}
func (Released) result() {}

// Inner says which inner addresses an IKE SA and its peer gave each other.
type Inner struct {
	Holder   event.UID    // of the leases: the IKE SA that asked first
	Given    []netip.Addr // of our pools, to the peer
	Assigned []netip.Addr // to us, by the peer
}
