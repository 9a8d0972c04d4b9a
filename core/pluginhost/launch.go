package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/parley-ike/parley/sdk/proto/link"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// firstExtra is the number that the first of exec.Cmd.ExtraFiles has in the child.
const firstExtra = 3

// running is a plugin process that passed its handshake and took its configuration.
type running struct {
	process  *process
	client   *plugin.Client
	base     basev1.PluginClient
	manifest *basev1.Manifest
	carrier  link.Carrier
	framed   bool
}

// launch starts the process of an entry and brings it to where calls may come. Its error is a *RejectError.
func (h *Host) launch(ctx context.Context, e *Entry, log *zap.Logger) (*running, error) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.StartTimeout)
	defer cancel()
	r, err := h.start(ctx, e, log)
	if err != nil {
		var reject *RejectError
		if !errors.As(err, &reject) {
			reject = &RejectError{Reason: clean(err.Error()), Remedy: "see the log for what the plugin said"}
		}
		reject.Name, reject.Path = e.Name, e.Path
		return nil, reject
	}
	return r, nil
}

func (h *Host) start(ctx context.Context, e *Entry, log *zap.Logger) (*running, error) {
	im, err := h.images.load(e.Path, e.SHA256)
	if err != nil {
		return nil, err
	}
	if e.SHA256 == "" {
		log.Info("plugin file has no checksum in the catalogue", zap.String("path", e.Path), zap.String("sha256", im.sum))
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	r, err := h.handshake(ctx, e, im, theirs, log)
	if err == nil {
		err = r.prepare(ctx, h, e)
		if err != nil {
			r.end(false, 0)
		}
	}
	if err == nil {
		err = r.connect(h.cfg.GRPCOnly, ours)
	}
	if err != nil || !r.framed {
		_ = ours.Close()
	}
	return r, err
}

func socketPair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socket pair: %w", err)
	}
	f := os.NewFile(uintptr(fds[0]), "exchange")
	defer f.Close()
	theirs := os.NewFile(uintptr(fds[1]), "exchange")
	conn, err := net.FileConn(f)
	if err != nil {
		_ = theirs.Close()
	}
	return conn, theirs, err
}

// handshake executes the checked copy and performs go-plugin's handshake.
func (h *Host) handshake(ctx context.Context, e *Entry, im *image, exchange *os.File, log *zap.Logger) (*running, error) {
	keep, err := e.capabilities()
	if err != nil {
		return nil, err
	}
	attr, err := processAttributes(e.User, keep)
	if err != nil {
		return nil, err
	}
	p := newProcess(nil, keep, log)
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion: link.ProtocolVersion, MagicCookieKey: link.CookieKey, MagicCookieValue: link.CookieValue,
		},
		Plugins:          plugin.PluginSet{},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		SkipHostEnv:      true,
		StartTimeout:     h.cfg.StartTimeout,
		Logger:           hclog.NewNullLogger(),
		SyncStdout:       strayWriter{log},
		SyncStderr:       strayWriter{log},
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: h.socketDir()},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, dir string) (runner.Runner, error) {
			p.cmd = h.command(e, im, exchange, cmd.Env, attr, log)
			return p, shareWith(attr.Credential, dir)
		},
		// The path is in a folder that only the daemon and the plugin may enter; that it is the plugin who listens
		// there, the kernel tells. TLS would add 40 ms to each start and nothing else.
		GRPCDialOptions: []grpc.DialOption{grpc.WithContextDialer(p.dial(func() string { return socketPath(p) }))},
	})
	began := time.Now()
	unwatch := context.AfterFunc(ctx, func() { _ = p.Kill(ctx) })
	protocol, err := client.Client()
	unwatch()
	if err != nil {
		late := ctx.Err() != nil || time.Since(began) >= h.cfg.StartTimeout
		_ = p.Kill(ctx)
		client.Kill()
		return nil, p.diagnose(err, late, h.cfg.StartTimeout)
	}
	conn := protocol.(*plugin.GRPCClient).Conn
	return &running{process: p, client: client, base: basev1.NewPluginClient(conn)}, nil
}

// command is what is executed: the checked copy, through a descriptor that the child inherits, so that scripts work too.
func (h *Host) command(e *Entry, im *image, exchange *os.File, handshake []string, attr *syscall.SysProcAttr, log *zap.Logger) *exec.Cmd {
	extra := []*os.File{im.file, exchange}
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", // for scripts
		"LANG=C.UTF-8",
		link.EnvImage + "=" + strconv.Itoa(firstExtra),
		link.EnvExchange + "=" + strconv.Itoa(firstExtra+1),
		link.EnvLogLevel + "=" + log.Level().String(),
	}
	if h.cfg.GRPCOnly {
		env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, link.EnvExchange) })
	}
	var files []string
	for _, name := range sortedKeys(e.Files) {
		files = append(files, name+":"+strconv.Itoa(firstExtra+len(extra)))
		extra = append(extra, e.Files[name])
	}
	env = append(env, link.EnvFiles+"="+strings.Join(files, ","))
	for _, name := range sortedKeys(e.Env) {
		env = append(env, name+"="+e.Env[name])
	}
	return &exec.Cmd{
		Path: "/proc/self/fd/" + strconv.Itoa(firstExtra), Args: append([]string{e.Path}, e.Args...),
		Env: append(env, handshake...), Dir: "/", ExtraFiles: extra, SysProcAttr: attr,
	}
}

// shareWith gives a folder to the user that a plugin runs as.
func shareWith(c *syscall.Credential, dir string) error {
	if c == nil {
		return nil
	}
	return os.Chown(dir, int(c.Uid), int(c.Gid))
}

// socketPath is the path in the handshake line.
func socketPath(p *process) string {
	line, _ := p.firstLine()
	if parts := strings.Split(line, "|"); len(parts) > 3 {
		return parts[3]
	}
	return ""
}

// dial connects to the plugin's socket and makes sure that a process of the plugin listens there.
func (p *process) dial(path func() string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", path())
		if err != nil {
			return nil, err
		}
		peer, err := peerProcess(conn.(*net.UnixConn))
		if err == nil {
			var group int
			if group, err = unix.Getpgid(peer); err == nil && group != p.pid() {
				err = fmt.Errorf("process %d listens on the plugin's socket, and it is not the plugin", peer)
			}
		}
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		return conn, nil
	}
}

func peerProcess(conn *net.UnixConn) (pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var credentials *unix.Ucred
	if controlErr := raw.Control(func(fd uintptr) {
		credentials, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); controlErr != nil {
		return 0, controlErr
	}
	if err != nil {
		return 0, err
	}
	return int(credentials.Pid), nil
}

// diagnose turns go-plugin's error into what happened and how to mend it.
func (p *process) diagnose(err error, late bool, timeout time.Duration) error {
	line, said := p.firstLine()
	parts := strings.Split(line, "|")
	_, notNumber := strconv.Atoi(parts[0])
	switch {
	case p.pid() == 0:
		return &RejectError{Reason: fmt.Sprintf("cannot be executed: %v", err), Remedy: "check that the file is a program for this machine and that its user may be changed to"}
	case !said && late:
		return &RejectError{Reason: fmt.Sprintf("said nothing within %v", timeout), Remedy: "look why it hangs before its handshake, or raise the start timeout"}
	case !said:
		return &RejectError{Reason: "ended before its handshake: " + p.fate(), Remedy: "see the log for what it said; run it by hand with the argument describe"}
	case len(parts) < 4 || notNumber != nil:
		return &RejectError{Reason: fmt.Sprintf("printed %q before its handshake", clean(line)), Remedy: "a plugin must print nothing on standard output; let it log to standard error"}
	case parts[1] != strconv.Itoa(link.ProtocolVersion):
		return &RejectError{
			Reason: fmt.Sprintf("speaks plugin protocol version %s, this daemon speaks %d", clean(parts[1]), link.ProtocolVersion),
			Remedy: "install the release of the plugin for this daemon, or the other way round",
		}
	case parts[2] != "unix":
		return &RejectError{Reason: fmt.Sprintf("listens on %s and not on a unix socket", clean(parts[2])), Remedy: "let it listen in the folder of PLUGIN_UNIX_SOCKET_DIR"}
	}
	return &RejectError{Reason: clean(fmt.Sprintf("handshake failed: %v", err)), Remedy: "rebuild the plugin with this daemon's SDK"}
}

// prepare asks what the process provides and applies the configuration.
func (r *running) prepare(ctx context.Context, h *Host, e *Entry) error {
	manifest, err := r.base.Describe(ctx, &basev1.DescribeRequest{}, callLimits...)
	if err != nil {
		return r.failed("Describe", err, h.cfg.StartTimeout)
	}
	if err := checkManifest(e, manifest); err != nil {
		return err
	}
	r.manifest = manifest
	return r.configure(ctx, h, e)
}

// callLimits bounds what the base service may answer.
var callLimits = []grpc.CallOption{grpc.MaxCallRecvMsgSize(link.MaxMessage), grpc.MaxCallSendMsgSize(link.MaxMessage)}

func (r *running) failed(verb string, err error, timeout time.Duration) error {
	if errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "DeadlineExceeded") {
		return &RejectError{Reason: fmt.Sprintf("did not answer %s within %v", verb, timeout), Remedy: "look why it hangs, or raise the start timeout"}
	}
	return &RejectError{Reason: clean(fmt.Sprintf("%s failed: %v", verb, err)), Remedy: "see the log for what the plugin said"}
}

func (r *running) configure(ctx context.Context, h *Host, e *Entry) error {
	request, err := h.configuration(e)
	if err != nil {
		return err
	}
	valid, err := r.base.Validate(ctx, &basev1.ValidateRequest{Services: request.Services}, callLimits...)
	if err != nil {
		return r.failed("Validate", err, h.cfg.StartTimeout)
	}
	problems := valid.GetProblems()
	if len(problems) == 0 {
		applied, err := r.base.Configure(ctx, request, callLimits...)
		if err != nil {
			return r.failed("Configure", err, h.cfg.StartTimeout)
		}
		problems = applied.GetProblems()
	}
	if len(problems) > 0 {
		return &RejectError{Reason: "refuses its configuration: " + clean(strings.Join(problems, "; ")), Remedy: "correct its block in the configuration"}
	}
	return nil
}

// connect opens the exchange on the best carrier that both sides have.
func (r *running) connect(grpcOnly bool, conn net.Conn) error {
	if !grpcOnly && slices.Contains(r.manifest.GetFeatures(), link.FeatureFramed) {
		r.carrier, r.framed = link.NewFramed(conn), true
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := r.base.Exchange(ctx, callLimits...)
	if err != nil {
		cancel()
		r.end(false, 0)
		return fmt.Errorf("opening the exchange: %w", err)
	}
	r.carrier = link.NewStream(stream, func() error { cancel(); return nil })
	return nil
}

// end ends the process, at once or after grace when it does not end by itself, and waits until it is gone.
func (r *running) end(orderly bool, grace time.Duration) {
	kill := func() { _ = r.process.Kill(context.Background()) }
	if orderly {
		defer time.AfterFunc(grace, kill).Stop()
	} else {
		kill()
	}
	r.client.Kill()
	kill()
	<-r.process.exited
	if r.carrier != nil {
		_ = r.carrier.Close()
	}
}

// socketDir holds a folder per process; sockets have short paths, for the kernel allows 107 octets.
func (h *Host) socketDir() string { return filepath.Join(h.cfg.RuntimeDir, "s") }

// pluginDir makes the folder of a plugin's own.
func (h *Host) pluginDir(e *Entry) (string, error) {
	dir := filepath.Join(h.cfg.RuntimeDir, "plugins", e.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if e.User == "" {
		return dir, nil
	}
	c, err := lookupUser(e.User)
	if err != nil {
		return "", err
	}
	return dir, shareWith(c, dir)
}
