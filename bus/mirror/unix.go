package mirror

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"go.uber.org/zap"
)

// ErrNotEmbedded is returned by ServeUnix when the server is not in this process.
var ErrNotEmbedded = errors.New("mirror: only an embedded server has a unix socket")

// inProcess is a link whose server is in this process.
type inProcess interface{ InProcessConn() (net.Conn, error) }

// ServeUnix lets programs of this machine connect to the embedded server by a unix socket at path, without a network
// port. Whoever may open the socket may do everything that the daemon may: its mode is 0660. The returned function ends
// it and the connections that it carries.
func (m *Mirror) ServeUnix(path string) (stop func(), err error) {
	server, ok := m.link.(inProcess)
	if !ok {
		return nil, ErrNotEmbedded
	}
	_ = os.Remove(path) // of an earlier run
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("mirror: socket for subscribers: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("mirror: socket for subscribers: %w", err)
	}
	b := &bridge{listener: l, server: server, log: m.config.Log, open: map[net.Conn]bool{}}
	b.running.Go(b.accept)
	return b.close, nil
}

// bridge joins connections of a unix socket with connections inside the process.
type bridge struct {
	listener net.Listener
	server   inProcess
	log      *zap.Logger
	running  sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

func (b *bridge) accept() {
	for {
		outer, err := b.listener.Accept()
		if err != nil {
			return
		}
		inner, err := b.server.InProcessConn()
		if err != nil {
			b.log.Warn("a subscriber cannot be served", zap.Error(err))
			_ = outer.Close()
			continue
		}
		if !b.add(outer, inner) {
			return
		}
		b.running.Go(func() { b.copy(outer, inner) })
		b.running.Go(func() { b.copy(inner, outer) })
	}
}

// add notes a pair of connections, or closes it because the bridge has ended.
func (b *bridge) add(pair ...net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range pair {
		b.open[c] = true
		if b.closed {
			_ = c.Close()
		}
	}
	return !b.closed
}

// copy carries one direction; its end ends the other as well.
func (b *bridge) copy(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range []net.Conn{to, from} {
		delete(b.open, c)
		_ = c.Close()
	}
}

func (b *bridge) close() {
	_ = b.listener.Close()
	b.mu.Lock()
	b.closed = true
	for c := range b.open {
		_ = c.Close()
	}
	b.mu.Unlock()
	b.running.Wait()
}
