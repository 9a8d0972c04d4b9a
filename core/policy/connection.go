package policy

import (
	"math"
	"net/netip"
	"time"
)

// Connection is what an operator allows between us and one peer, or a group of peers that one pattern describes.
type Connection struct {
	Name          string
	Local, Remote Endpoint
	IKE           []Proposal
	Children      []*Child
	Retransmit    Retransmit
	Messages
	Liveness     time.Duration // idle time before the peer is asked whether it lives (RFC 7296 section 2.4); 0: never
	HalfOpen     time.Duration // how long an IKE SA may take to be established
	NATKeepalive time.Duration // RFC 3948 section 4
	CallBudget   time.Duration // how long one plugin call may take
	ForceEncap   bool          // ESP in UDP though there is no NAT
	Lifetime     Lifetime      // of the IKE SA
	MaxChildren  int           // child SAs of one IKE SA; a peer that wants more gets NO_ADDITIONAL_SAS (RFC 7296 section 1.3)
	Session
	Addresses
	MOBIKE bool // the SA may move to other addresses (RFC 4555)
	// Version is the major version of IKE: 1, 2 or AnyVersion; 0 is 2.
	Version uint8
	// Aggressive has us initiate IKEv1 in aggressive mode instead of main mode (RFC 2409 section 5). Main mode is answered always.
	Aggressive bool
	// AllowAggressivePSK has us answer aggressive mode with a pre-shared key, which gives everybody who asks a hash by which keys can be
	// guessed offline.
	AllowAggressivePSK bool
	// RSADeviation has us speak public key encryption of IKEv1 as a peer does that deviates from RFC 2409.
	RSADeviation RSADeviation
}

// Child returns the child of that name.
func (c *Connection) Child(name string) (*Child, bool) {
	for _, child := range c.Children {
		if child.Name == name {
			return child, true
		}
	}
	return nil, false
}

// Endpoint is one side of a connection.
type Endpoint struct {
	Addr       netip.Addr     // zero: any
	Host       string         // DNS name that Addr is to be resolved from, when we initiate; "" when there is none
	Prefixes   []netip.Prefix // where a peer may come from; empty with a zero Addr: anywhere
	Additional []netip.Addr   // of ours: where else a peer that can MOBIKE reaches us (RFC 4555 section 3.4)
	Identity   Identity
	Auth       string // "psk", "signature"
	// Users are who the side has to prove to be in extended authentication of IKEv1: of ours one, of the peer's any of them, AnyUser
	// all that have a password. None: there is no such authentication.
	Users    []string
	SendCert SendCertificate
}

// Child is what an operator allows for one pair of child SAs.
type Child struct {
	Name              string
	LocalTS, RemoteTS []Selector
	LocalAssigned     bool // the addresses that the peer assigns to us come to LocalTS
	RemoteAssigned    bool // the addresses that we assign to the peer come to RemoteTS
	ESP               []Proposal
	Mode              Mode
	Start             Start
	OnDead            OnDead
	TFC               uint16 // length to pad inner packets to, in octets; 0: none (RFC 4303 section 2.7)
	Barred            string // why it cannot be made here, for want of an SA backend; "" when it can
	Backend           string // "": the daemon's choice
	BackendReason     string // why it is this one; "" until somebody has chosen
	Handling          Handling
	ReplayWindow      uint32 // packets; 0 turns the check off
	Lifetime          Lifetime
}

// Mode is the IPsec mode (RFC 4301 section 3.2).
type Mode uint8

// Modes.
const (
	Tunnel Mode = iota
	Transport
)

var modeWords = []string{"tunnel", "transport"}

// ModeWords lists the words of the configuration, in the order of the modes.
func ModeWords() []string { return modeWords }

// String returns the mode's word in the configuration.
func (m Mode) String() string { return nth(modeWords, m) }

// Start says who brings a child up.
type Start uint8

// Ways to start.
const (
	StartNone Start = iota // the peer or an operator
	StartUp                // we do, when the daemon starts
	StartTrap              // we do, when there is traffic
)

// String returns the word in the configuration: "none", "up" or "trap".
func (s Start) String() string {
	words := [...]string{"none", "up", "trap"}
	if int(s) < len(words) {
		return words[s]
	}
	return "unknown"
}

// Retransmit says how often and when a request is sent again (RFC 7296 section 2.4).
type Retransmit struct {
	Initial time.Duration // wait after the first transmission
	Factor  float64       // by which each wait is longer than the last
	Max     time.Duration // of one wait
	Tries   int           // retransmissions; after the wait of the last one the request is given up
}

// DefaultRetransmit returns the safe default: a dozen retransmissions over two minutes. RFC 7296 section 2.4 suggests "at
// least a dozen times over a period of at least several minutes"; the waits double nearly, so that a busy peer is not
// flooded, up to 15 s, so that a peer that comes back is found soon.
func DefaultRetransmit() Retransmit {
	return Retransmit{Initial: 500 * time.Millisecond, Factor: 1.8, Max: 15 * time.Second, Tries: 12}
}

// After returns the wait after a transmission: try 0 is the first one, try n the n-th retransmission. It never falls with
// growing try and never exceeds Max.
func (r Retransmit) After(try int) time.Duration {
	wait := float64(r.Initial) * math.Pow(max(r.Factor, 1), float64(max(try, 0)))
	if wait >= float64(r.Max) { // also for an infinite one
		return max(r.Max, 0)
	}
	return time.Duration(wait)
}

// Total returns how long a request that nobody answers is alive.
func (r Retransmit) Total() time.Duration {
	var sum time.Duration
	for try := range r.Tries + 1 {
		sum += r.After(try)
	}
	return sum
}

// Defaults of a connection.
const (
	// DefaultAuth is the authenticator of a side that names none.
	DefaultAuth = "psk"
	// DefaultLiveness notices a dead peer within half a minute of silence and the retransmissions that follow.
	DefaultLiveness = 30 * time.Second
	// DefaultHalfOpen leaves time for a slow peer and some lost packets, and little to a flood.
	DefaultHalfOpen = 30 * time.Second
	// DefaultNATKeepalive is RFC 3948 section 4.
	DefaultNATKeepalive = 20 * time.Second
	// DefaultCallBudget is far above what a healthy plugin takes, below what a peer waits before it gives up.
	DefaultCallBudget = 5 * time.Second
	// DefaultMaxChildren is far above what connections have children, with each of them twice while it is rekeyed, and bounds
	// what a peer can make us install.
	DefaultMaxChildren = 64
	// DefaultReplayWindow is RFC 4303 section 3.4.3, in packets.
	DefaultReplayWindow = 64
)

// ApplyDefaults gives everything that is zero its safe default, the children included. So a zero that means "off" is set
// afterwards. Identities that are not set become the address of their side; a remote side without one may be anybody.
func (c *Connection) ApplyDefaults() {
	c.Local.applyDefaults()
	c.Remote.applyDefaults()
	if len(c.IKE) == 0 {
		c.IKE = DefaultIKE()
	}
	c.Retransmit.applyDefaults()
	c.Messages.applyDefaults()
	setDefault(&c.Liveness, DefaultLiveness)
	setDefault(&c.HalfOpen, DefaultHalfOpen)
	setDefault(&c.NATKeepalive, DefaultNATKeepalive)
	setDefault(&c.CallBudget, DefaultCallBudget)
	setDefault(&c.MaxChildren, DefaultMaxChildren)
	setDefault(&c.Lifetime.Time, DefaultIKELifetime)
	c.Session.applyDefaults()
	for _, child := range c.Children {
		child.applyDefaults(c)
	}
}

func (e *Endpoint) applyDefaults() {
	setDefault(&e.Auth, DefaultAuth)
	if e.Identity.IsAny() && e.Addr.IsValid() {
		e.Identity = AddressIdentity(e.Addr)
	}
}

func (r *Retransmit) applyDefaults() {
	d := DefaultRetransmit()
	setDefault(&r.Initial, d.Initial)
	setDefault(&r.Factor, d.Factor)
	setDefault(&r.Max, d.Max)
	setDefault(&r.Tries, d.Tries)
}

// applyDefaults selects what is assigned where no selectors are given and addresses are, else the hosts themselves where
// their address is known.
func (c *Child) applyDefaults(conn *Connection) {
	c.LocalAssigned = c.LocalAssigned || len(c.LocalTS) == 0 && len(conn.Virtual) > 0
	c.RemoteAssigned = c.RemoteAssigned || len(c.RemoteTS) == 0 && len(conn.Pools) > 0
	if len(c.LocalTS) == 0 && !c.LocalAssigned {
		c.LocalTS = conn.Local.selectors()
	}
	if len(c.RemoteTS) == 0 && !c.RemoteAssigned {
		c.RemoteTS = conn.Remote.selectors()
	}
	if len(c.ESP) == 0 {
		c.ESP = DefaultESP()
	}
	setDefault(&c.ReplayWindow, DefaultReplayWindow)
	setDefault(&c.Lifetime.Time, DefaultChildLifetime)
	c.OnDead.applyDefaults(c.Start)
}

func (e *Endpoint) selectors() []Selector {
	if !e.Addr.IsValid() {
		return nil
	}
	a := e.Addr.Unmap().WithZone("")
	return []Selector{SelectorOf(netip.PrefixFrom(a, a.BitLen()))}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
