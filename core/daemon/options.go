package daemon

import (
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/core/config"
)

// Options are what the command line says. Fields that are not empty override the configuration.
type Options struct {
	Config     string // path of the configuration
	Name       string // of the node
	Socket     string // of the control API
	StateDir   string
	RuntimeDir string
	Journal    string // folder; "": as configured
	ExportKeys string // file for the keys of IKE SAs, in Wireshark's words; "": none
	PluginPath string // of parley-plugin; "": beside this program
	Log        *zap.Logger
	Reload     <-chan os.Signal // each has the configuration read again; may be nil
	Ready      func()           // called once, when the daemon serves; may be nil
}

// pluginBinary is what serves the first-party plugins.
const pluginBinary = "parley-plugin"

// Load reads the configuration and applies the overrides.
func (o Options) Load() (*config.Snapshot, error) {
	s, err := config.Load(o.Config)
	if err != nil {
		return nil, err
	}
	d := &s.Daemon
	if o.RuntimeDir != "" {
		d.RuntimeDir = o.RuntimeDir
		d.ControlSocket = filepath.Join(o.RuntimeDir, "control.sock")
	}
	override(&d.Name, o.Name)
	override(&d.ControlSocket, o.Socket)
	override(&d.StateDir, o.StateDir)
	override(&d.Journal, o.Journal)
	if err := fits(*d); err != nil {
		return nil, err
	}
	if s.NATS.StoreDir == "" || o.StateDir != "" {
		s.NATS.StoreDir = filepath.Join(d.StateDir, "nats")
	}
	return s, nil
}

// maxRuntimeDir bounds the runtime folder, in octets: the kernel allows 107 for the path of a socket (unix(7)), and those of
// plugins are up to 40 octets longer.
const maxRuntimeDir = 107 - 40

// fits finds out early what the kernel would call an invalid argument later.
func fits(d config.Daemon) error {
	if n := len(d.RuntimeDir); n > maxRuntimeDir {
		return fmt.Errorf("parleyd: the runtime folder %s has %d octets, and sockets in it may have paths of %d: name one of at most %d, by runtime_dir or --runtime-dir",
			d.RuntimeDir, n, 107, maxRuntimeDir)
	}
	return nil
}

func override(field *string, value string) {
	if value != "" {
		*field = value
	}
}

// pluginPath returns where the first-party plugins are.
func (o Options) pluginPath() (string, error) {
	if o.PluginPath != "" {
		return filepath.Abs(o.PluginPath)
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(self), pluginBinary), nil
}
