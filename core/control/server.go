package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/config"
	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/machine"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// Engine is what control needs of the engine.
type Engine interface {
	Up(ctx context.Context, conn string, children []string) (uid event.UID, joined bool, err error)
	Terminate(ctx context.Context, sel engine.Selector, child, reason string) (int, error)
	Rekey(ctx context.Context, sel engine.Selector, child string) (int, error)
	Reauthenticate(ctx context.Context, sel engine.Selector) (int, error)
	Redirect(ctx context.Context, sel engine.Selector, to machine.Gateway) (int, error)
	SAs(ctx context.Context) ([]machine.Info, error)
}

// Config is what a Server works with. Functions are called from several goroutines and must not wait long.
type Config struct {
	Socket   string // path
	Group    string // name or number of the group that may use the socket besides root and us; "": our own
	Node     string
	Version  string
	Source   string // path of the configuration
	Started  time.Time
	Bus      *bus.Bus
	History  *History
	Engine   Engine
	Snapshot func() *config.Snapshot // the configuration in force
	// Ordered is told of what an operator wants up or down, before it is done; no children means all. nil: nobody cares.
	Ordered func(conn string, children []string, down bool)
	// Trapped tells whether traffic for a child brings it up; nil: no child waits for traffic.
	Trapped func(conn, child string) bool
	State   func() State    // nil: nothing is known
	Plugins func() []Plugin // nil: none
	Pools   func() []Pool   // nil: none
	// Traffic asks an SA backend for the counters of a child SA; nil: nobody knows.
	Traffic func(ctx context.Context, sa machine.Info, child event.ChildSA) (event.Traffic, error)
	// Reload reads the configuration again and applies it, or only says what would happen; nil: it cannot be done.
	Reload func(ctx context.Context, dryRun bool) (*config.Snapshot, config.Changes, error)
	// Render returns the event as it is mirrored, a CloudEvent in JSON; nil: a plain object.
	Render func(event.Record) ([]byte, error)
}

// State is what the daemon knows of itself.
type State struct {
	Listen  []string // "0.0.0.0:500"
	NATS    NATS
	Backend Backend
}

// NATS is where events are mirrored to.
type NATS struct {
	Mode      string // "embedded", "external" or "off"
	URL       string
	Connected bool
	Waiting   int    // events that are not acknowledged
	Reason    string // why it is not connected
}

// Backend is the SA backend that the daemon chose, and why.
type Backend struct {
	Name, Reason string
	// Unset are policies of the configuration that belong to no SA and are not in force, each with the reason.
	Unset []string
}

// Plugin describes an entry of the plugin catalogue and its process.
type Plugin struct {
	Name, Version, Vendor string
	Kinds                 []string // "ke"
	Services              []string // "ke/curve"
	Capabilities          []string
	State                 string // "up", "starting", "restarting", "degraded", "rejected" or "stopped"
	Detail                string // why it is not up
	PID                   int
	Started               time.Time
	Restarts              int
	Calls, Errors         uint64
	InFlight              int
	P50, P99              time.Duration // latency of calls
}

// Server serves the control API. Create it with Listen.
type Server struct {
	controlv1.UnimplementedControlServer
	c      Config
	gid    uint32 // of the socket
	socket *socket
	grpc   *grpc.Server
	quit   context.Context // ends when the server closes, and with it what follows events
	stop   context.CancelFunc
	done   chan error
}

// maxRequest bounds a request in octets: names and a few options.
const maxRequest = 64 << 10

// Listen opens the socket and serves until Close. Who is already listening there is found out: see ErrInUse.
func Listen(c Config) (*Server, error) {
	socket, err := listen(c.Socket, c.Group)
	if err != nil {
		return nil, err
	}
	s := &Server{c: c, gid: socket.gid, socket: socket, done: make(chan error, 1)}
	s.quit, s.stop = context.WithCancel(context.Background())
	s.grpc = grpc.NewServer(grpc.Creds(peerCredentials{}), grpc.MaxRecvMsgSize(maxRequest),
		grpc.UnaryInterceptor(s.unary), grpc.StreamInterceptor(s.stream))
	controlv1.RegisterControlServer(s.grpc, s)
	go func() { s.done <- s.grpc.Serve(socket.listener) }()
	return s, nil
}

// closeWait is how long calls at work may take when the server closes.
const closeWait = 2 * time.Second

// Close ends what is followed, waits a little for what is at work, and removes the socket.
func (s *Server) Close() error {
	s.stop()
	force := time.AfterFunc(closeWait, s.grpc.Stop)
	s.grpc.GracefulStop()
	force.Stop()
	err := <-s.done
	if errors.Is(err, net.ErrClosed) || errors.Is(err, grpc.ErrServerStopped) {
		err = nil
	}
	if e := s.socket.close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// following returns a context that ends with the call or with the server.
func (s *Server) following(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.quit, cancel)
	return ctx, func() { stop(); cancel() }
}
