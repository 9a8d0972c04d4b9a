package serve

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/parley-ike/parley/sdk/proto/link"
)

// Main serves items until the daemon ends the process; it does not return. With "describe" as the first argument it
// prints the manifest instead, and when no daemon started it, what the program is.
func Main(items ...Item) {
	os.Exit(run(os.Args, os.Stdout, os.Stderr, items))
}

// Exit statuses.
const (
	exitOK    = 0
	exitFail  = 1
	exitUsage = 2
)

func run(args []string, stdout, stderr io.Writer, items []Item) int {
	s, err := New(items...)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFail
	}
	switch {
	case len(args) > 1 && args[1] == "describe":
		return describe(s, stdout, stderr)
	case !launched:
		name := filepath.Base(args[0])
		fmt.Fprintf(stderr, "%s is a plugin for the Parley IKE daemon (%s %s). parleyd starts it; there is nothing to run by hand.\n"+
			"Name it in a plugin block of parleyd's configuration, or run \"%s describe\" to see what it provides.\n",
			name, s.info.Name, s.info.Version, name)
		return exitUsage
	}
	return s.process()
}

func describe(s *Server, stdout, stderr io.Writer) int {
	manifest, err := s.Describe(context.Background(), nil)
	if err == nil {
		_, err = fmt.Fprintln(stdout, protojson.Format(manifest))
	}
	if err != nil {
		fmt.Fprintln(stderr, "serve: describe:", err)
		return exitFail
	}
	return exitOK
}

// gcPercent lets garbage of five times the live memory gather, which is 4 MB for most plugins: calls are short-lived garbage,
// and collecting it four times less often costs some 15 MB.
const gcPercent = 400

// process serves as the child of a daemon.
func (s *Server) process() int {
	slog.SetDefault(slog.New(newLogHandler(stderrFile)))
	// A service manager that ends the daemon tells every process of it. It is the daemon who ends us, after it has deleted its
	// SAs, which needs us; when it dies, so do we.
	signal.Ignore(syscall.SIGTERM)
	hardenProcess()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if s.prompt() && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1) // one goroutine performs everything; more processors would only be woken to find nothing
	}
	inherited, err := takeInherited()
	if err != nil {
		slog.Error("plugin: cannot take what the daemon passed", "error", err.Error())
		return exitFail
	}
	s.files = inherited.files
	s.ended = s.exit
	if inherited.exchange != nil {
		s.features = append(s.features, link.FeatureFramed)
		go func() { s.exit(s.ServeExchange(context.Background(), link.NewFramed(inherited.exchange))) }()
	}
	serveBase(s)
	return exitOK
}

// exit ends the process with its exchange: without the daemon there is nobody to serve.
func (s *Server) exit(err error) {
	if err != nil && !s.drained.Load() {
		slog.Error("plugin: ending", "error", err.Error())
		os.Exit(exitFail)
	}
	os.Exit(exitOK)
}

// serveBase performs go-plugin's handshake and serves gRPC until the daemon says stop. go-plugin prints the handshake to
// os.Stdout, where the plugin's own goroutines may print at the same time: only the handshake passes.
func serveBase(s *Server) {
	if r, w, err := os.Pipe(); err == nil {
		os.Stdout = w
		go passHandshake(r, stdoutFile, stderrFile)
	} else {
		os.Stdout = stdoutFile
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion: link.ProtocolVersion, MagicCookieKey: link.CookieKey, MagicCookieValue: link.CookieValue,
		},
		Plugins: plugin.PluginSet{"parley": &goPlugin{server: s}},
		Logger:  hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: stderrFile, JSONFormat: true}),
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(options, grpc.MaxRecvMsgSize(link.MaxMessage), grpc.MaxSendMsgSize(link.MaxMessage))...)
		},
	})
}

// passHandshake copies go-plugin's handshake line to handshake and every other line to others.
func passHandshake(r io.Reader, handshake, others io.Writer) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		to := others
		if bytes.HasPrefix(line, handshakePrefix) && bytes.Contains(line, []byte("|grpc|")) {
			to = handshake
		}
		_, _ = to.Write(line)
		if err != nil {
			return
		}
	}
}

// handshakePrefix begins the handshake line: go-plugin's core protocol and our version.
var handshakePrefix = fmt.Appendf(nil, "%d|%d|", plugin.CoreProtocolVersion, link.ProtocolVersion)

// goPlugin lets go-plugin register the base service.
type goPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	server *Server
}

func (p *goPlugin) GRPCServer(_ *plugin.GRPCBroker, g *grpc.Server) error {
	p.server.Register(g)
	return nil
}

func (*goPlugin) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("serve: this side serves")
}
