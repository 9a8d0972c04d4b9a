package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/ikev1"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/pluginhost"
	"github.com/parley-ike/parley/core/transport"
)

// Environment of the processes that we start; each is this very program.
const (
	envGateway = "PARLEY_BENCH_GATEWAY" // a Setup in JSON
	envPlugin  = "PARLEY_BENCH_PLUGIN"  // the kind to serve
	envProfile = "PARLEY_BENCH_PROFILE" // where a plugin writes its CPU profile
)

// Main serves as a gateway or a plugin when the process was started for that, and then does not return. Call it first.
func Main() {
	if kind := os.Getenv(envPlugin); kind != "" {
		servePlugin(kind)
	}
	if text := os.Getenv(envGateway); text != "" {
		if err := runGateway(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// order is what a gateway is told, a line of JSON.
type order struct {
	Handshakes, Rekeys int // at most one of them; 0: none
	InFlight           int
	Child              string // which child SAs to rekey, "": the IKE SAs
	Settle             bool   // measure memory, too
}

// report answers an order, and comes once in the beginning.
type report struct {
	Port   uint16 // IKE
	Took   time.Duration
	Usage  Usage // after the order was carried out
	SAs    int64
	Flood  Drops
	Resent uint64 // requests, since the start
	Error  string
}

// gateway is a daemon without what the benchmark does not measure.
type gateway struct {
	setup     Setup
	tap       *tap
	transport *transport.Transport
	engine    *engine.Engine
	host      *pluginhost.Host // nil with linked plugins
}

func runGateway(text string) error {
	g := &gateway{tap: &tap{Bus: bus.New()}}
	if err := json.Unmarshal([]byte(text), &g.setup); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if err := g.start(ctx); err != nil {
		return err
	}
	defer g.stop()
	finish, err := g.profile()
	if err != nil {
		return err
	}
	defer finish()
	return g.serve(ctx, os.Stdin, os.Stdout)
}

func (g *gateway) start(ctx context.Context) (err error) {
	if err := g.setup.writePSK(); err != nil {
		return err
	}
	if g.transport, err = transport.Open(transport.Config{Addrs: []netip.Addr{g.setup.Local}, Ephemeral: true}); err != nil {
		return err
	}
	env, err := g.setup.env()
	if err != nil {
		return err
	}
	caller, err := g.caller(ctx)
	if err != nil {
		return err
	}
	g.engine, err = engine.New(engine.Config{
		Protocol:  engine.NewIKEv2(env),
		IKEv1:     engine.NewIKEv1(&ikev1.Env{Policy: env.Policy}),
		NewSender: func() engine.Sender { return g.transport.NewSender() },
		Caller:    caller, Publisher: g.tap, Port: g.port(), RemotePort: g.setup.PeerPort, StopTimeout: time.Millisecond,
		Limits: g.setup.limits(),
	})
	if err != nil {
		return err
	}
	g.engine.Start()
	go g.transport.Run(ctx, g.receive)
	return nil
}

func (g *gateway) port() uint16 { return g.transport.Addrs()[0].Port() }

// caller makes the plugins.
func (g *gateway) caller(ctx context.Context) (engine.Caller, error) {
	deliver := func(batch []machine.Return) { g.engine.Deliver(batch) } // the engine is there before the first call
	if !g.setup.OutOfProcess {
		plugins, err := g.setup.linkPlugins()
		return newLinkedCaller(plugins, deliver), err
	}
	var err error
	g.host, err = g.setup.hostPlugins(ctx, g.tap.Bus, deliver)
	return g.host, err
}

func (g *gateway) receive(batch []transport.Packet) {
	in := make([]machine.Datagram, len(batch))
	for i, p := range batch {
		in[i] = machine.Datagram{Local: p.Local, Remote: p.Remote, Bytes: p.Data}
	}
	g.engine.Receive(in)
}

func (g *gateway) stop() {
	if g.host != nil {
		_ = g.host.Stop(context.Background(), true)
	}
	g.transport.Close()
}

// profile writes a CPU profile of the gateway, when one is wanted, until it ends.
func (g *gateway) profile() (finish func(), err error) {
	if g.setup.Profile == "" {
		return func() {}, nil
	}
	f, err := os.Create(filepath.Join(g.setup.Profile, filepath.Base(g.setup.Dir)+".pprof"))
	if err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); _ = f.Close() }, pprof.StartCPUProfile(f)
}

// serve carries out orders until there are no more.
func (g *gateway) serve(ctx context.Context, in io.Reader, out io.Writer) error {
	orders, reports := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	var o order
	for {
		if err := reports.Encode(g.carryOut(ctx, o)); err != nil {
			return err
		}
		o = order{}
		if err := orders.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// patience is how long the handshakes or rekeyings of an order may take.
const patience = 2 * time.Minute

func (g *gateway) carryOut(ctx context.Context, o order) report {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r := report{Port: g.port()}
	var err error
	switch {
	case o.Handshakes > 0:
		r.Took, err = g.tap.run(ctx, g.engine, o.Handshakes, o.InFlight)
	case o.Rekeys > 0:
		r.Took, err = g.tap.rekey(ctx, g.engine, o.Rekeys, o.InFlight, o.Child)
	}
	if err == nil {
		r.Usage, err = measure(g.plugins(), o.Settle)
	}
	if err != nil {
		r.Error = err.Error()
	}
	r.Flood = drops(g.engine.Counters(), g.transport.Stats())
	r.SAs, r.Resent = g.engine.Counters().Established.Load(), g.tap.resent.Load()
	return r
}

// plugins are the numbers of the plugin processes.
func (g *gateway) plugins() []int {
	var pids []int
	if g.host != nil {
		for _, s := range g.host.Status() {
			pids = append(pids, s.PID)
		}
	}
	return pids
}
