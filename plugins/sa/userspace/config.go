package userspace

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
)

// Defaults of Config.
const (
	DefaultDevice   = "parley0"
	DefaultStateDir = "/run/parley/sa"
)

// Bounds of Config.MTU, in octets.
const (
	MinMTU = 576  // what every IPv4 host takes (RFC 791 section 3.1)
	MaxMTU = 9000 // jumbo frames; the size of the packet buffers
)

// Config is the plugin's configuration.
type Config struct {
	Device   string `json:"device"`    // TUN device, at most 15 letters, digits, '-', '_', '.'
	MTU      int    `json:"mtu"`       // most octets of an inner packet; 0: found from the route to each peer
	StateDir string `json:"state_dir"` // existing or creatable folder for the sequence numbers; it is made 0700
	Owner    string `json:"owner"`     // the daemon whose children these are; Install refuses others when it is set
}

var deviceName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,15}$`)

//go:embed schema.json
var schema []byte

// Schema returns the JSON Schema of Config.
func Schema() json.RawMessage { return append(json.RawMessage(nil), schema...) }

// complete fills defaults in and refuses what cannot work.
func (c Config) complete() (Config, error) {
	if c.Device == "" {
		c.Device = DefaultDevice
	}
	if c.StateDir == "" {
		c.StateDir = DefaultStateDir
	}
	if !deviceName.MatchString(c.Device) || c.Device == "." || c.Device == ".." {
		return c, fmt.Errorf("sa/userspace: device %q: 1 to 15 letters, digits, '-', '_' or '.' are needed", c.Device)
	}
	if c.MTU != 0 && (c.MTU < MinMTU || c.MTU > MaxMTU) {
		return c, fmt.Errorf("sa/userspace: mtu %d: between %d and %d, or 0 to find it from the route", c.MTU, MinMTU, MaxMTU)
	}
	return c, nil
}

// makeStateDir makes the folder of the state file, for this user alone.
func (c Config) makeStateDir() error {
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return fmt.Errorf("sa/userspace: state_dir: %w; name a folder that this user may write", err)
	}
	return nil
}
