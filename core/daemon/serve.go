package daemon

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/bus/mirror"
	"github.com/parley-ike/parley/core/control"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/pluginhost"
)

// startControl opens the control API and joins it with what it shows.
func (d *daemon) startControl(context.Context) error {
	c := d.config.Daemon
	server, err := control.Listen(control.Config{
		Socket: c.ControlSocket, Node: c.Name, Version: Version, Source: d.options.Config, Started: d.begin,
		Bus: d.bus, History: d.history, Engine: d.engine,
		Snapshot: d.inForce.Load,
		Reload:   d.reload,
		Ordered: func(conn string, children []string, down bool) {
			d.order(order{conn: conn, children: children, down: down})
		},
		Trapped: d.traps.has,
		State:   d.state, Plugins: d.plugins, Pools: d.poolList, Traffic: d.traffic,
		Render: func(r event.Record) ([]byte, error) { return mirror.Render(c.Name, d.boot, Version, r) },
	})
	if err != nil {
		return err
	}
	d.onClose(func(context.Context) {
		if err := server.Close(); err != nil {
			d.log.Warn("control", zap.Error(err))
		}
	})
	return nil
}

func (d *daemon) state() control.State {
	m, b := d.mirror.State(), d.chosen()
	return control.State{
		Listen:  d.listening(),
		NATS:    control.NATS{Mode: string(m.Mode), URL: m.URL, Connected: m.Connected, Waiting: int(m.Pending), Reason: reasonUnlessUp(m)},
		Backend: control.Backend{Name: b.Backend, Reason: b.Reason, Unset: d.traps.problems()},
	}
}

// reasonUnlessUp leaves out the reason of an outage that is over.
func reasonUnlessUp(m mirror.State) string {
	if m.Connected && !m.Down {
		return ""
	}
	return m.LastError
}

func (d *daemon) listening() []string {
	var all []string
	for _, a := range d.transport.Addrs() {
		all = append(all, a.String())
	}
	return all
}

func (d *daemon) plugins() []control.Plugin {
	var all []control.Plugin
	for _, p := range d.host.Status() {
		all = append(all, control.Plugin{
			Name: p.Name, Version: p.Version, Vendor: p.Vendor, Kinds: p.Kinds, Services: p.Services, Capabilities: slices.Concat(p.Capabilities, d.usable(p.Services)),
			State: stateWord(p.State), Detail: p.LastError, PID: p.PID, Started: p.Since, Restarts: p.Restarts,
			Calls: p.Calls, Errors: p.Errors, InFlight: p.InFlight, P50: p.P50, P99: p.P99,
		})
	}
	return all
}

// usable says of the SA backends among services whether they can be used here.
func (d *daemon) usable(services []string) (all []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range services {
		name, isSA := strings.CutPrefix(s, "sa:")
		if c, known := d.probed[name]; isSA && known && c.Usable {
			all = append(all, name)
		} else if isSA {
			all = append(all, "no-"+name)
		}
	}
	return all
}

// stateWord is the control API's word for the state of a plugin.
func stateWord(s pluginhost.State) string {
	if s == pluginhost.Running {
		return "up"
	}
	return string(s)
}

// usageBudget is how long `parley sa show` waits for counters.
const usageBudget = 2 * time.Second

// traffic asks the SA backend of a child for its counters.
func (d *daemon) traffic(ctx context.Context, sa machine.Info, child event.ChildSA) (event.Traffic, error) {
	ctx, cancel := context.WithTimeout(ctx, usageBudget)
	defer cancel()
	all, err := d.engine.Installed(ctx)
	if err != nil {
		return event.Traffic{}, err
	}
	defer machine.WipeChildren(all)
	i := slices.IndexFunc(all, func(c machine.ChildSA) bool { return c.UID == child.UID })
	if i < 0 {
		return event.Traffic{}, nil
	}
	return d.host.Usage(ctx, all[i])
}
