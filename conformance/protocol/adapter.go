package protocol

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// Adapter starts one kind of daemon. It is all that the cases know of it.
type Adapter interface {
	// Name is what reports call the daemon.
	Name() string
	// Start starts a daemon that is a member of every connection, as Settings say. An error that wraps ErrCannot says that
	// this kind has no such setting: its cases are skipped.
	Start(ctx context.Context, place Place, s Settings, all []Connection) (Daemon, error)
}

// Daemon is a daemon that runs. Its methods are safe for concurrent use, but for Stop. Errors that wrap ErrCannot say that the
// daemon has no such command: the case is skipped.
type Daemon interface {
	// Order gives the daemon a command and returns before it is carried out.
	Order(ctx context.Context, o Order, connection string) error
	// Count tells how many IKE SAs and child SAs of a connection are established.
	Count(ctx context.Context, connection string) (ike, child int, err error)
	// Load tells what the daemon holds.
	Load(ctx context.Context) (Load, error)
	// Told reports whether the daemon has raised an event of some name, or whose name begins so, with certain words in it.
	Told(ctx context.Context, name, words string) (bool, error)
	// Log is what the daemon wrote so far.
	Log() string
	// Stop ends the daemon.
	Stop() error
}

// Load is what a daemon holds.
type Load struct {
	SAs    int   // IKE SAs and child SAs in whatever state, of all connections
	Memory int64 // octets in its own process, 0 when that cannot be told
}

// ErrCannot says that a daemon lacks a setting or a command.
var ErrCannot = errors.New("protocol: this daemon cannot")

// Order is a command to a daemon.
type Order string

// Orders.
const (
	Up         Order = "bring up the connection"
	Down       Order = "take down the connection"
	DownChild  Order = "take down the child"
	UpSecond   Order = "bring up the second child"
	RekeyIKE   Order = "rekey the IKE SA"
	RekeyChild Order = "rekey the child"
	Redirect   Order = "send the client to Gateway"
	Reauth     Order = "have the authentication repeated"
)

// Place is where a daemon is to run.
type Place struct {
	NS   *lab.Namespace
	Addr netip.Addr // the daemon's
	Dir  string     // its folder, empty
}

// Settings are what concerns a daemon as a whole, in words that every daemon has. Cases with the same settings share one
// daemon.
type Settings struct {
	Cookies     bool          // demand a cookie for every first message while there is any half-open SA
	Retransmit  time.Duration // the first pause, which doubles; 0: longer than any case takes
	Tries       int           // retransmissions before the peer is given up; 0: 5
	Liveness    time.Duration // silence after which the peer is asked; 0: never
	Keepalive   time.Duration // between NAT keepalives; 0: whatever
	HalfOpen    time.Duration // how long a half-open SA is kept; 0: whatever
	Fragments   int           // octets of the largest datagram; 0: whatever
	LifeChild   time.Duration // after which a child is rekeyed; 0: never
	LifeIKE     time.Duration // after which an IKE SA is rekeyed; 0: never
	Window      int           // requests of the peer that are taken at a time; 0: 1
	Pool        bool          // lease an internal address to whoever asks
	PoolMust    bool          // and refuse those who do not ask
	AskAddress  bool          // ask the peer for an internal address
	Transport   bool          // transport mode
	MOBIKE      bool          // support it
	IPv6        bool          // the outer addresses are of IPv6
	TwoChildren bool          // the connections have a second child
	Redirect    string        // "init" or "auth": the exchange in which clients that permit it are sent to Gateway
	Follow      bool          // go where a gateway sends us
	Childless   string        // "never", "prefer" or "force" IKE_AUTH without a child; "": whatever
	Kept        bool          // the connections are to be up: the daemon brings them up itself, and tries again soon
	Certified   bool          // authenticate and be authenticated by certificates of the authority in case_certificate.go
	Reauth      time.Duration // how long an authentication is trusted; 0: for ever
	IKEv1       string        // "main" or "aggressive": speak IKEv1, begin it that way, and take aggressive mode with pre-shared keys only then
	PFS         bool          // IKEv1: a child has a key exchange of its own, in Groups; without it, none has
}

// Groups are those of IKEv1's children where they have a key exchange of their own.
const Groups = "x25519-modp2048"

// longPause is the pause before a retransmission where cases want none.
const longPause = 30 * time.Second

// Connection is one connection of the daemon with the peer of one case. A case tunes it before the daemon starts.
type Connection struct {
	Name      string
	Peer      netip.Addr
	PeerID    Identity
	PeerTS    string   // the network behind the peer, such as "10.200.7.0/24"
	Key       string   // the pre-shared key
	KeyHex    bool     // it is given to the daemon in hexadecimal
	MODPFirst bool     // the daemon prefers MODP-2048 to X25519, and CBC, and nothing else
	Selectors []string // what the daemon wants of its own network, such as "10.1.0.0/16[tcp/80]"; none: DaemonTS
}

// Identity is what an ID payload says (RFC 7296 section 3.5).
type Identity struct {
	Kind uint8
	Data string // octets
}

// FQDN is an identity that is a name.
func FQDN(name string) Identity { return Identity{peer.IDFQDN, name} }

// Body returns the body of the ID payload.
func (i Identity) Body() []byte { return append([]byte{i.Kind, 0, 0, 0}, i.Data...) }

// String writes the identity as daemons' configurations do.
func (i Identity) String() string {
	if a, ok := netip.AddrFromSlice([]byte(i.Data)); ok && (i.Kind == peer.IDIPv4 || i.Kind == peer.IDIPv6) {
		return a.String()
	}
	return i.Data
}

// What all connections have in common.
const (
	DaemonID = "daemon.example.net"
	DaemonTS = "10.1.0.0/16"
	SecondTS = "10.2.0.0/16" // of the second child, when there is one
	PoolNet  = "10.3.0.0/16" // addresses that are leased
	PoolDNS  = "10.3.0.1"    // what is told with them
	Gateway  = "192.0.2.200" // where clients are sent
)
