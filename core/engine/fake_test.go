package engine

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
)

var (
	epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	us    = netip.MustParseAddrPort("192.0.2.1:500")
	them  = netip.MustParseAddrPort("198.51.100.7:500")
)

// fake is a machine that does what its datagrams say.
type fake struct {
	birth    Birth
	conn     string
	uid      event.UID
	state    string
	deadline time.Time
	inputs   []machine.Input
	tickets  machine.Ticket
	opened   time.Time
	stubborn bool // never ends when terminated
}

const fakeHalfOpen = 30 * time.Second

func (m *fake) Step(now time.Time, in machine.Input, fx *machine.Effects) {
	m.inputs = append(m.inputs, in)
	emit := func(e event.Event) {
		fx.Add(machine.Emit{Subject: event.Subject{IKE: m.uid, Conn: m.conn}, Event: e})
	}
	call := func(op machine.Op) {
		m.tickets++
		fx.Add(machine.Call{Ticket: m.tickets, Op: op, By: now.Add(time.Second)})
	}
	switch in := in.(type) {
	case machine.Initiate:
		m.state, m.deadline = "initiating", now.Add(fakeHalfOpen)
		emit(event.IKEInitiated{})
		call(machine.KEInitiate{Method: 31})
	case machine.Datagram:
		m.datagram(now, in, fx, emit, call)
	case machine.Reply:
		if in.Err == nil {
			fx.Add(machine.Send{Local: m.birth.Local, Remote: m.birth.Remote, Bytes: packet(m.birth.SPI, 1, 35, "answer")})
		}
	case machine.Tick:
		if !m.deadline.IsZero() && !now.Before(m.deadline) {
			m.state, m.deadline = "closed", time.Time{}
			emit(event.IKEHalfOpenTimedOut{})
			fx.Add(machine.Done{Reason: "timeout"})
		}
	case machine.Terminate:
		if !m.stubborn {
			emit(event.IKEDeleted{By: "operator", Reason: in.Reason})
			fx.Add(machine.Done{Reason: in.Reason})
		}
	}
}

func (m *fake) datagram(now time.Time, in machine.Datagram, fx *machine.Effects, emit func(event.Event), call func(machine.Op)) {
	switch body := in.Bytes[wire.HeaderLen:]; {
	case m.state == "" && bytes.HasSuffix(body, []byte("misfit")):
		emit(event.IKEFailed{})
		fx.Add(machine.Done{Reason: "nothing in common"})
	case m.state == "" && m.conn == "":
		m.state, m.deadline = "half-open", now.Add(fakeHalfOpen)
		emit(event.IKEInitiated{})
		call(machine.KERespond{Method: 31, Peer: body})
	case bytes.HasPrefix(body, []byte("auth")):
		m.state, m.deadline, m.opened = "established", time.Time{}, now
		emit(event.IKEEstablished{})
	case bytes.HasPrefix(body, []byte("cancel")):
		call(machine.AllocateSPI{})
		fx.Add(machine.Cancel{Ticket: m.tickets})
	case bytes.HasPrefix(body, []byte("spawn")):
		o := binary.BigEndian.Uint64(body[5:])
		fx.Add(machine.Spawn{Owner: machine.Owner(o), Machine: &fake{birth: Birth{SPI: o}, conn: m.conn, uid: event.UID{byte(o), 99}, state: "established"}})
	case bytes.HasPrefix(body, []byte("decide")):
		fx.Add(machine.Decide{Owner: machine.Owner(binary.BigEndian.Uint64(body[6:])), Children: []machine.ChildSA{{SPIIn: 7}}})
	case bytes.HasPrefix(body, []byte("install")):
		call(machine.InstallChild{Child: machine.ChildSA{Backend: "xfrm", SPIIn: uint32(body[7])}})
	case bytes.HasPrefix(body, []byte("decrypt")):
		call(machine.Unprotect{Cipher: [][]byte{{1}, {2}}})
	case bytes.HasPrefix(body, []byte("remove")):
		call(machine.RemoveChild{Child: machine.ChildSA{Backend: "xfrm", SPIIn: uint32(body[6])}})
	case bytes.HasPrefix(body, []byte("redirect ")):
		fx.Add(machine.Renew{To: machine.GatewayOf(string(body[9:]))})
	case bytes.HasPrefix(body, []byte("fail")):
		m.state, m.deadline = "closing", now.Add(time.Minute)
		emit(event.IKEFailed{})
	}
}

func (m *fake) Deadline() time.Time { return m.deadline }

func (m *fake) Info() machine.Info {
	return machine.Info{UID: m.uid, Conn: m.conn, State: m.state, Established: m.opened}
}

func (m *fake) Installed() []machine.ChildSA {
	if m.state != "established" {
		return nil
	}
	return []machine.ChildSA{{UID: m.uid, SPIIn: uint32(m.birth.SPI)}}
}

// fakes is a Protocol of fakes.
type fakes struct {
	mu       sync.Mutex
	made     []*fake
	stubborn bool
}

var errBroken = errors.New("fake: broken")

func (p *fakes) make(b Birth, conn string) *fake {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := &fake{birth: b, conn: conn, uid: event.UID(b.Seed[:16]), stubborn: p.stubborn}
	p.made = append(p.made, m)
	return m
}

const nonceLen = 16

func (p *fakes) Inspect(b []byte) (First, error) {
	body := b[wire.HeaderLen:]
	if len(body) < nonceLen {
		return First{}, errBroken
	}
	f := First{SPI: binary.BigEndian.Uint64(b), Nonce: body[:nonceLen]}
	if len(body) > nonceLen {
		f.Cookie = body[nonceLen:]
	}
	return f, nil
}

func fakeCookie(key CookieKey, f First, remote netip.AddrPort) []byte {
	mac := hmac.New(sha256.New, key.Secret)
	fmt.Fprint(mac, remote.Addr(), f.SPI, f.Nonce)
	return mac.Sum([]byte{key.Version})
}

func (p *fakes) CookieReply(key CookieKey, f First, remote netip.AddrPort) []byte {
	return append([]byte("cookie:"), fakeCookie(key, f, remote)...)
}

func (p *fakes) VerifyCookie(key CookieKey, f First, remote netip.AddrPort) bool {
	return hmac.Equal(f.Cookie, fakeCookie(key, f, remote))
}

func (p *fakes) InvalidMajorVersion([]byte) []byte { return []byte("version") }
func (p *fakes) InvalidSPI([]byte) []byte          { return []byte("spi") }

func (p *fakes) Endpoints(conn string) (Endpoints, error) {
	switch conn {
	case "west":
		return Endpoints{Remote: them.Addr()}, nil
	case "bound":
		return Endpoints{Local: us.Addr(), Remote: them.Addr()}, nil
	case "named":
		return Endpoints{Host: "west.example.net"}, nil
	case "passive":
		return Endpoints{}, nil
	}
	return Endpoints{}, errBroken
}

func (p *fakes) NewInitiator(b Birth, conn string) (machine.Machine, error) {
	return p.make(b, conn), nil
}
func (p *fakes) NewResponder(b Birth) machine.Machine { return p.make(b, "") }
func (p *fakes) Header(b Birth, conn string) (journal.Header, error) {
	if conn == "secretive" {
		return journal.Header{}, errBroken
	}
	return journal.Header{Version: 2, SPI: b.SPI, Seed: b.Seed[:], Conn: conn}, nil
}

// sink is a Sender, a Caller and a Publisher that keeps all it gets. Safe for concurrent use.
type sink struct {
	mu       sync.Mutex
	queued   []machine.Send // not flushed
	sent     []machine.Send
	requests []machine.Request
	order    []string // of submits and cancels
	records  []event.Record
	deliver  func([]machine.Return) // answers every call when set
}

func (k *sink) Send(local, remote netip.AddrPort, b []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.queued = append(k.queued, machine.Send{Local: local, Remote: remote, Bytes: b})
}

func (k *sink) Flush() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sent = append(k.sent, k.queued...)
	k.queued = nil
}

func (k *sink) Submit(batch []machine.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.requests = append(k.requests, batch...)
	for _, r := range batch {
		k.order = append(k.order, fmt.Sprintf("submit %d", r.Call.Ticket))
		if k.deliver != nil {
			go k.deliver([]machine.Return{answerTo(r)})
		}
	}
}

func answerTo(r machine.Request) machine.Return {
	return machine.Return{Owner: r.Owner, Reply: machine.Reply{Ticket: r.Call.Ticket, Result: machine.KEResponded{Secret: []byte("secret")}}}
}

func (k *sink) Cancel(_ machine.Owner, t machine.Ticket) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.order = append(k.order, fmt.Sprintf("cancel %d", t))
}

func (k *sink) Publish(r event.Record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.records = append(k.records, r)
}

func (k *sink) snapshot() (sent []machine.Send, requests []machine.Request, records []event.Record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append(sent, k.sent...), append(requests, k.requests...), append(records, k.records...)
}

// bench is a shard of fakes on virtual time.
type bench struct {
	*sink
	*Shard
	t        testing.TB
	now      time.Time
	counters Counters
	fakes    *fakes
}

func newBench(t testing.TB, l Limits) *bench {
	b := &bench{sink: &sink{}, t: t, now: epoch, fakes: &fakes{}}
	random := rand.NewChaCha8([32]byte{1})
	b.Shard = NewShard(ShardConfig{Rand: random, Protocol: b.fakes, Sender: b.sink, Caller: b.sink, Publisher: b.sink,
		Gate: NewGate(l, random), Counters: &b.counters})
	return b
}

// loop runs one loop of the shard with some datagrams.
func (b *bench) loop(ds ...machine.Datagram) {
	b.Shard.Tick(b.now)
	for _, d := range ds {
		b.Shard.Receive(b.now, d)
	}
	b.Shard.Flush(b.now)
}

// flushed returns what was sent since the last call.
func (b *bench) flushed() []machine.Send {
	sent := b.sent
	b.sent = nil
	return sent
}

// events returns the names of what was published since the last call.
func (b *bench) events() []string {
	var names []string
	for _, r := range b.records {
		names = append(names, r.Event.Kind().Name)
	}
	b.records = nil
	return names
}

// Flush and Publish exist twice; these are what the tests mean.
func (b *bench) Flush(now time.Time) { b.Shard.Flush(now) }

// packet returns a message to the SA with that SPI of ours, which is the responder's.
func packet(spi uint64, id uint32, exch wire.ExchangeType, body string) []byte {
	return wire.Header{InitiatorSPI: 7, ResponderSPI: spi, Major: 2, Exchange: exch, Flags: wire.FlagInitiator, MessageID: id,
		Length: uint32(wire.HeaderLen + len(body))}.Append(nil)[:wire.HeaderLen:wire.HeaderLen]
}

// message is packet with its body.
func message(spi uint64, body string) machine.Datagram {
	return machine.Datagram{Local: us, Remote: them, Bytes: append(packet(spi, 1, 35, body), body...)}
}

// first returns an IKE_SA_INIT request.
func first(from netip.AddrPort, spi uint64, cookie []byte) machine.Datagram {
	nonce := sha256.Sum256(binary.BigEndian.AppendUint64(nil, spi))
	body := append(nonce[:nonceLen:nonceLen], cookie...)
	h := wire.Header{InitiatorSPI: spi, Major: 2, Exchange: ikeSAInit, Flags: wire.FlagInitiator, Length: uint32(wire.HeaderLen + len(body))}
	return machine.Datagram{Local: us, Remote: from, Bytes: append(h.Append(nil), body...)}
}

// source returns the n-th of many addresses.
func sourceAddr(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 500)
}
