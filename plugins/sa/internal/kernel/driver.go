package kernel

import (
	"errors"
	"net/netip"

	"github.com/parley-ike/parley/sdk/sa"
)

// Driver speaks one of a kernel's interfaces to its security associations and policies. Of what another program made it changes
// nothing. Where something to be deleted is not there, that is a success. Descriptions come with the ReqID that NewReqID gave.
type Driver interface {
	// Check says what of a child cannot be carried, by an error that wraps sdk.ErrUnsupported or sdk.ErrInvalid.
	Check(c *sa.Child) error
	// NewReqID names a new family of children that share policies; taken tells which names are in use.
	NewReqID(wish uint32, taken func(uint32) bool) (uint32, error)

	// Reserve reserves an inbound SPI. Free ends that, and leaves an SA that has the SPI.
	Reserve(local, remote netip.Addr) (uint32, error)
	Free(local, remote netip.Addr, spi uint32) error

	// GetSA reads an SA, nil when there is none of ours.
	GetSA(c *sa.Child, h Half) (*State, error)
	// ListSAs reads all ESP SAs.
	ListSAs() (map[Place]*State, error)
	// PutSA makes one SA: over the reservation of its SPI, or anew; one that is there gets other ports and limits. A new one goes on
	// with the numbers, window and counters of from, if that is not nil.
	PutSA(c *sa.Child, h Half, from *State) error
	// MoveSA makes the SA of one direction what the new description says. Sequence numbers and window go on. t is a policy of the child.
	MoveSA(from, to *sa.Child, out bool, t Traffic) error
	DropSA(c *sa.Child, h Half) error

	// PutPolicy makes a policy lead to a child, also to one that has no SAs. Another's in its place is an error. ErrElsewhere asks for
	// the child's SAs to be made anew: the policy cannot be where the driver put them, and it will put them elsewhere.
	PutPolicy(c *sa.Child, t Traffic, dir uint8) error
	DropPolicy(t Traffic, dir uint8) error

	// Meaning adds to an error of the kernel what it means here and how to mend it.
	Meaning(err error) error
}

// ErrElsewhere is told of at PutPolicy.
var ErrElsewhere = errors.New("the SAs have to be elsewhere")

// Shunter is implemented by drivers that can let traffic pass in clear, or drop it.
type Shunter interface {
	// PutShunt makes a policy that leads to no SA. Another's in its place is an error.
	PutShunt(action sa.Action, t Traffic, dir uint8) error
}

// Handler is implemented by drivers that can do more than the default of sa.Handling.
type Handler interface {
	// Settings names what it can do, as in sa.Capabilities.
	Settings() []string
}

// State is what a kernel tells of an SA.
type State struct {
	ReqID          uint32
	Bytes, Packets uint64 // that it has carried
	Detail         any    // what the driver needs to go on with it
}

// Half is one direction of a child.
type Half struct {
	Out              bool
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
	SPI              uint32
	Window           uint32
	Encr, Integ      []byte // keys
}

// outboundWindow is asked for by Linux on outbound SAs with ESN too.
const outboundWindow = 32

// Inbound is the SA on which the peer's packets come.
func Inbound(c *sa.Child) Half {
	return Half{false, c.Remote, c.Local, c.RemotePort, c.LocalPort, c.SPIIn, c.ReplayWindow, c.EncrIn, c.IntegIn}
}

// Outbound is the SA on which ours go.
func Outbound(c *sa.Child) Half {
	return Half{true, c.Local, c.Remote, c.LocalPort, c.RemotePort, c.SPIOut, outboundWindow, c.EncrOut, c.IntegOut}
}

// Direction is the outbound half or the inbound one.
func Direction(c *sa.Child, out bool) Half {
	if out {
		return Outbound(c)
	}
	return Inbound(c)
}

// halves are the SAs that the kernel has of a child: an outbound SA that is held back is made when it is to be used, since a
// kernel sends on the youngest of a reqid.
func halves(c *sa.Child) []Half {
	if c.Held {
		return []Half{Inbound(c)}
	}
	return []Half{Inbound(c), Outbound(c)}
}

// Place is what names an SA in a kernel.
type Place struct {
	Dst netip.Addr
	SPI uint32
}

// At is where the half is.
func (h Half) At() Place { return Place{h.Dst, h.SPI} }
