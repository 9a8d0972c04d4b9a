package mirror

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus"
)

// Mode says where the stream is.
type Mode string

// Modes.
const (
	Off      Mode = "off"      // no mirror
	Embedded Mode = "embedded" // nats-server in this process, store in StateDir/nats
	External Mode = "external" // a NATS server with JetStream elsewhere
)

// Defaults and limits of a Config.
const (
	DefaultMaxBytes  = 1 << 30             // of the stream: about a million events
	DefaultMaxAge    = 30 * 24 * time.Hour // of the stream
	DefaultOutbox    = 256 << 20           // unsent bytes on disk: about 250,000 events
	maxName          = 64                  // of node and boot: they are in every id, twice in every subject filter
	defaultEmbedded  = "PARLEY_EVENTS"
	embeddedURL      = "in-process"
	errNeedsListener = "mirror: the embedded server listens only with a certificate, its key and at least one user's public nkey: set listen.cert, listen.key and listen.users, or leave listen.address empty"
)

// Config configures a mirror. Node, Boot, StateDir and Bus are required unless Mode is Off.
type Config struct {
	Mode     Mode
	Node     string // name of this gateway: 1 to 64 letters, digits, ".", "-", "_"
	Boot     string // id of this run of the daemon, never used again; same alphabet
	Version  string // of the daemon
	StateDir string // holds outbox/ and, embedded, nats/; one mirror at a time uses it

	URL         string // external: "nats://host:4222" or "tls://..."; several with commas. Never with a password
	Credentials string // external: file with user JWT and seed
	NKeySeed    string // external: file with a user nkey seed
	TLS         TLS    // external
	Listen      Listen // embedded: off when the address is empty

	Stream   string        // default PARLEY_EVENTS when embedded, PARLEY_EVENTS_<node> when external
	MaxBytes int64         // of the stream, default DefaultMaxBytes
	MaxAge   time.Duration // of the stream, default DefaultMaxAge
	Outbox   int64         // bytes of the outbox, default DefaultOutbox, at least 32 MiB

	Bus *bus.Bus
	Log *zap.Logger // nil: none

	ring int // tests make it small
}

// TLS names PEM files for a connection to an external server. All empty: what the URL's scheme says, with the system's roots.
type TLS struct {
	CA, Cert, Key string
}

// Listen lets others connect to the embedded server. TLS and users are then mandatory; the users may read, not write.
type Listen struct {
	Address   string   // "host:port"
	Cert, Key string   // PEM files of the server
	ClientCA  string   // PEM file: also demand client certificates; optional
	Users     []string // public user nkeys ("U...")
}

var nameFormat = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

func validName(s string) bool { return len(s) <= maxName && nameFormat.MatchString(s) }

// complete checks c and fills in defaults.
func (c *Config) complete() error {
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Mode == Off {
		return nil
	}
	if !validName(c.Node) || !validName(c.Boot) {
		return fmt.Errorf("mirror: node %q or boot %q is not 1 to %d letters, digits, dots, dashes and underscores", c.Node, c.Boot, maxName)
	}
	if c.Bus == nil || c.StateDir == "" {
		return errors.New("mirror: a bus and a state directory are required")
	}
	if c.MaxBytes < 0 || c.MaxAge < 0 || c.Outbox < 0 {
		return errors.New("mirror: max_bytes, max_age and outbox must not be negative")
	}
	c.MaxBytes = orDefault(c.MaxBytes, DefaultMaxBytes)
	c.MaxAge = orDefault(c.MaxAge, DefaultMaxAge)
	c.Outbox = orDefault(c.Outbox, DefaultOutbox)
	c.ring = orDefault(c.ring, RingSize)
	switch c.Mode {
	case Embedded:
		c.Stream = orDefault(c.Stream, defaultEmbedded)
		return c.Listen.check()
	case External:
		c.Stream = orDefault(c.Stream, defaultEmbedded+"_"+string(appendToken(nil, c.Node)))
		return c.checkURL()
	}
	return fmt.Errorf("mirror: mode %q is none of off, embedded, external", c.Mode)
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func (l Listen) check() error {
	if l.Address != "" && (l.Cert == "" || l.Key == "" || len(l.Users) == 0) {
		return errors.New(errNeedsListener)
	}
	return nil
}

// checkURL refuses passwords in the URL: it is shown in events, states and logs. The errors do not repeat it.
func (c *Config) checkURL() error {
	if c.URL == "" {
		return errors.New("mirror: mode external needs a url, such as tls://nats.example.net:4222")
	}
	for part := range strings.SplitSeq(c.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil || u.Host == "" {
			return errors.New("mirror: the url is not of the form nats://host:port or tls://host:port")
		}
		if u.User != nil {
			return errors.New("mirror: the url contains a user or password: name a file in credentials or nkey_seed instead")
		}
	}
	if c.Credentials != "" && c.NKeySeed != "" {
		return errors.New("mirror: credentials and nkey_seed are both set: choose one")
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		return errors.New("mirror: tls.cert and tls.key belong together")
	}
	return nil
}

// address is what events and State call the server.
func (c *Config) address() string {
	if c.Mode == Embedded {
		return embeddedURL
	}
	return c.URL
}
