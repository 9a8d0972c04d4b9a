package mirror

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/zap"
)

// Times and sizes of the embedded server.
const (
	readyTimeout = 10 * time.Second // 65 ms is usual; a large store takes longer to check
	syncInterval = 10 * time.Second // between fsyncs of the store; the outbox covers what lies between
	settleTime   = 3 * syncInterval // acknowledged segments are kept this long
	memoryStore  = 16 << 20         // the stream is on disk; consumers' state is small
	storeSlack   = 64 << 20         // beside MaxBytes: consumers, blocks being compacted
)

// privateInbox keeps acknowledgements out of reach of users, who may subscribe to _INBOX.>.
const privateInbox = "_INBOX_parley"

// embedded is the NATS server in this process. It is started again when it gave up, as it does when its disk was full.
type embedded struct {
	config *Config
	user   nkeys.KeyPair // of our own connections; nil when the server does not listen

	mu     sync.Mutex
	server *server.Server

	complaint atomic.Pointer[string] // the server's last error since its start
}

func newEmbedded(c *Config) (*embedded, error) {
	e := &embedded{config: c}
	dir := filepath.Join(c.StateDir, "nats")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("mirror: store: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("mirror: store: %w", err)
	}
	if c.Listen.Address == "" {
		return e, nil
	}
	var err error
	if e.user, err = nkeys.CreateUser(); err != nil {
		return nil, fmt.Errorf("mirror: %w", err)
	}
	_, err = e.options() // bad certificates and addresses are refused now
	return e, err
}

// ensure starts the server, or starts it again after a failure: its store remembers a failed write for ever, even when the
// disk has room again, and JetStream may have turned itself off.
func (e *embedded) ensure(failed bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server != nil && !failed {
		return nil
	}
	e.shutdown()
	e.complaint.Store(nil)
	o, err := e.options()
	if err != nil {
		return err
	}
	s, err := server.NewServer(o)
	if err != nil {
		return fmt.Errorf("mirror: embedded server: %w", err)
	}
	s.SetLoggerV2(natsLog{e.config.Log.Named("nats").Sugar(), &e.complaint}, false, false, false)
	s.Start()
	e.server = s
	if !s.ReadyForConnections(readyTimeout) || !s.JetStreamEnabled() {
		e.shutdown()
		return fmt.Errorf("mirror: embedded server did not become ready with its store in %s", o.StoreDir)
	}
	return nil
}

func (e *embedded) options() (*server.Options, error) {
	o := &server.Options{
		ServerName: "parley-" + e.config.Node,
		DontListen: e.config.Listen.Address == "",
		NoSigs:     true, NoSystemAccount: true,
		JetStream: true, StoreDir: filepath.Join(e.config.StateDir, "nats"),
		JetStreamMaxStore: e.config.MaxBytes + storeSlack, JetStreamMaxMemory: memoryStore,
		SyncInterval: syncInterval,
	}
	if o.DontListen {
		return o, nil
	}
	return o, e.listen(o)
}

func (e *embedded) listen(o *server.Options) error {
	l := e.config.Listen
	host, port, err := net.SplitHostPort(l.Address)
	if err != nil {
		return fmt.Errorf("mirror: listen.address: %w", err)
	}
	if o.Port, err = strconv.Atoi(port); err != nil {
		return fmt.Errorf("mirror: listen.address: port %q is not a number", port)
	}
	o.Host = host
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	o.TLS, o.TLSTimeout = true, 2
	o.TLSConfig, err = server.GenTLSConfig(&server.TLSConfigOpts{CertFile: l.Cert, KeyFile: l.Key, CaFile: l.ClientCA, Verify: l.ClientCA != ""})
	if err != nil {
		return fmt.Errorf("mirror: listen: %w", err)
	}
	o.TLSConfig.MinVersion = tls.VersionTLS12
	own, err := e.user.PublicKey()
	if err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	o.Nkeys = []*server.NkeyUser{{Nkey: own}}
	for _, user := range l.Users {
		if !nkeys.IsValidPublicUserKey(user) {
			return fmt.Errorf("mirror: listen.users: %q is not a public user nkey", user)
		}
		o.Nkeys = append(o.Nkeys, &server.NkeyUser{Nkey: user, Permissions: readOnly(e.config.Stream)})
	}
	return nil
}

// readOnly lets a user subscribe to events, and consume the stream with consumers of its own.
func readOnly(stream string) *server.Permissions {
	api := "$JS.API."
	return &server.Permissions{
		Publish: &server.SubjectPermission{Allow: []string{
			api + "INFO", api + "STREAM.NAMES", api + "STREAM.LIST", api + "STREAM.INFO." + stream, api + "STREAM.MSG.GET." + stream,
			api + "DIRECT.GET." + stream, api + "DIRECT.GET." + stream + ".>", api + "CONSUMER.*." + stream, api + "CONSUMER.*." + stream + ".>",
			api + "CONSUMER.DURABLE.CREATE." + stream + ".*", api + "CONSUMER.MSG.NEXT." + stream + ".*", "$JS.ACK." + stream + ".>", "$JS.FC." + stream + ".>",
		}},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>", Subjects + ".>"}},
	}
}

// InProcessConn implements nats.InProcessConnProvider over restarts of the server.
func (e *embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server == nil {
		return nil, errors.New("mirror: the embedded server is not running")
	}
	return e.server.InProcessConn()
}

// connect opens a connection in this process.
func (e *embedded) connect(options ...nats.Option) (*nats.Conn, error) {
	options = append(options, nats.InProcessServer(e))
	if e.user != nil {
		own, err := e.user.PublicKey()
		if err != nil {
			return nil, err
		}
		options = append(options, nats.Nkey(own, e.user.Sign))
	}
	return nats.Connect("", options...)
}

// explain adds what the server complained of: its clients hear nothing of a full disk.
func (e *embedded) explain(err error) error {
	if c := e.complaint.Load(); c != nil {
		return fmt.Errorf("%w; the server says: %s", err, *c)
	}
	return err
}

func (e *embedded) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.shutdown()
}

// shutdown waits: a store that is left while it writes may be damaged.
func (e *embedded) shutdown() {
	if e.server != nil {
		e.server.Shutdown()
		e.server.WaitForShutdown()
		e.server = nil
	}
}

// natsLog hands the server's warnings and errors on, and keeps the last error.
type natsLog struct {
	log  *zap.SugaredLogger
	last *atomic.Pointer[string]
}

func (l natsLog) Noticef(format string, v ...any) { l.log.Debugf(format, v...) }
func (l natsLog) Warnf(format string, v ...any)   { l.log.Warnf(format, v...) }
func (l natsLog) Fatalf(format string, v ...any)  { l.Errorf(format, v...) }
func (l natsLog) Debugf(string, ...any)           {}
func (l natsLog) Tracef(string, ...any)           {}
func (l natsLog) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.last.Store(&text)
	l.log.Error(text)
}
