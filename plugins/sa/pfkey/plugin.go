package pfkey

import (
	_ "embed"
	"encoding/json"
	"os"

	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/plugins/sa/pfkey/pfkeyv2"
	"github.com/parley-ike/parley/sdk/sa"
)

// Config is the plugin's configuration.
type Config = kernel.Config

// Sockets are what the daemon hands over.
type Sockets = kernel.Sockets

//go:embed schema.json
var schema []byte

// Schema returns the JSON Schema of Config.
func Schema() json.RawMessage { return append(json.RawMessage(nil), schema...) }

// Plugin is the backend. It implements sa.Plugin and is safe for concurrent use. Everything happens in the network namespace of
// the goroutine that called New.
type Plugin struct {
	*kernel.Backend
	driver   *driver
	opening  error
	listener *os.File // of the kernel's events
}

var (
	_ sa.Plugin  = (*Plugin)(nil)
	_ sa.Watcher = (*Plugin)(nil)
	_ sa.Trapper = (*Plugin)(nil)
)

// New checks the configuration and takes the sockets over. A kernel without PF_KEY is told by Probe.
func New(cfg Config, sockets Sockets) (*Plugin, error) {
	p := &Plugin{}
	p.opening = meaning(p.open(pfkeyv2.Linux()))
	var err error
	if p.Backend, err = kernel.New("pfkey", cfg, sockets, p.driver, p.opening); err != nil {
		p.closeSockets()
		return nil, err
	}
	return p, nil
}

// open makes one socket for what we ask, and another for what the kernel tells to those who REGISTER.
func (p *Plugin) open(d *pfkeyv2.Dialect) error {
	asking, err := open(d)
	if err != nil {
		return err
	}
	p.driver = &driver{socket: asking, policies: map[policy]uint32{}}
	listening, err := open(d)
	if err != nil {
		return err
	}
	answer, err := listening.listen()
	if err != nil {
		listening.close()
		return err
	}
	p.driver.algorithms = usable(d, answer)
	p.listener = os.NewFile(uintptr(listening.fd), "pfkey-events")
	return nil
}

// Close ends the plugin; what the kernel holds stays.
func (p *Plugin) Close() {
	p.Backend.Close()
	p.closeSockets()
}

func (p *Plugin) closeSockets() {
	if p.listener != nil {
		_ = p.listener.Close()
	}
	if p.driver != nil {
		p.driver.close()
	}
}
