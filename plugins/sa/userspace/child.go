package userspace

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/parley-ike/parley/plugins/sa/userspace/esp"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

// minSPI is the first SPI that may be used (RFC 4303 section 2.1).
const minSPI = 256

// child is an installed child. What is not atomic never changes.
type child struct {
	sa.Child // without its keys
	keys     [2][16]byte
	suite    esp.Suite
	born     uint64 // grows with each child; updates keep it
	rules    []rule
	slot     *slot
	out      *esp.Sealer // of the outbound goroutine
	in       *inbound
	socket   *socket
	peer     sockaddr
	limits   limits
	trap     *trap        // this is none, but a trap's
	movedAt  atomic.Int64 // Unix second in which it was told that the peer is elsewhere
	full     int          // largest inner packet that the path took at installation
	mtu      atomic.Int32 // largest inner packet now
}

// inbound is the receiving half; two incarnations of a child with the same inbound keys share it.
type inbound struct {
	mu     sync.Mutex // a packet's check, opening and update are one step
	opener *esp.Opener
	window *esp.Window
}

// newChild checks a description and sets up its keys. It has no slot and no socket yet.
func newChild(c sa.Child) (*child, error) {
	suite, err := esp.Lookup(c.Encr, c.KeyBits, c.Integ)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, sdk.ErrUnsupported)
	}
	if err := check(&c); err != nil {
		return nil, err
	}
	n := &child{Child: c, suite: suite, limits: newLimits(&c)}
	n.keys = keysOf(&c)
	n.EncrIn, n.EncrOut, n.IntegIn, n.IntegOut = nil, nil, nil, nil
	if n.rules, err = makeRules(n); err != nil {
		return nil, err
	}
	p := esp.Params{Suite: suite, SPI: c.SPIOut, ESN: c.ESN, Encr: c.EncrOut, Integ: c.IntegOut}
	_, _ = rand.Read(p.IVKey[:])
	if n.out, err = esp.NewSealer(p); err != nil {
		return nil, fmt.Errorf("%w: %w", err, sdk.ErrInvalid)
	}
	p.SPI, p.Encr, p.Integ = c.SPIIn, c.EncrIn, c.IntegIn
	opener, err := esp.NewOpener(p)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, sdk.ErrInvalid)
	}
	n.in = &inbound{opener: opener}
	n.peer = newSockaddr(n.remoteAddr())
	return n, nil
}

// keysOf names the inbound and outbound keys of a child.
func keysOf(c *sa.Child) [2][16]byte {
	return [2][16]byte{fingerprint(c.Encr, c.EncrIn, c.IntegIn), fingerprint(c.Encr, c.EncrOut, c.IntegOut)}
}

// check refuses what cannot work, before anything is changed.
func check(c *sa.Child) error {
	var problem string
	kind := sdk.ErrInvalid
	switch {
	case c.Mode != sa.Tunnel:
		problem, kind = "transport mode; use tunnel mode, or the xfrm backend", sdk.ErrUnsupported
	case c.ReplayWindow > maxReplayWindow:
		problem, kind = fmt.Sprintf("replay window of %d packets; at most %d", c.ReplayWindow, maxReplayWindow), sdk.ErrUnsupported
	case len(c.Handling.Needs()) > 0:
		problem, kind = strings.Join(c.Handling.Needs(), ", ")+"; leave it out, or use the xfrm backend", sdk.ErrUnsupported
	case c.SPIIn < minSPI || c.SPIOut < minSPI:
		problem = "an SPI below 256 (RFC 4303 section 2.1)"
	case !c.Local.IsValid() || c.Local.BitLen() != c.Remote.BitLen() || c.Local.Is4In6() || c.Remote.Is4In6():
		problem = fmt.Sprintf("outer addresses %v and %v are not two of one family", c.Local, c.Remote)
	case c.Encap && (c.LocalPort == 0 || c.RemotePort == 0):
		problem = "UDP encapsulation without ports"
	default:
		return nil
	}
	return fmt.Errorf("%s: %w", problem, kind)
}

func (c *child) remoteAddr() netip.AddrPort {
	if !c.Encap {
		return netip.AddrPortFrom(c.Remote, 0)
	}
	return netip.AddrPortFrom(c.Remote, c.RemotePort)
}

// same tells whether two descriptions are equal, keys included.
func (c *child) same(o *child) bool {
	return c.keys == o.keys && reflect.DeepEqual(c.Child, o.Child)
}

// adopt takes over from the incarnation that c replaces what both have in common.
func (c *child) adopt(old *child) {
	if c.keys[0] == old.keys[0] && c.SPIIn == old.SPIIn && c.ESN == old.ESN && c.ReplayWindow == old.ReplayWindow {
		c.in = old.in
	}
	if c.keys != old.keys {
		return
	}
	c.born = old.born
	if c.Soft == old.Soft && c.Hard == old.Hard {
		c.limits.told = old.limits.told
	}
}

// next hands the next outbound sequence number out: it is counted in the mapping before anyone uses it. False when the SA
// has none left, since it must never cycle (RFC 4303 section 3.3.3).
func (c *child) next() (uint64, bool) {
	n := c.slot.sent.Add(1)
	return n, c.ESN || n <= 1<<32-1
}

// overhead is what the path adds outside the ESP packet.
func (c *child) overhead() int {
	n := ipv4HeaderLen
	if c.Remote.Is6() {
		n = ipv6HeaderLen
	}
	if c.Encap {
		n += udpHeaderLen
	}
	return n
}

// fit returns the size of the largest inner packet for a path's MTU.
func (c *child) fit(path int) int { return c.suite.MaxPayload(path - c.overhead()) }

// limit is the size above which an inner packet is too big now; IPv6 is never asked for less than 1280 (RFC 8200 section 5).
func (c *child) limit(f *flow) int {
	n := int(c.mtu.Load())
	if f.src.Is6() {
		return max(n, ipv6MinMTU)
	}
	return n
}
