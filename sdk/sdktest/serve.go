package sdktest

import (
	"context"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/internal/codec"
	"github.com/parley-ike/parley/sdk/proto/link"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/serve"
)

// Client is a daemon in front of one plugin. It is safe for concurrent use.
type Client struct {
	// Base is the base service: Describe, Validate, Configure, Health, Drain.
	Base basev1.PluginClient

	manifest *basev1.Manifest
	carrier  link.Carrier
	sender   *link.Sender

	mu      sync.Mutex
	host    cred.Plugin
	pending map[uint64]chan<- *basev1.Frame
	lastID  uint64
	over    chan struct{}
	events  sa.Feed
}

// Serve serves items until the test ends. Nothing is configured yet: use Configure where the plugin needs it.
func Serve(t testing.TB, items ...serve.Item) *Client {
	t.Helper()
	s, err := serve.New(items...)
	if err != nil {
		t.Fatal(err)
	}
	over := base(t, s)
	manifest, err := over.Describe(t.Context(), &basev1.DescribeRequest{})
	if err != nil {
		t.Fatalf("sdktest: describe: %v", err)
	}
	return exchange(t, s, over, manifest)
}

// Connect makes a client of a plugin that was launched by other means: of its base service, what it described, and the carrier of its
// calls, which Close closes.
func Connect(base basev1.PluginClient, manifest *basev1.Manifest, carrier link.Carrier) *Client {
	c := &Client{Base: base, manifest: manifest, carrier: carrier, sender: link.NewSender(carrier), pending: map[uint64]chan<- *basev1.Frame{}, over: make(chan struct{})}
	go func() { _ = c.sender.Run() }()
	go c.read(carrier)
	return c
}

// Close ends the client; calls that were not answered fail as unavailable.
func (c *Client) Close() {
	c.sender.Close()
	_ = c.carrier.Close()
	<-c.over
}

// base connects to the base service over gRPC.
func base(t testing.TB, s *serve.Server) basev1.PluginClient {
	t.Helper()
	listener := bufconn.Listen(64 << 10)
	server := grpc.NewServer()
	s.Register(server)
	go func() { _ = server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///plugin", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
	})
	return basev1.NewPluginClient(conn)
}

// exchange connects to the calls over the framed carrier on a socket pair, as the daemon does.
func exchange(t testing.TB, s *serve.Server, base basev1.PluginClient, manifest *basev1.Manifest) *Client {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := link.NewFramed(conn(t, fds[0])), link.NewFramed(conn(t, fds[1]))
	served := make(chan error, 1)
	go func() { served <- s.ServeExchange(context.Background(), theirs) }()
	c := Connect(base, manifest, ours)
	t.Cleanup(func() {
		c.Close()
		if err := <-served; err != nil {
			t.Errorf("sdktest: the plugin's end of the exchange: %v", err)
		}
	})
	return c
}

// Alive reports whether the plugin's end of the calls is there.
func (c *Client) Alive() bool {
	select {
	case <-c.over:
		return false
	default:
		return true
	}
}

func conn(t testing.TB, fd int) net.Conn {
	t.Helper()
	f := os.NewFile(uintptr(fd), "exchange")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func (c *Client) read(carrier link.Carrier) {
	defer close(c.over)
	for {
		batch, err := carrier.Recv()
		if err != nil {
			return
		}
		for _, f := range batch.GetFrames() {
			if basev1.Op(f.GetOp()) == basev1.Op_OP_SA_EVENT {
				c.told(f)
				continue
			}
			if !f.GetReply() {
				go c.asked(f)
				continue
			}
			c.mu.Lock()
			answer := c.pending[f.GetId()]
			delete(c.pending, f.GetId())
			c.mu.Unlock()
			if answer != nil {
				answer <- f
			}
		}
	}
}

// Configure configures the plugin as the daemon does after its start. The environment's runtime folder is the test's.
func (c *Client) Configure(t testing.TB, services ...*basev1.ServiceConfig) {
	t.Helper()
	r, err := c.Base.Configure(t.Context(), &basev1.ConfigureRequest{
		Services: services, Owner: "sdktest", RuntimeDir: t.TempDir(), Node: "sdktest",
	})
	if err != nil || len(r.GetProblems()) > 0 {
		t.Fatalf("sdktest: configure: %v %q", err, r.GetProblems())
	}
}

// Config is the configuration of one service, for Configure.
func Config(kind, name, json string) *basev1.ServiceConfig {
	return &basev1.ServiceConfig{Kind: kind, Name: name, Json: []byte(json)}
}

// Healthy fails the test when a canary does.
func (c *Client) Healthy(t testing.TB) {
	t.Helper()
	r, err := c.Base.Health(t.Context(), &basev1.HealthRequest{})
	if err != nil {
		t.Fatalf("sdktest: health: %v", err)
	}
	for _, s := range r.GetServices() {
		if !s.GetOk() {
			t.Errorf("sdktest: %s:%s is unhealthy: %s", s.GetKind(), s.GetName(), s.GetDetail())
		}
	}
}

// Manifest is what the plugin says it provides.
func (c *Client) Manifest() *basev1.Manifest { return proto.CloneOf(c.manifest) }

// service is what the manifest says of a service; nil when there is none.
func (c *Client) service(kind, name string) *basev1.Provided {
	i := slices.IndexFunc(c.manifest.GetProvides(), func(p *basev1.Provided) bool { return p.GetKind() == kind && p.GetName() == name })
	if i < 0 {
		return nil
	}
	return c.manifest.GetProvides()[i]
}

// end is a client of one service.
type end struct {
	client *Client
	name   string
}

// call makes one call and waits. Without a deadline in ctx it is a minute.
func (e end) call(ctx context.Context, op basev1.Op, key uint64, request, response proto.Message) error {
	return e.begin(ctx, op, key, request)(response)
}

// begin makes one call and returns what waits for its answer: the next call may be begun before.
func (e end) begin(ctx context.Context, op basev1.Op, key uint64, request proto.Message) (wait func(response proto.Message) error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	failed := func(err error) func(proto.Message) error {
		cancel()
		return func(proto.Message) error { return err }
	}
	body, err := proto.Marshal(request)
	if err != nil {
		return failed(err)
	}
	deadline, _ := ctx.Deadline()
	f := &basev1.Frame{Op: uint32(op), Service: e.name, Key: key, Body: body, BudgetMs: uint32(max(1, time.Until(deadline).Milliseconds()))}
	answer, err := e.client.push(f)
	if err != nil {
		return failed(err)
	}
	return func(response proto.Message) error {
		defer cancel()
		return e.client.wait(ctx, answer, response)
	}
}

// push sends a request and returns where its answer comes.
func (c *Client) push(f *basev1.Frame) (<-chan *basev1.Frame, error) {
	answer := make(chan *basev1.Frame, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastID++
	f.Id = c.lastID
	c.pending[f.Id] = answer
	return answer, c.sender.Push(f)
}

func (c *Client) wait(ctx context.Context, answer <-chan *basev1.Frame, response proto.Message) error {
	select {
	case reply := <-answer:
		if reply.GetError() != nil {
			return codec.ToError(reply.GetError())
		}
		return proto.Unmarshal(reply.GetBody(), response)
	case <-c.over:
		return sdk.ErrUnavailable
	case <-ctx.Done():
		return ctx.Err()
	}
}
