// Package sa is the contract of SA backends: whatever carries packets under the security associations that the core
// negotiated. A backend receives complete, deterministic descriptions and is idempotent on them.
package sa

import (
	"context"
	"net/netip"

	"github.com/parley-ike/parley/sdk/secret"
)

// UID names a child SA for ever.
type UID [16]byte

// Mode is the IPsec mode (RFC 4301 section 3.2).
type Mode uint8

// Modes.
const (
	Tunnel Mode = iota
	Transport
)

// Selector is one traffic selector (RFC 7296 section 3.13.1): an address range, a protocol (0: any) and a port range;
// for ICMP the ports hold type and code.
type Selector struct {
	Protocol           uint8
	StartPort, EndPort uint16
	Start, End         netip.Addr
}

// Child describes both SAs of a child and its policies. Numbers are IANA's IKEv2 transform IDs.
type Child struct {
	UID               UID
	Owner             string // of the daemon; a backend never touches what others own
	Conn, Name        string
	ReqID             uint32
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

	// Held keeps the outbound SA from being used: another child with the same selectors goes on sending until Update brings a
	// description without Held (RFC 7296 section 2.8). The inbound SA works at once.
	Held bool
	// Soft and Hard say how much the child may carry, in either direction, before it is told to have expired.
	Soft, Hard Volume
	// TFC is the length to which inner packets are padded in tunnel mode (RFC 4303 section 2.7), in octets: 0 for none.
	TFC uint16
	// Addresses are inner addresses that the peer assigned to us (RFC 7296 section 2.19): this machine has them as long as a
	// child does.
	Addresses []netip.Addr
	Handling  Handling
}

// Volume is an amount of traffic in one direction; a zero field has no limit.
type Volume struct{ Bytes, Packets uint64 }

// Usage counts what crossed a child.
type Usage struct {
	BytesIn, BytesOut     uint64 // of inner packets
	PacketsIn, PacketsOut uint64
}

// Algorithm is an ESP transform that a backend can do.
type Algorithm struct {
	Type    uint8 // 1 encryption, 3 integrity (RFC 7296 section 3.3.2)
	ID      uint16
	KeyBits []uint16 // nil: the algorithm has one size
}

// Capabilities tell what a backend can do on this machine, now.
type Capabilities struct {
	Name            string // "userspace", "xfrm", "pfkey", "memory"
	Usable          bool
	Reason          string // why it is usable or not, and how to mend it
	Algorithms      []Algorithm
	Modes           []Mode
	ESN             bool
	Encap           bool // ESP in UDP
	MaxReplayWindow uint32
	Offload         string // "none", "crypto", "packet"
	Epoch           uint64 // changes when the data plane lost its state
	Traps           bool   // it implements Trapper
	TFC             bool   // it can pad inner packets
	// Settings of Handling, and actions of traps, that it can do: SettingMark and so on. A child is not given to a backend that
	// lacks what it needs.
	Settings []string
	// Devices are what the backend may give SAs to. What a device cannot do is carried in software, unless a child insists.
	Devices []Device
}

// Device is a network device that does ESP.
type Device struct {
	Name            string
	Packet, Crypto  bool // the modes of offload that it does
	Algorithms      []Algorithm
	ESN             bool
	MaxReplayWindow uint32
}

// Plugin is an SA backend. Implementations are safe for concurrent use; calls about one child come in order.
type Plugin interface {
	// Probe looks what works here; it changes nothing.
	Probe(ctx context.Context) (Capabilities, error)
	// AllocateSPI reserves an inbound SPI, never below 256 (RFC 4303 section 2.1).
	AllocateSPI(ctx context.Context, local, remote netip.Addr) (uint32, error)
	// FreeSPI gives an SPI back that was allocated and never installed. One that is not there, or that a child has, is left as
	// it is, and that is a success.
	FreeSPI(ctx context.Context, local, remote netip.Addr, spi uint32) error
	// Install makes both SAs and all policies, in an order that leaks nothing in clear. The same child again changes
	// nothing and is a success. An algorithm that cannot be done is an error that wraps sdk.ErrUnsupported.
	Install(ctx context.Context, c Child) error
	// Update brings an installed child to a new description: other outer addresses, ports or encapsulation, other limits, or an
	// outbound SA that is no longer held back. Its UID, SPIs, transforms and keys are those that it has, and its sequence
	// numbers go on. The same description again changes nothing and is a success. A child that is not there, because the backend
	// lost it meanwhile, is installed.
	Update(ctx context.Context, c Child) error
	// Remove ends a child and returns its final counters. A child that is not there is a success.
	Remove(ctx context.Context, c Child) (Usage, error)
	// Usage returns a child's counters.
	Usage(ctx context.Context, c Child) (Usage, error)
	// List returns the children of an owner that the data plane holds; keys may be missing.
	List(ctx context.Context, owner string) ([]Child, error)
}
