package daemon

import (
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
	PluginPath string // of parley-plugin; "": beside this program
	Log        *zap.Logger
	Ready      func() // called once, when the daemon serves; may be nil
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
	if s.NATS.StoreDir == "" || o.StateDir != "" {
		s.NATS.StoreDir = filepath.Join(d.StateDir, "nats")
	}
	return s, nil
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
