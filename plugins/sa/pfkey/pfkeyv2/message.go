package pfkeyv2

import (
	"net/netip"

	"github.com/parley-ike/parley/sdk/secret"
)

// Type is what a message asks for or tells (RFC 2367 section 3.1). The numbers to ten are those of every kernel; a dialect has
// numbers of its own for the rest.
type Type uint8

// Types of messages.
const (
	GetSPI Type = iota + 1
	Update
	Add
	Delete
	Get
	Acquire
	Register
	Expire
	Flush
	Dump
	SPDAdd     // a policy that must not be there yet
	SPDUpdate  // a policy that replaces one with its selector
	SPDDelete  // a policy, by its selector
	SPDDump    // all policies
	NewMapping // ESP in UDP came from elsewhere
	Migrate    // a policy and its SAs have other addresses
)

// States of an SA (RFC 2367 section 3.2).
const (
	Larval, Mature, Dying, Dead = 0, 1, 2, 3
)

// Message is one message; what is nil or empty is not in it.
type Message struct {
	Type     Type
	Errno    uint8 // of the kernel that answers
	ESP      bool  // the SA type is ESP; else it is unspecified, as in messages about policies
	Seq, PID uint32

	SA                  *SA
	Current, Hard, Soft *Lifetime
	Src, Dst, Proxy     *Address // of an SA, or the selector of a policy
	NewSrc, NewDst      *Address // where an SA moves to, in kernels that do so by Update or Migrate
	AuthKey, EncrKey    secret.Bytes
	Auths, Ciphers      []Algorithm // that a kernel supports
	Range               *SPIRange
	SA2                 *SA2
	Policy              *Policy
	NAT                 *NAT
}

// SA is the association itself (RFC 2367 section 2.3.1).
type SA struct {
	SPI           uint32
	Window        uint32 // of the replay check, in packets
	State         uint8
	Auth, Encrypt uint8 // numbers of the dialect
	Flags         uint32
}

// SA2 is KAME's addition: the mode, and what links SAs and policies. Linux has no ModeAny for SAs.
type SA2 struct {
	Mode  Mode
	ReqID uint32
}

// Mode is how KAME numbers the modes of IPsec.
type Mode uint8

// Modes.
const (
	ModeAny Mode = iota
	ModeTransport
	ModeTunnel
)

// Lifetime is a limit or a count (RFC 2367 section 2.3.2). Times are in seconds; for limits they count from the beginning, for
// counts they are seconds since 1970.
type Lifetime struct {
	Allocations      uint32 // Linux: packets
	Bytes            uint64
	AddTime, UseTime uint64
}

// Address is an address of an SA, or one side of a selector (RFC 2367 section 2.3.3).
type Address struct {
	Proto  uint8 // AnyProto: all
	Prefix netip.Prefix
	Port   uint16
}

// AnyProto stands for every protocol in the selectors of policies.
const AnyProto = 255

// SPIRange is what GetSPI may choose from (RFC 2367 section 2.3.9).
type SPIRange struct{ Min, Max uint32 }

// Algorithm is one that a kernel supports (RFC 2367 section 2.3.8).
type Algorithm struct {
	ID, IVLen        uint8
	MinBits, MaxBits uint16
}

// Direction of a policy.
type Direction uint8

// Directions. Linux alone has one for forwarded packets.
const (
	DirIn Direction = iota + 1
	DirOut
	DirFwd
)

// Action is what a policy does with packets.
type Action uint16

// Actions.
const (
	Discard Action = iota
	None
	IPsec
)

// Policy is a policy without its selector, which is Src and Dst of the message.
type Policy struct {
	Action   Action
	Dir      Direction
	ID       uint32 // the kernel's
	Priority uint32 // lower comes first
	Requests []Request
}

// Request is what SA a policy's packets need: in tunnel mode between these addresses. With a ReqID other than 0 it is one of those
// that have it.
type Request struct {
	Mode     Mode
	ReqID    uint32
	Src, Dst netip.Addr
}

// NAT is UDP encapsulation (RFC 3948): the ports of the SA's source and destination.
type NAT struct{ SrcPort, DstPort uint16 }
