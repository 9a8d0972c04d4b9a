package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus/event"
)

// Pace of the publisher.
const (
	burstSize    = 64 // messages for which one acknowledgement is asked
	window       = 4  // bursts in flight
	ackTimeout   = 5 * time.Second
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 5 * time.Second
	apiTimeout   = 5 * time.Second
	duplicates   = 30 * time.Second // window of the server's own check; ours by the last id has none, so a short one saves memory
	maxMessage   = 64 << 10
)

// link is where the stream is.
type link interface {
	ensure(failed bool) error // makes it run, if that is ours to do, anew if the last session failed
	explain(error) error      // adds what is known of the cause
	connect(options ...nats.Option) (*nats.Conn, error)
	stop()
}

// publisher moves messages from the outbox to the stream.
type publisher struct {
	config *Config
	box    *outbox
	link   link
	outage *outage
	moved  chan struct{} // holds a token after progress

	mu        sync.Mutex
	acked     position // all before it is in the stream
	ackedID   string   // the message before it, "" when not known
	published uint64
	connected bool
}

// run keeps sessions going until ctx ends.
func (p *publisher) run(ctx context.Context) {
	backoff := firstBackoff
	for failed := false; ctx.Err() == nil; failed = true {
		before := p.sent()
		err := p.session(ctx, failed)
		p.setConnected(false)
		if ctx.Err() != nil {
			return
		}
		p.outage.begin(p.link.explain(err))
		if p.sent() != before {
			backoff = firstBackoff
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// session connects, finds out where the stream ends, and sends what follows. It ends with an error or with ctx.
func (p *publisher) session(ctx context.Context, failed bool) error {
	if err := p.link.ensure(failed); err != nil {
		return err
	}
	closed := make(chan struct{})
	options := natsOptions("parley mirror "+p.config.Node, closed)
	if p.config.Mode == Embedded {
		options = append(options, nats.CustomInboxPrefix(privateInbox))
	}
	nc, err := p.link.connect(options...)
	if err != nil {
		return fmt.Errorf("mirror: connect: %w", err)
	}
	defer func() { nc.Close(); <-closed }()
	start, last, err := p.resume(ctx, nc)
	if err != nil {
		return err
	}
	p.setConnected(true)
	r := p.box.reader(start)
	defer r.close()
	s := &session{publisher: p, nc: nc, reader: r, last: last, burst: 1, closed: closed}
	return s.run(ctx)
}

// resume opens the stream and returns where in the outbox to go on, and the last id in the stream.
func (p *publisher) resume(ctx context.Context, nc *nats.Conn) (position, string, error) {
	if p.config.Mode == Embedded {
		ctx = context.WithoutCancel(ctx) // a server that is stopped while it makes a stream leaves the store open; this takes milliseconds
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	stream, err := p.stream(ctx, nc)
	if err != nil {
		return position{}, "", fmt.Errorf("mirror: stream %s: %w", p.config.Stream, err)
	}
	last, err := lastID(ctx, stream)
	if err != nil {
		return position{}, "", fmt.Errorf("mirror: last message of stream %s: %w", p.config.Stream, err)
	}
	at, err := p.locate(last, stream.CachedInfo().State.LastSeq)
	if err != nil {
		return position{}, "", err
	}
	p.mu.Lock()
	p.acked, p.ackedID = at, orDefault(last, p.ackedID)
	p.mu.Unlock()
	p.box.acked(at)
	return at, last, nil
}

func (p *publisher) stream(ctx context.Context, nc *nats.Conn) (jetstream.Stream, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	want := jetstream.StreamConfig{
		Name: p.config.Stream, Description: "events of " + p.config.Node,
		Subjects:  []string{Subjects + "." + string(appendToken(nil, p.config.Node)) + ".>"},
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld, Replicas: 1,
		MaxBytes: p.config.MaxBytes, MaxAge: p.config.MaxAge, MaxMsgSize: maxMessage,
		Duplicates: min(duplicates, p.config.MaxAge), DenyDelete: true, DenyPurge: true, AllowDirect: true,
		Compression: jetstream.S2Compression,
	}
	if p.config.Mode == Embedded {
		want.PersistMode = jetstream.AsyncPersistMode // a third less CPU; the outbox keeps what a crash may cost the store
		return js.CreateOrUpdateStream(ctx, want)
	}
	stream, err := js.Stream(ctx, want.Name) // its owner may have chosen replicas and limits
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return js.CreateStream(ctx, want)
	}
	return stream, err
}

// lastID returns the id of the last message, "" when the stream is empty.
func lastID(ctx context.Context, stream jetstream.Stream) (string, error) {
	info, err := stream.Info(ctx)
	if err != nil || info.State.Msgs == 0 {
		return "", err
	}
	m, err := stream.GetMsg(ctx, info.State.LastSeq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return "", nil // its time was over just now
	}
	if err != nil {
		return "", err
	}
	return m.Header.Get(jetstream.MsgIDHeader), nil
}

// locate returns the position after the message that is last in the stream.
func (p *publisher) locate(last string, lastSequence uint64) (position, error) {
	p.mu.Lock()
	acked, ackedID := p.acked, p.ackedID
	p.mu.Unlock()
	if ackedID != "" && (last == ackedID || last == "" && lastSequence > 0) {
		return acked, nil // also when all that the stream held has expired
	}
	if last == "" {
		return position{}, nil
	}
	for _, from := range []position{acked, {}} {
		at, ok, err := p.box.find(last, from)
		if err != nil || ok {
			return at, err
		}
	}
	p.config.Log.Warn("last message of the stream is not in the outbox; sending all that is", zap.String("id", last))
	return position{}, p.reportHole(last)
}

// reportHole publishes a gap when the outbox begins later than the stream ends: the server lost what it had acknowledged.
func (p *publisher) reportHole(last string) error {
	r := p.box.reader(position{})
	defer r.close()
	m, ok, err := r.next()
	if err != nil || !ok {
		return err
	}
	run, n := splitID(last)
	if next, first := splitID(m.id); next == run && first > n+1 {
		p.config.Bus.Publish(event.Record{Event: event.StreamGap{Subscriber: "nats", First: n + 1, Last: first - 1, Count: first - 1 - n}})
	}
	return nil
}

func splitID(id string) (run string, sequence uint64) {
	i := strings.LastIndexByte(id, '/')
	sequence, _ = strconv.ParseUint(id[i+1:], 10, 64)
	return id[:i+1], sequence
}

// repeats says that id does not come after last in one run: a batch that was written twice around a failure of the disk.
func repeats(last, id string) bool {
	run, n := splitID(last)
	other, m := splitID(id)
	return last != "" && run == other && m <= n
}

func (p *publisher) sent() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.published
}

func (p *publisher) setConnected(c bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connected = c
}

// progress notes that all of a flight is in the stream.
func (p *publisher) progress(f flight) {
	p.mu.Lock()
	p.acked, p.ackedID = f.end, f.last
	p.published += uint64(f.count)
	p.mu.Unlock()
	p.box.acked(f.end)
	p.outage.end()
	select {
	case p.moved <- struct{}{}:
	default:
	}
}

// flight is a burst that waits for its acknowledgement.
type flight struct {
	reply string
	end   position
	last  string
	count int
	sent  time.Time
}

// session is one connection that sends: go-back-N, with the server as judge. Every message names its predecessor; the last of
// a burst asks for an acknowledgement, which the server gives only if it holds the whole chain.
type session struct {
	*publisher
	nc      *nats.Conn
	reader  *reader
	last    string // id of the message sent last
	burst   int    // 1 until the first acknowledgement, so that a refusal tells its own reason
	flights []flight
	number  int
	inbox   string
	acks    chan *nats.Msg
	closed  <-chan struct{}
	msg     nats.Msg
	values  [8]string
}

func (s *session) run(ctx context.Context) error {
	s.inbox = s.nc.NewInbox() + "."
	s.acks = make(chan *nats.Msg, 2*window)
	if _, err := s.nc.ChanSubscribe(s.inbox+"*", s.acks); err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	s.msg.Header = nats.Header{}
	late := time.NewTicker(ackTimeout / 5)
	defer late.Stop()
	for {
		if err := s.send(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.closed:
			return fmt.Errorf("mirror: connection lost: %w", orError(s.nc.LastError(), nats.ErrConnectionClosed))
		case ack := <-s.acks:
			if err := s.acknowledge(ack); err != nil {
				return err
			}
		case <-s.box.news:
		case <-late.C:
			if len(s.flights) > 0 && time.Since(s.flights[0].sent) > ackTimeout {
				return fmt.Errorf("mirror: no acknowledgement within %v", ackTimeout)
			}
		}
	}
}

func orError(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// send fills the window with what the outbox has.
func (s *session) send() error {
	for len(s.flights) < window && (s.burst > 1 || len(s.flights) == 0) {
		n, err := s.sendBurst()
		if err != nil || n == 0 {
			return err
		}
	}
	return nil
}

// sendBurst reads one message ahead, to know which is the last.
func (s *session) sendBurst() (count int, err error) {
	m, ok, err := s.read()
	for ok && err == nil {
		at := s.reader.at
		s.prepare(m)
		count++
		more := false
		if count < s.burst {
			m, more, err = s.read()
			if err != nil {
				break
			}
		}
		if more {
			if err = s.nc.PublishMsg(&s.msg); err != nil {
				break
			}
			continue
		}
		return count, s.take(at, count)
	}
	if err != nil {
		err = fmt.Errorf("mirror: publish: %w", err)
	}
	return count, err
}

// read returns the next message that is not a repetition.
func (s *session) read() (message, bool, error) {
	for {
		m, ok, err := s.reader.next()
		if err != nil || !ok || !repeats(s.last, m.id) {
			return m, ok, err
		}
	}
}

// prepare fills s.msg. The header map, its values and the payload's space are reused, since PublishMsg copies them; the payload
// is copied from the reader, whose next read may overwrite it.
func (s *session) prepare(m message) {
	source := "/parley/" + m.id[:strings.IndexByte(m.id, '/')]
	s.values = [...]string{m.id, s.last, "application/cloudevents+json", m.id, m.kind, source, m.about, m.time}
	for i, name := range headers {
		s.msg.Header[name] = s.values[i : i+1]
	}
	if s.last == "" {
		delete(s.msg.Header, jetstream.ExpectedLastMsgIDHeader)
	}
	s.msg.Subject, s.msg.Reply = m.subject, ""
	s.msg.Data = append(s.msg.Data[:0], m.payload...)
	s.last = m.id
}

var headers = [...]string{
	jetstream.MsgIDHeader, jetstream.ExpectedLastMsgIDHeader, "Content-Type", "ce-id", "ce-type", "ce-source", "ce-subject", "ce-time",
}

// take sends s.msg as the last of a burst.
func (s *session) take(end position, count int) error {
	s.number++
	s.msg.Reply = s.inbox + strconv.Itoa(s.number)
	s.flights = append(s.flights, flight{s.msg.Reply, end, s.last, count, time.Now()})
	if err := s.nc.PublishMsg(&s.msg); err != nil {
		return fmt.Errorf("mirror: publish: %w", err)
	}
	return nil
}

// acknowledge accepts only the answer to the oldest flight; anything else begins a new session.
func (s *session) acknowledge(m *nats.Msg) error {
	if len(s.flights) == 0 || m.Subject != s.flights[0].reply {
		return errors.New("mirror: an acknowledgement out of order")
	}
	if err := refusal(m); err != nil {
		return fmt.Errorf("mirror: stream %s refuses: %w", s.config.Stream, err)
	}
	s.progress(s.flights[0])
	s.flights = s.flights[1:]
	s.burst = burstSize
	return nil
}

// refusal returns the error in an answer of JetStream.
func refusal(m *nats.Msg) error {
	if len(m.Data) == 0 {
		return errors.New("no stream takes the subject (no responders)")
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
		Seq   uint64              `json:"seq"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return err
	}
	if answer.Error != nil {
		return answer.Error
	}
	if answer.Seq == 0 {
		return errors.New("an answer without sequence")
	}
	return nil
}
