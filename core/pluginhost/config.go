package pluginhost

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/core/machine"
)

// Entry is one plugin process of the catalogue.
type Entry struct {
	Name       string // unique: "ke", "acme-hsm"
	Path       string // absolute
	SHA256     string // of the file, hex; empty: not checked but logged, meant for the binary beside the daemon only
	Args       []string
	Kinds      []string // what it must provide: "ke", "auth", "cred", "sa"
	Services   []ServiceConfig
	Privileges []string // "CAP_NET_ADMIN"; the network ones are for sa plugins only
	User       string   // runs as, empty: as the daemon; needs a daemon that may change users
	Files      map[string]*os.File
	Env        map[string]string
}

// ServiceConfig is the configuration of one service of a process, and the demand that it be there.
type ServiceConfig struct {
	Kind, Name string
	JSON       []byte
}

// Config is what a Host needs. Zero durations and counts take the defaults below.
type Config struct {
	Entries        []Entry
	Owner          string // of this daemon, in SA backends; stable over restarts
	Node           string
	RuntimeDir     string // holds sockets and the plugins' own folders; made when missing
	DefaultBackend string // SA backend of calls that name none; SetDefaultBackend changes it
	Log            *zap.Logger
	Bus            *bus.Bus
	// Sink takes what comes back, in batches, from several goroutines at once and never from within Submit. It must not
	// wait, for the plugin's other replies wait behind it.
	Sink func([]machine.Return)
	// Told takes what an SA backend tells about a child by itself: machine.ChildExpired, ChildMoved or ChildLost. Acquired takes
	// that there is traffic for a trap. Like Sink they must not wait.
	Told     func(backend string, in machine.Input)
	Acquired func(backend string, a Acquire)

	Window        int           // calls in flight per plugin
	StartTimeout  time.Duration // until the handshake is complete and the configuration applied
	CallTimeout   time.Duration // of calls that have no deadline
	HealthEvery   time.Duration
	HealthTimeout time.Duration
	UnhealthyMax  int           // so many failed checks in a row and the plugin is restarted
	StopGrace     time.Duration // between the request to end and SIGKILL
	Restart       Restart
	GRPCOnly      bool // leave the framed carrier unused
}

// Restart says how a dead plugin is brought back.
type Restart struct {
	First, Max time.Duration // pause before the first restart, doubled up to Max; each with a fifth of jitter
	Budget     int           // so many deaths within Within, and the plugin is degraded
	Within     time.Duration
	Slow       time.Duration // pause between attempts of a degraded or rejected plugin
}

// Defaults.
const (
	DefaultWindow        = 1024 // four times the 256 in flight at which plugins cost least
	DefaultStartTimeout  = 10 * time.Second
	DefaultCallTimeout   = 30 * time.Second
	DefaultHealthEvery   = 10 * time.Second
	DefaultHealthTimeout = 5 * time.Second
	DefaultUnhealthyMax  = 3
	DefaultStopGrace     = 3 * time.Second
)

// DefaultRestart brings a plugin back within a tenth of a second, and gives up hurrying after five deaths in a minute.
var DefaultRestart = Restart{First: 50 * time.Millisecond, Max: 10 * time.Second, Budget: 5, Within: time.Minute, Slow: time.Minute}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (c *Config) setDefaults() {
	orDefault(&c.Log, zap.NewNop())
	orDefault(&c.Window, DefaultWindow)
	orDefault(&c.StartTimeout, DefaultStartTimeout)
	orDefault(&c.CallTimeout, DefaultCallTimeout)
	orDefault(&c.HealthEvery, DefaultHealthEvery)
	orDefault(&c.HealthTimeout, DefaultHealthTimeout)
	orDefault(&c.UnhealthyMax, DefaultUnhealthyMax)
	orDefault(&c.StopGrace, DefaultStopGrace)
	orDefault(&c.Restart.First, DefaultRestart.First)
	orDefault(&c.Restart.Max, DefaultRestart.Max)
	orDefault(&c.Restart.Budget, DefaultRestart.Budget)
	orDefault(&c.Restart.Within, DefaultRestart.Within)
	orDefault(&c.Restart.Slow, DefaultRestart.Slow)
	if c.Bus == nil {
		c.Bus = bus.New()
	}
	if c.Told == nil {
		c.Told = func(string, machine.Input) {}
	}
	if c.Acquired == nil {
		c.Acquired = func(string, Acquire) {}
	}
	if c.Sink == nil {
		c.Sink = func([]machine.Return) {}
	}
}

var knownKinds = []string{"ke", "auth", "cred", "sa"}

// check finds what is wrong with the catalogue as it is written; files are looked at when a plugin starts.
func (c *Config) check() error {
	var problems []error
	seen := map[string]bool{}
	for _, e := range c.Entries {
		if err := e.check(); err != nil {
			problems = append(problems, err)
		}
		if seen[e.Name] {
			problems = append(problems, fmt.Errorf("pluginhost: plugin %q is in the catalogue twice; rename one", e.Name))
		}
		seen[e.Name] = true
	}
	if !filepath.IsAbs(c.RuntimeDir) {
		problems = append(problems, fmt.Errorf("pluginhost: runtime folder %q is no absolute path", c.RuntimeDir))
	}
	return errors.Join(problems...)
}

func (e *Entry) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("pluginhost: plugin %q: %s", e.Name, fmt.Sprintf(format, args...))
	}
	switch {
	case e.Name == "" || strings.ContainsAny(e.Name, "/ \t\n") || strings.HasPrefix(e.Name, "."):
		return bad("the name must not be empty, hold a slash or a space, or start with a dot")
	case !filepath.IsAbs(e.Path):
		return bad("path %q is not absolute", e.Path)
	case e.SHA256 != "" && !isSHA256(e.SHA256):
		return bad("sha256 %q is not 64 hexadecimal digits", e.SHA256)
	}
	for _, k := range e.Kinds {
		if !slices.Contains(knownKinds, k) {
			return bad("kind %q is unknown; kinds are %s", k, strings.Join(knownKinds, ", "))
		}
	}
	if _, err := e.capabilities(); err != nil {
		return bad("%v", err)
	}
	return nil
}

func isSHA256(s string) bool {
	return len(s) == 64 && strings.Trim(strings.ToLower(s), "0123456789abcdef") == ""
}
