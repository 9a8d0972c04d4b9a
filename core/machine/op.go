package machine

import (
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/sdk/secret"
)

// Op is an operation asked of a plugin. All are idempotent: a driver may perform one twice.
type Op interface{ op() }

// Result is what a plugin answered.
type Result interface{ result() }

// Identity is an IKE identity as it stands in an ID payload.
type Identity struct {
	Type uint8 // RFC 7296 section 3.5
	Data []byte
}

// KEInitiate asks for a fresh private value of a key exchange method (IKEv2 transform type 4). Answer: KEInitiated.
type KEInitiate struct{ Method uint16 }

// KEInitiated carries the opaque private state, which the core holds, and the public value.
type KEInitiated struct {
	State  secret.Bytes
	Public []byte
}

// KERespond asks for the responder's half in one step. Answer: KEResponded.
type KERespond struct {
	Method uint16
	Peer   []byte
}

// KEResponded carries the public value to send and the shared secret.
type KEResponded struct {
	Public []byte
	Secret secret.Bytes
}

// KEFinish asks for the shared secret from the state of KEInitiated. Answer: KEFinished.
type KEFinish struct {
	Method uint16
	State  secret.Bytes
	Peer   []byte
}

// KEFinished carries the shared secret.
type KEFinished struct{ Secret secret.Bytes }

// Sign asks an authenticator for our AUTH payload, or for what takes its place in IKEv1. Answer: Signed.
//
// With Version 1 Octets are HASH_I or HASH_R themselves, PRF names the negotiated hash by the PRF made of it, and Method of the
// answer is IKEv1's authentication method (RFC 2409 section 5.1 and appendix A).
type Sign struct {
	Version       uint8  // 1; 0 and 2 are IKEv2
	Auth          string // the connection's setting, "psk"; chooses the plugin
	Local, Remote Identity
	PRF           uint16
	Octets        []byte   // what is signed, RFC 7296 section 2.15
	PeerHashes    []uint16 // hash algorithms of SIGNATURE_HASH_ALGORITHMS (RFC 7427), nil when the peer sent none
	Issuers       [][]byte // authorities whose certificates the peer asked for, SHA-1 of their public keys (RFC 7296 section 3.7)
}

// Signed carries our AUTH data.
type Signed struct {
	Method uint8 // RFC 7296 section 3.8
	Data   []byte
	Certs  [][]byte // DER, the end certificate first
}

// Verify asks an authenticator to check the peer's AUTH payload, or what takes its place in IKEv1. Answer: Verified, or an error of kind Refused.
type Verify struct {
	Version       uint8 // as for Sign
	Auth          string
	Local, Remote Identity // Remote is claimed
	PRF           uint16
	Octets        []byte
	Method        uint8
	Data          []byte
	Certs         [][]byte
}

// Verified carries the identity that was proved.
type Verified struct{ Remote Identity }

// Authenticate is a responder's Verify and Sign in one call: Sign happens only after Verify succeeded. Answer:
// Authenticated.
type Authenticate struct {
	Verify Verify
	Sign   Sign
}

// Authenticated is the answer to both parts.
type Authenticated struct {
	Verified Verified
	Signed   Signed
}

// AllocateSPI asks an SA backend for an inbound SPI. Answer: AllocatedSPI.
type AllocateSPI struct {
	Backend       string // "" for the daemon's default
	Local, Remote netip.Addr
}

// AllocatedSPI carries the SPI, never below 256 (RFC 4303 section 2.1).
type AllocatedSPI struct{ SPI uint32 }

// FreeSPI gives an SPI back that was allocated and never installed; one that is not there is a success. Answer: Freed.
type FreeSPI struct {
	Backend       string
	Local, Remote netip.Addr
	SPI           uint32
}

// Freed confirms that an SPI is free.
type Freed struct{}

// InstallChild asks an SA backend for both SAs and all policies of a child in one call. Answer: Installed.
type InstallChild struct{ Child ChildSA }

// Installed confirms an installation.
type Installed struct{}

// UpdateChild asks an SA backend to bring a child that it holds to a new description: other outer addresses, ports or
// encapsulation, or an outbound SA that is no longer held back. What identifies the child (UID, SPIs) and its keys stay as
// they were, and sequence numbers go on. Answer: Installed.
type UpdateChild struct{ Child ChildSA }

// RemoveChild asks an SA backend to remove a child and its policies; a child that is not there is a success. Answer:
// Removed. Only UID, Backend, addresses and SPIs of Child matter.
type RemoveChild struct{ Child ChildSA }

// Removed carries the final counters, zero when the backend had none.
type Removed struct{ Traffic event.Traffic }

// QueryUsage asks an SA backend for a child's counters. Answer: Usage.
type QueryUsage struct{ Child ChildSA }

// Usage carries a child's counters.
type Usage struct{ Traffic event.Traffic }

// ChildSA is the complete, deterministic description of a child SA: what an SA backend needs to know, and no more.
// Numbers are IANA's IKEv2 transform IDs.
type ChildSA struct {
	UID               event.UID
	Backend           string
	Conn, Name        string
	ReqID             uint32 // links policies and SAs in kernels
	SPIIn, SPIOut     uint32
	Mode              Mode
	Local, Remote     netip.Addr // outer addresses
	LocalPort         uint16     // UDP ports when Encap
	RemotePort        uint16
	Encap             bool // ESP in UDP (RFC 3948)
	Encr              uint16
	KeyBits           uint16
	Integ             uint16
	ESN               bool
	EncrIn, EncrOut   secret.Bytes // with the salt at the end for AEAD ciphers
	IntegIn, IntegOut secret.Bytes
	ReplayWindow      uint32 // packets, 0 turns the check off
	LocalTS, RemoteTS []Selector

	// Held keeps the outbound SA from being used: the child that it replaces goes on sending until UpdateChild brings a
	// description without Held (RFC 7296 section 2.8). The inbound SA works at once.
	Held bool
	// Soft and Hard say how much the child may carry before ChildExpired. Lifetimes by time are the core's affair.
	Soft, Hard Volume
	// TFC is the length to which inner packets are padded in tunnel mode (RFC 4303 section 2.7), in octets: 0 for none.
	TFC uint16
	// Addresses are inner addresses of ours that the peer assigned (RFC 7296 section 2.19); the backend gives them to the
	// machine as long as the child is there.
	Addresses []netip.Addr
	Handling  Handling
}

// Handling says how the data plane treats the packets of a child, beside protecting them; see policy.Handling. Marks with a mask
// of 0 are none.
type Handling struct {
	Mark, MarkMask             uint32
	OutputMark, OutputMarkMask uint32
	IfID                       uint32
	Interface, Netns           string
	ClearDF, IgnoreECN         bool
	DSCP                       uint8 // 0 outwards, 1 inwards, 2 both, 3 neither
	Offload                    uint8 // 0 none, 1 auto, 2 packet, 3 crypto
	OffloadDevice              string
	OffloadRequired            bool
}

// Volume is an amount of traffic in one direction; a zero field has no limit.
type Volume struct{ Bytes, Packets uint64 }

// Wipe overwrites the keys. Copies of c share them.
func (c *ChildSA) Wipe() {
	for _, k := range []secret.Bytes{c.EncrIn, c.EncrOut, c.IntegIn, c.IntegOut} {
		k.Wipe()
	}
}

// Clone returns the child with keys of its own.
func (c ChildSA) Clone() ChildSA {
	c.EncrIn, c.EncrOut, c.IntegIn, c.IntegOut = c.EncrIn.Clone(), c.EncrOut.Clone(), c.IntegIn.Clone(), c.IntegOut.Clone()
	return c
}

// WipeChildren overwrites the keys of all.
func WipeChildren(all []ChildSA) {
	for i := range all {
		all[i].Wipe()
	}
}

// Mode is the IPsec mode (RFC 4301 section 3.2).
type Mode uint8

// Modes.
const (
	Tunnel Mode = iota
	Transport
)

// Selector is one traffic selector: an address range, a protocol (0: any) and a port range. For ICMP the ports hold
// type and code (RFC 7296 section 3.13.1).
type Selector struct {
	Protocol           uint8
	StartPort, EndPort uint16
	Start, End         netip.Addr
}

func (KEInitiate) op()   {}
func (KERespond) op()    {}
func (KEFinish) op()     {}
func (Sign) op()         {}
func (Verify) op()       {}
func (Authenticate) op() {}
func (AllocateSPI) op()  {}
func (FreeSPI) op()      {}
func (InstallChild) op() {}
func (UpdateChild) op()  {}
func (RemoveChild) op()  {}
func (QueryUsage) op()   {}

func (KEInitiated) result()   {}
func (KEResponded) result()   {}
func (KEFinished) result()    {}
func (Signed) result()        {}
func (Verified) result()      {}
func (Authenticated) result() {}
func (AllocatedSPI) result()  {}
func (Freed) result()         {}
func (Installed) result()     {}
func (Removed) result()       {}
func (Usage) result()         {}

// Clone gives an op secrets of its own, so that an SA can wipe its own while a plugin host still reads.
func Clone(op Op) Op {
	switch op := op.(type) {
	case KEFinish:
		op.State = op.State.Clone()
		return op
	case InstallChild:
		op.Child = op.Child.Clone()
		return op
	case UpdateChild:
		op.Child = op.Child.Clone()
		return op
	case Protect:
		op.Plain = slices.Clone(op.Plain)
		for i, p := range op.Plain {
			op.Plain[i] = p.Clone()
		}
		return op
	case CheckPassword:
		op.Password = op.Password.Clone()
		return op
	}
	return op
}

// Wipe overwrites the secrets of an answer that nobody takes.
func Wipe(r Result) {
	switch r := r.(type) {
	case KEInitiated:
		r.State.Wipe()
	case KEResponded:
		r.Secret.Wipe()
	case KEFinished:
		r.Secret.Wipe()
	case SKEYIDDerived:
		r.Value.Wipe()
	case Unprotected:
		wipeAll(r.Plain)
	case OwnPasswordFound:
		r.Password.Wipe()
	}
}
