package machine

import (
	"net/netip"
	"time"

	"github.com/parley-ike/parley/bus/event"
)

// Admit asks the driver, who sees all SAs, whether there is a place for one more between two identities. It is asked when
// the peer is known and before it is told that it is authenticated. The driver remembers who asked until that SA has
// ended. Answer: Admitted.
type Admit struct {
	Conn string
	IKE  event.IKESA // what is known of the SA, with both identities
	UID  event.UID
	// Begun is when the first message of the SA was sent or received.
	Begun time.Time
	// Keep refuses this SA when the connection has another one between the identities.
	Keep bool
	// Contact says that the peer knows of no other SA (INITIAL_CONTACT of RFC 7296 section 2.4).
	Contact bool
	// Replaces is an SA that this one is to take the place of, and that may not keep it out; zero for none.
	Replaces event.UID
}

// Admitted is the answer to Admit.
type Admitted struct {
	Others  int       // further SAs between the identities, those on their way included
	Instead event.UID // not zero: this SA stays, and the one that asked may not be
}

// Replaced is the command to give way to another SA between the same identities. An SA that is not established ignores it.
type Replaced struct {
	By    event.UID
	Cause ReplaceCause
	// Grace is how long the peer may take to delete the SA by itself; zero: not at all.
	Grace time.Duration
}

// ReplaceCause says why an SA has to give way.
type ReplaceCause uint8

// Causes of replacement.
const (
	ReplaceUnique   ReplaceCause = iota // the connection permits one SA only
	ReplaceReauth                       // the other SA took over its children
	ReplaceRedirect                     // the peer was sent elsewhere
	ReplaceContact                      // the peer said INITIAL_CONTACT: it does not know this SA, and need not be told
	ReplaceNot                          // the other SA has ended within the time of grace: this one stays after all
)

// Reauthenticate is the command to authenticate the peer anew, by an SA from its beginning (RFC 7296 section 2.8.3). Of the two
// sides the original initiator begins; the other one asks it to.
type Reauthenticate struct{}

// Renew asks the driver for a new SA to the same peer, which is to take over children by name. It is a machine of its own, that
// is given Initiate with Replaces; when it has the children and emits IKEReauthenticated, the driver gives the old one
// Replaced. While one is on its way a driver makes no other.
//
// With To set the peer sent us to another gateway (RFC 5685), to which the new SA goes; it takes the place of the old one only
// if that was established.
type Renew struct {
	Children   []string
	To         Gateway
	Redirected Redirected
}

// Gateway is where a peer sends us, by address or by DNS name.
type Gateway struct {
	Addr netip.Addr
	Host string
}

// GatewayOf reads an address or a name; "" is no gateway.
func GatewayOf(text string) Gateway {
	if a, err := netip.ParseAddr(text); err == nil {
		return Gateway{Addr: a.Unmap()}
	}
	return Gateway{Host: text}
}

// String returns the address or the name.
func (g Gateway) String() string {
	if g.Addr.IsValid() {
		return g.Addr.String()
	}
	return g.Host
}

// Redirected tells who sent us to a gateway, and when we were sent around on the way there.
type Redirected struct {
	From netip.Addr // zero: nobody
	At   []time.Time
}

// Redirect is the command to send a client elsewhere.
type Redirect struct{ To Gateway }

func (Admit) op()        {}
func (Admitted) result() {}
func (Replaced) input()  {}

func (Reauthenticate) input() {}
func (Redirect) input()       {}
func (Renew) effect()         {}
