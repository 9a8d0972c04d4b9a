package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/parley-ike/parley/core/policy"
)

// maxFile bounds a file, in octets: some ten thousand connections. A larger one is no configuration.
const maxFile = 16 << 20

// Snapshot is a valid configuration. It never changes.
type Snapshot struct {
	Daemon      Daemon
	Policy      *policy.Snapshot
	Credentials []PSK
	Keys        Keys
	Passwords   []Password
	Plugins     []Plugin // empty: the standard set
	Pools       []policy.Pool
	NATS        NATS
	Hash        string      // SHA-256 in hex of the files, one after the other
	Warnings    Diagnostics // what is allowed and should be known, such as weak algorithms

	where map[string]string
}

// Daemon is the daemon's own settings. Paths are absolute.
type Daemon struct {
	Name            string // of the node in events; the host name by default
	ControlSocket   string
	Journal         string // folder of recordings; "": none
	StateDir        string
	RuntimeDir      string
	LogLevel        string // "debug", "info", "warn" or "error"
	Listen          []netip.Addr
	Port, NATTPort  uint16 // 0: any free one
	Flood           Flood
	HalfOpenTimeout time.Duration // how long an IKE SA may take to be established
	PluginHealth    time.Duration // how often a plugin is asked whether it is well; the third failure in a row restarts it
}

// PSK says where a pre-shared key lies. The key itself is never here.
type PSK struct {
	Remote, Local     string // identities with their type, "fqdn:west.example.net"; Local "": any of ours
	RemoteID, LocalID policy.Identity
	File              string // absolute
}

// Password says where the password of a user lies.
type Password struct {
	User string
	File string // absolute
	Own  bool   // we are the user
}

// Plugin is an entry of the plugin catalogue.
type Plugin struct {
	Name       string
	Kinds      []string // "auth", "ke", "cred", "sa"
	Path       string   // absolute
	SHA256     string   // 64 hex digits, of the file
	Args       []string
	Config     json.RawMessage // an object, nil when there is none; the plugin's own schema judges it
	Privileges []string
	User       string // "": the daemon's
}

// NATS says where events go.
type NATS struct {
	Mode        string // "embedded", "external" or "off"
	URL         string // external
	Credentials string // file, "": none
	TLS         TLS
	StoreDir    string // embedded
	MaxBytes    int64  // of the stored events
}

// TLS names files in PEM; all may be empty.
type TLS struct{ CA, Cert, Key string }

// Where returns "file:line" of a setting: "connection.west.proposals", "connection.west.child.lan.local_ts",
// "credentials.psk.west.example.net". For a setting that is not there it is the place of the block to which it could be added,
// and "" when that is not there either.
func (s *Snapshot) Where(key string) string {
	for {
		if at, ok := s.where[key]; ok {
			return at
		}
		i := strings.LastIndexByte(key, '.')
		if i < 0 {
			return ""
		}
		key = key[:i]
	}
}

// Load reads the configuration at path and conf.d/*.hcl beside it. The error, if any, is Diagnostics with all mistakes.
func Load(path string) (*Snapshot, error) {
	names := []string{path}
	more, _ := filepath.Glob(filepath.Join(escapeGlob(filepath.Dir(path)), "conf.d", "*.hcl")) // a bad pattern is not possible
	names = append(names, more...)                                                             // Glob sorts
	l := newLoader()
	for _, name := range names {
		src, err := readFile(name)
		if err != nil {
			l.diagnostics = append(l.diagnostics, Diagnostic{File: name, Message: err.Error()})
			continue
		}
		dir, err := filepath.Abs(filepath.Dir(name))
		if err != nil {
			dir = filepath.Dir(name)
		}
		l.files = append(l.files, &file{name: name, dir: dir, src: src})
	}
	return l.load()
}

// escapeGlob keeps Glob from reading a folder's name as a pattern.
func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	case len(src) > maxFile:
		return nil, fmt.Errorf("the file is larger than %d MiB: is it a configuration?", maxFile>>20)
	}
	return src, nil
}

// Parse reads one source. Errors call it name; dir is what relative paths in it are relative to.
func Parse(name string, src []byte, dir string) (*Snapshot, error) {
	l := newLoader()
	l.files = []*file{{name: name, dir: dir, src: slices.Clone(src)}}
	return l.load()
}

// loader gathers a snapshot and all mistakes.
type loader struct {
	files       []*file
	snapshot    *Snapshot
	diagnostics Diagnostics
}

func newLoader() *loader {
	return &loader{snapshot: &Snapshot{Policy: &policy.Snapshot{}, where: map[string]string{}}}
}

func (l *loader) load() (*Snapshot, error) {
	var tops []*section
	hash := sha256.New()
	for _, f := range l.files {
		hash.Write(f.src)
		body, diags := f.parse()
		l.parserErrors(f, diags)
		tops = append(tops, l.newSection(f, body))
	}
	l.snapshot.Hash = hex.EncodeToString(hash.Sum(nil))
	if len(l.diagnostics) == 0 { // half a file would be judged wrongly
		l.read(tops)
	}
	if len(l.diagnostics) > 0 {
		return nil, l.diagnostics.sorted(l.files)
	}
	l.snapshot.Warnings = l.snapshot.Warnings.sorted(l.files)
	return l.snapshot, nil
}

// read reads the blocks of all files. Connections come last: they need the others.
func (l *loader) read(tops []*section) {
	l.daemon(single(gather(tops, "daemon", (*section).sub)))
	l.nats(single(gather(tops, "nats", (*section).sub)))
	if s := single(gather(tops, "events", (*section).sub)); s != nil {
		s.finish()
	}
	l.plugins(gather(tops, "plugin", (*section).named))
	for _, s := range gather(tops, "credentials", (*section).sub) {
		l.credentials(s)
	}
	l.pools(gather(tops, "pool", (*section).named))
	l.connections(gather(tops, "connection", (*section).named))
	l.snapshot.Policy.Anchors = l.anchors()
	l.shunts(tops)
	for _, s := range tops {
		s.finish()
	}
}

func gather(tops []*section, name string, blocks func(*section, string) []*section) (all []*section) {
	for _, s := range tops {
		all = append(all, blocks(s, name)...)
	}
	return all
}

// maxName bounds names of nodes, connections, children and plugins.
const maxName = 64

// checkNames reports labels that are no names, or that two blocks share.
func checkNames(all []*section) {
	first := map[string]*section{}
	for _, s := range all {
		if s.label == "" || s.label != usableName(s.label) {
			s.fail(s.at, "its name is unusable: use 1 to %d letters, digits, \"-\" and \"_\"", maxName)
		} else if f := first[s.label]; f != nil {
			s.fail(s.at, "the name is taken in %s: choose another", f.file.where(f.at))
		} else {
			first[s.label] = s
		}
	}
}
