package daemon

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/bus/mirror"
	"github.com/parley-ike/parley/core/config"
	"github.com/parley-ike/parley/core/control"
	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/pluginhost"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/pool"
	"github.com/parley-ike/parley/core/transport"
)

const (
	// pluginStart is how long the plugins may take to come up: far more than they need, less than a person waits.
	pluginStart = 20 * time.Second
	// stopBudget is how long taking everything down may take.
	stopBudget = 15 * time.Second
	// reconcileEvery is how often the SA backends are compared with what the engine owns, even when nothing happened.
	reconcileEvery = 5 * time.Minute
)

// daemon holds the parts that run.
type daemon struct {
	options Options
	config  *config.Snapshot // that the daemon started with: its own settings
	log     *zap.Logger
	boot    string
	begin   time.Time

	bus       *bus.Bus
	mirror    *mirror.Mirror
	history   *control.History
	transport *transport.Transport
	host      *pluginhost.Host
	pools     *pool.Service
	engine    *engine.Engine
	recorder  *journal.Recorder
	export    *keyFile // nil: no keys are written down
	keeper    atomic.Pointer[keeper]
	traps     traps

	inForce   atomic.Pointer[config.Snapshot]
	reloading sync.Mutex

	running atomic.Bool // the engine is there
	mu      sync.Mutex
	backend event.BackendChosen
	probed  map[string]pluginhost.Capabilities // SA backends, as they were found at the start

	legacy *legacy // what an earlier daemon left in the SA backends

	living  context.Context             // ends first when the daemon ends, and with it what works in the background
	closers []func(ctx context.Context) // run in reverse order
}

// Run runs the daemon until ctx is done, then takes it down in order; when that is while it starts, too. The error says
// what could not be started.
func Run(ctx context.Context, o Options) error {
	s, err := o.Load()
	if err != nil {
		return err
	}
	d := &daemon{options: o, config: s, log: o.Log, begin: time.Now(), bus: bus.New()}
	d.legacy = newLegacy(d.begin.Add(legacyWait))
	d.inForce.Store(s)
	living, die := context.WithCancel(context.Background())
	d.living = living
	defer d.close()
	defer die()
	for _, start := range []func(context.Context) error{
		d.makeFolders, d.startEvents, d.openSockets, d.startPlugins, d.startPools, d.startResolver, d.startExport, d.startEngine, d.startKeeper, d.startControl, d.startRoaming,
	} {
		err := start(ctx)
		if ctx.Err() != nil {
			d.log.Info("told to stop while starting", zap.Error(err))
			return nil
		}
		if err != nil {
			return err
		}
	}
	d.ready()
	d.serve(ctx)
	d.log.Info("stopping")
	d.publish(event.DaemonStopping{Reason: "told to stop"})
	return nil
}

func (d *daemon) publish(e event.Event) { d.bus.Publish(event.Record{Event: e}) }

// onClose has f run when the daemon ends, before what was started earlier is closed.
func (d *daemon) onClose(f func(ctx context.Context)) { d.closers = append(d.closers, f) }

func (d *daemon) close() {
	ctx, cancel := context.WithTimeout(context.Background(), stopBudget)
	defer cancel()
	for i := len(d.closers) - 1; i >= 0; i-- {
		d.closers[i](ctx)
	}
	d.bus.Close()
}

func (d *daemon) openSockets(ctx context.Context) error {
	c := d.config.Daemon
	t, err := transport.Open(transport.Config{Addrs: c.Listen, Port: c.Port, NATTPort: c.NATTPort})
	if err != nil {
		return fmt.Errorf("parleyd: %w", err)
	}
	d.transport = t
	for _, w := range t.Warnings() {
		d.log.Warn("socket", zap.Error(w))
	}
	d.onClose(func(context.Context) { t.Close() })
	return nil
}

func (d *daemon) startPlugins(ctx context.Context) error {
	entries, err := d.entries()
	if err != nil {
		return err
	}
	d.host, err = pluginhost.New(pluginhost.Config{
		Entries: entries, Owner: "parley/" + d.config.Daemon.Name, Node: d.config.Daemon.Name,
		RuntimeDir: d.config.Daemon.RuntimeDir, Log: d.log, Bus: d.bus, Sink: d.deliver, Told: d.told, Acquired: d.acquired,
		HealthEvery: d.config.Daemon.PluginHealth, HealthTimeout: d.config.Daemon.PluginHealth / 2,
	})
	if err != nil {
		return err
	}
	d.host.OnReady(d.pluginReady)
	d.onClose(func(ctx context.Context) {
		if err := d.host.Stop(ctx, true); err != nil {
			d.log.Warn("plugins", zap.Error(err))
		}
	})
	starting, cancel := context.WithTimeout(ctx, pluginStart)
	defer cancel()
	if err := d.host.Start(starting); err != nil && ctx.Err() == nil {
		d.log.Error("not all plugins are up; they are tried again", zap.Error(err))
	}
	if ctx.Err() == nil {
		d.pickBackend(ctx)
	}
	return ctx.Err()
}

func (d *daemon) entries() ([]pluginhost.Entry, error) {
	files, err := d.transport.EncapFiles()
	if err != nil {
		return nil, err
	}
	encap, err := encapNames(files)
	if err != nil {
		return nil, err
	}
	d.onClose(func(context.Context) { closeAll(files) }) // a plugin that is started again needs them until then
	path, err := d.options.pluginPath()
	if err != nil {
		return nil, err
	}
	return catalogue(d.config, path, encap)
}

// pickBackend looks which SA backends work here and says which one is taken, and why.
func (d *daemon) pickBackend(ctx context.Context) {
	probed := d.host.Probe(ctx)
	b := chooseBackend(probed)
	d.mu.Lock()
	d.backend, d.probed = b, probed
	d.mu.Unlock()
	d.host.SetDefaultBackend(b.Backend, b.Reason)
	d.publish(b)
	if b.Backend == "" {
		d.log.Error("no SA backend can be used here: no tunnel will come up", zap.String("reason", b.Reason))
		return
	}
	d.log.Info("SA backend", zap.String("backend", b.Backend), zap.String("reason", b.Reason))
	d.judgeShunts()
}

// chosen returns the SA backend of children that name none.
func (d *daemon) chosen() event.BackendChosen {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.backend
}

// deliver hands answers of plugins to the engine, which exists before the first call is made.
func (d *daemon) deliver(batch []machine.Return) { d.engine.Deliver(batch) }

// told hands the engine what an SA backend tells about a child by itself.
func (d *daemon) told(backend string, in machine.Input) {
	if d.running.Load() {
		d.engine.Tell(backend, in)
	}
}

func (d *daemon) startEngine(ctx context.Context) error {
	if err := d.openJournal(); err != nil {
		return err
	}
	c := d.config.Daemon
	var err error
	ikev2, ikev1 := engine.Protocols(d.fitted(d.inForce.Load().Policy), d.export != nil)
	d.engine, err = engine.New(engine.Config{
		Protocol: ikev2, IKEv1: ikev1,
		NewSender: func() engine.Sender { return d.transport.NewSender() },
		Caller:    caller{d.pools, d.host}, Publisher: d.bus, Journal: d.recorder, Export: d.exportKeys,
		Limits:   limits(c.Flood),
		LocalFor: d.transport.LocalFor, Resolve: resolve, Port: c.Port,
	})
	if err != nil {
		return err
	}
	d.engine.Start()
	d.running.Store(true)
	receiving, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); d.transport.Run(receiving, d.receive) }()
	d.onClose(func(ctx context.Context) {
		if err := d.engine.Stop(ctx); err != nil {
			d.log.Warn("engine", zap.Error(err))
		}
		stop()
		<-done
	})
	d.watchLegacy()
	d.reconcileNowAndThen()
	return nil
}

func (d *daemon) openJournal() (err error) {
	dir := d.config.Daemon.Journal
	if dir == "" {
		return nil
	}
	d.recorder, err = journal.NewRecorder(dir, func(path string, err error) {
		d.log.Error("a recording ended early; the SA goes on", zap.String("journal", path), zap.Error(err))
	})
	if err != nil {
		return err
	}
	d.log.Warn("SAs are recorded WITH THEIR KEYS", zap.String("journal", dir))
	d.onClose(func(context.Context) { d.recorder.Close() })
	return nil
}

func (d *daemon) receive(batch []transport.Packet) {
	in := make([]machine.Datagram, len(batch))
	for i, p := range batch {
		in[i] = machine.Datagram{Local: p.Local, Remote: p.Remote, Bytes: p.Data}
	}
	d.engine.Receive(in)
}

func (d *daemon) startKeeper(context.Context) error {
	k := newKeeper(d.bus, func() *policy.Snapshot { return d.inForce.Load().Policy }, d.log, d.engine.Up)
	d.keeper.Store(k)
	ctx, stop := context.WithCancel(d.living)
	var running sync.WaitGroup
	running.Go(func() { k.run(ctx) })
	d.onClose(func(closing context.Context) { stop(); running.Wait(); d.dropTraps(closing) })
	bounded, cancel := context.WithTimeout(ctx, trapBudget)
	defer cancel()
	d.setAllTraps(bounded) // before we are ready: who waits for that may send at once, and what is to be discarded must not get out
	return nil
}

// order gives the keeper a word, if there is one already.
func (d *daemon) order(o order) {
	if k := d.keeper.Load(); k != nil {
		k.order(o)
	}
}

func (d *daemon) ready() {
	listen := d.listening()
	d.publish(event.DaemonReady{Listen: listen})
	d.log.Info("ready", zap.Strings("listen", listen), zap.Int("connections", len(d.config.Policy.Connections)),
		zap.Duration("after", time.Since(d.begin).Round(time.Millisecond)))
	if d.options.Ready != nil {
		d.options.Ready()
	}
}
