package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/parley-ike/parley/core/policy"
)

// Defaults of the daemon.
const (
	defaultRuntimeDir   = "/run/parley"
	defaultStateDir     = "/var/lib/parley"
	defaultMaxBytes     = 1 << 30 // events kept by the embedded NATS: some million
	defaultPluginHealth = 10 * time.Second
)

func (l *loader) daemon(s *section) {
	d := &l.snapshot.Daemon
	*d = Daemon{
		StateDir: defaultStateDir, RuntimeDir: defaultRuntimeDir, LogLevel: "info",
		Port: 500, NATTPort: 4500, // RFC 7296 section 2
		Listen: []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()},
		Flood:  defaultFlood(), HalfOpenTimeout: policy.DefaultHalfOpen, PluginHealth: defaultPluginHealth,
	}
	if s != nil {
		d.read(s)
	}
	if d.ControlSocket == "" {
		d.ControlSocket = filepath.Join(d.RuntimeDir, "control.sock")
	}
	if d.Name == "" {
		d.Name = hostName()
	}
}

func (d *Daemon) read(s *section) {
	if t, ok := s.text("name"); ok {
		if d.Name = t.value; d.Name == "" || d.Name != usableName(d.Name) {
			s.fail(t.at, "the name %q is unusable: use 1 to %d letters, digits, \"-\" and \"_\"", t.value, maxName)
		}
	}
	s.filePath("control_socket", &d.ControlSocket)
	s.filePath("journal", &d.Journal)
	s.filePath("state_dir", &d.StateDir)
	s.filePath("runtime_dir", &d.RuntimeDir)
	s.choice("log_level", &d.LogLevel, "debug", "info", "warn", "error")
	d.listen(s)
	integer(s, "port", &d.Port, 0, 65535)
	integer(s, "natt_port", &d.NATTPort, 0, 65535)
	if d.Port == d.NATTPort && d.Port != 0 {
		at := s.valueAt("port")
		if s.has("natt_port") {
			at = s.valueAt("natt_port")
		}
		s.fail(at, "port and natt_port are both %d: give them different values", d.Port)
	}
	d.Flood.read(s.only("flood"))
	s.duration("half_open_timeout", &d.HalfOpenTimeout, time.Second)
	s.duration("plugin_health", &d.PluginHealth, 100*time.Millisecond)
	s.finish()
}

func (d *Daemon) listen(s *section) {
	all, ok := s.texts("listen")
	if !ok {
		return
	}
	d.Listen = nil
	for _, t := range all {
		a, err := netip.ParseAddr(t.value)
		switch {
		case err != nil:
			s.fail(t.at, "%q is no address to listen on: write one of this host, \"0.0.0.0\" for all of IPv4 or \"::\" for all of IPv6", t.value)
		case slices.Contains(d.Listen, a):
			s.fail(t.at, "%v is there twice: leave one out", a)
		default:
			d.Listen = append(d.Listen, a)
		}
	}
	if len(all) == 0 {
		s.fail(s.valueAt("listen"), "listen is empty: name an address or leave it out for all")
	}
}

// hostName returns the host's name without its domain, in the characters of a node name.
func hostName() string {
	name, err := os.Hostname()
	short, _, _ := strings.Cut(name, ".")
	if short = usableName(short); err != nil || short == "" {
		return "parley"
	}
	return short
}

// usableName returns a name with what cannot be in one replaced.
func usableName(name string) string {
	name = strings.Map(func(c rune) rune {
		if isNameChar(c) {
			return c
		}
		return '-'
	}, name)
	return name[:min(len(name), maxName)]
}

// isNameChar tells what names are made of: they become parts of NATS subjects and metric labels.
func isNameChar(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
