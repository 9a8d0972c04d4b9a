package event

import "net/netip"

// CauseNoAddress says: no inner address could be given (RFC 7296 section 3.15.4).
const CauseNoAddress Cause = "no_address"

// PoolLeased says: a peer was given inner addresses of our pools (RFC 7296 section 2.19).
type PoolLeased struct {
	Holder    UID          `json:"holder"` // the IKE SA that asked; those that replace it by rekeying take the lease over
	Pools     []string     `json:"pools"`
	Identity  string       `json:"identity"`
	Addresses []netip.Addr `json:"addresses"`
}

// PoolReleased says: a holder gave back what it had. Another one may hold the same addresses, after a reauthentication.
type PoolReleased struct {
	Holder    UID          `json:"holder"`
	Addresses []netip.Addr `json:"addresses"`
}

// PoolExhausted says: no address could be given to a peer.
type PoolExhausted struct {
	Pools    []string `json:"pools"`
	Identity string   `json:"identity"`
	Reason   string   `json:"reason"` // a sentence
}

// PoolStoreFailed says: leases cannot be written to their file. They are given all the same, and forgotten when the daemon
// ends before the file can be written.
type PoolStoreFailed struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// PoolStoreMended says: leases are written again, and none is missing.
type PoolStoreMended struct {
	Path string `json:"path"`
}

// AddressAssigned says: the peer gave us inner addresses, and told what belongs to them (RFC 7296 section 3.15, RFC 8598).
type AddressAssigned struct {
	Holder    UID            `json:"holder"` // the IKE SA that asked; those that replace it by rekeying take it over
	Addresses []netip.Addr   `json:"addresses"`
	DNS       []netip.Addr   `json:"dns,omitempty"`
	Domains   []string       `json:"domains,omitempty"` // to be resolved by these DNS servers; none: all
	Subnets   []netip.Prefix `json:"subnets,omitempty"` // what lies behind the peer
	// Search is the domain that names without a dot are in, and Banner a text for the user; both are of peers of IKEv1 that speak as
	// Cisco's Unity clients do.
	Search string `json:"search,omitempty"`
	Banner string `json:"banner,omitempty"`
}

// AddressWithdrawn says: addresses that the peer gave us are no longer ours.
type AddressWithdrawn struct {
	Holder    UID          `json:"holder"`
	Addresses []netip.Addr `json:"addresses"`
}

// PeerVersion says: the peer told its version (RFC 7296 section 2.20).
type PeerVersion struct {
	Version string `json:"version"` // printable ASCII
}
