package xfrm

import (
	_ "embed"
	"encoding/json"
	"os"

	"github.com/vishvananda/netlink/nl"

	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
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
	name      string
	kernel    *driver
	opening   error
	listeners []*os.File // of the kernel's events
}

var (
	_ sa.Plugin  = (*Plugin)(nil)
	_ sa.Watcher = (*Plugin)(nil)
	_ sa.Trapper = (*Plugin)(nil)
)

// New checks the configuration and takes the sockets over. A kernel without XFRM is told by Probe.
func New(cfg Config, sockets Sockets) (*Plugin, error) { return open("xfrm", ReqIDBase, cfg, sockets) }

func open(name string, base uint32, cfg Config, sockets Sockets) (*Plugin, error) {
	p := &Plugin{name: name}
	p.kernel, p.opening = openDriver(base)
	if p.opening == nil {
		p.listeners, p.opening = listen()
	}
	p.opening = meaning(p.opening)
	var err error
	if p.Backend, err = kernel.New(name, cfg, sockets, p.kernel, p.opening); err != nil {
		p.closeSockets()
		return nil, err
	}
	return p, nil
}

// Close ends the plugin; what the kernel holds stays.
func (p *Plugin) Close() {
	if p.kernel != nil && p.kernel.cards != nil {
		close(p.kernel.cards.done) // before the lock is free for the last time
	}
	p.Backend.Close()
	p.closeSockets()
}

func (p *Plugin) closeSockets() {
	for _, l := range p.listeners {
		_ = l.Close()
	}
	if p.kernel != nil {
		if p.kernel.cards != nil {
			p.kernel.cards.links.Close()
		}
		p.kernel.close()
	}
}

func init() { nl.EnableErrorMessageReporting = true } // errors then carry the kernel's own text
