package pluginhost

import (
	"context"
	"sync"
	"time"

	"github.com/parley-ike/parley/sdk/proto/link"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// Process is one plugin process, started as a Host starts it: the checked copy, confined, past its handshake, described and
// configured. Nobody supervises it. It is for programs that judge a plugin.
type Process struct {
	Base     basev1.PluginClient
	Manifest *basev1.Manifest
	Carrier  link.Carrier // of its calls
	PID      int

	running *running
	close   func()
}

// Open starts the plugin of an entry. cfg's other entries do not count. The error is a *RejectError when the plugin is at fault.
func Open(ctx context.Context, cfg Config, e Entry) (*Process, error) {
	cfg.Entries = []Entry{e}
	h, err := New(cfg)
	if err != nil {
		return nil, err
	}
	r, err := h.launch(ctx, &h.cfg.Entries[0], h.cfg.Log)
	if err != nil {
		h.images.close()
		return nil, err
	}
	return &Process{
		Base: r.base, Manifest: r.manifest, Carrier: r.carrier, PID: r.process.pid(), running: r, close: sync.OnceFunc(h.images.close),
	}, nil
}

// Kill ends the process with SIGKILL and returns when it is gone.
func (p *Process) Kill() {
	p.running.end(false, 0)
	p.close()
}

// Stop has the process remove what it installed and end, by force after DefaultStopGrace.
func (p *Process) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, DefaultStopGrace)
	defer cancel()
	_, err := p.Base.Drain(ctx, &basev1.DrainRequest{Remove: true}, callLimits...)
	p.running.end(true, DefaultStopGrace)
	p.close()
	return err
}

// Ended waits so long for the end of the process and says how it ended.
func (p *Process) Ended(within time.Duration) (how string, ended bool) {
	select {
	case <-p.running.process.exited:
		return p.running.process.fate(), true
	case <-time.After(within):
		return "", false
	}
}
