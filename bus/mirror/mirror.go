package mirror

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrOff is returned by Conn when there is no mirror.
var ErrOff = errors.New("mirror: off")

// externalSettle is how long acknowledged segments are kept for an external server: its default sync_interval is two minutes.
const externalSettle = 5 * time.Minute

// Mirror is a running mirror. Its methods are safe for concurrent use.
type Mirror struct {
	config    Config
	box       *outbox
	link      link
	writer    *writer
	publisher *publisher

	stopping   chan struct{}
	cancel     context.CancelFunc
	wrote      chan struct{} // closed when the writer has ended
	everything sync.WaitGroup
	stop       sync.Once
	stopErr    error
}

// State tells how a mirror fares.
type State struct {
	Mode      Mode
	URL       string // never with a password
	Connected bool
	Published uint64 // events in the stream, by this run
	Pending   uint64 // events on the bus and in the outbox that are not yet in the stream
	Dropped   uint64 // events lost before the outbox; each is in an audit.stream_gap
	LastError string // of the last outage, also when it is over
	Down      bool   // that outage lasts: events wait for the server, or on the bus for the disk
}

// Start begins to mirror what is published from now on, and to send what earlier runs left in the outbox. It fails on a bad
// configuration, or when the state directory cannot be used; a server that is out of reach is no error. The context bounds
// only Start itself.
func Start(ctx context.Context, c Config) (*Mirror, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	m := &Mirror{config: c, stopping: make(chan struct{}), wrote: make(chan struct{})}
	if c.Mode == Off {
		return m, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := m.assemble(); err != nil {
		return nil, err
	}
	m.launch()
	return m, nil
}

func (m *Mirror) assemble() (err error) {
	c := &m.config
	render, err := newRenderer(c.Node, c.Boot, c.Version)
	if err != nil {
		return err
	}
	settle := settleTime
	if c.Mode == External {
		settle = externalSettle
		m.link, err = newExternal(c)
	} else {
		m.link, err = newEmbedded(c)
	}
	if err != nil {
		return err
	}
	dir := filepath.Join(c.StateDir, "outbox")
	if m.box, err = openOutbox(dir, c.Outbox, settle); err != nil {
		return err
	}
	m.writer = &writer{render: render, box: m.box, outage: &outage{what: dir, bus: c.Bus, log: c.Log}, stopping: m.stopping}
	m.publisher = &publisher{config: c, box: m.box, link: m.link, moved: make(chan struct{}, 1),
		outage: &outage{what: c.address(), bus: c.Bus, log: c.Log}}
	return nil
}

func (m *Mirror) launch() {
	m.writer.subscribe(m.config.Bus, m.config.ring)
	_ = m.link.ensure(false) // so that Conn works at once; the publisher tries again and tells of a failure
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	m.everything.Go(func() { defer close(m.wrote); m.writer.run(ctx) })
	m.everything.Go(func() { m.publisher.run(ctx) })
}

// Conn returns a connection for subscribers in this process, to the embedded or the external server. The caller closes it,
// before Stop.
func (m *Mirror) Conn() (*nats.Conn, error) {
	if m.config.Mode == Off {
		return nil, ErrOff
	}
	return m.link.connect(nats.Name("parley "+m.config.Node), nats.Timeout(connectTimeout), nats.MaxReconnects(-1))
}

// State returns how the mirror fares.
func (m *Mirror) State() State {
	s := State{Mode: m.config.Mode}
	if s.Mode == Off {
		return s
	}
	s.URL = m.config.address()
	waiting, dropped := m.writer.waiting()
	s.Dropped = dropped + m.writer.refused.Load()
	p := m.publisher
	p.mu.Lock()
	s.Connected, s.Published = p.connected, p.published
	s.Pending = m.box.after(p.acked) + waiting
	p.mu.Unlock()
	s.LastError, s.Down = p.outage.reason()
	if reason, down := m.writer.outage.reason(); down || s.LastError == "" {
		s.LastError, s.Down = reason, s.Down || down
	}
	return s
}

// Stop takes no more events, commits and sends those it has as long as ctx allows and the server is in reach, and ends
// everything. The error says what is not in the stream: it stays in the outbox for the next start.
func (m *Mirror) Stop(ctx context.Context) error {
	m.stop.Do(func() { m.stopErr = m.end(ctx) })
	return m.stopErr
}

func (m *Mirror) end(ctx context.Context) error {
	if m.config.Mode == Off {
		return nil
	}
	close(m.stopping)
	m.writer.sub.Close()
	m.flush(ctx)
	m.cancel()
	m.everything.Wait()
	m.link.stop()
	s := m.State()
	if err := m.box.close(); err != nil {
		return fmt.Errorf("mirror: outbox: %w", err)
	}
	if s.Pending > 0 {
		return fmt.Errorf("mirror: stopped with %d events not in the stream; %s keeps what is on disk", s.Pending, m.box.dir)
	}
	return nil
}

// flush waits until all is sent, ctx ends, or the server is out of reach.
func (m *Mirror) flush(ctx context.Context) {
	select {
	case <-m.wrote:
	case <-ctx.Done():
		return
	}
	for m.State().Pending > 0 {
		if _, down := m.publisher.outage.reason(); down {
			return
		}
		select {
		case <-m.publisher.moved:
		case <-time.After(firstBackoff):
		case <-ctx.Done():
			return
		}
	}
}
