package transport

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Sender queues messages for one goroutine. Nothing leaves before Flush, or before BatchSize messages wait for a
// socket.
type Sender struct {
	t        *Transport
	queues   []queue       // one per socket
	patience time.Duration // sendPatience
}

// queue holds the messages for one socket. Its slots are used again and again.
type queue struct {
	msgs  []ipv4.Message
	slots []slot
	n     int

	source netip.Addr // that control describes
	oob    []byte
}

// slot is the memory behind one message.
type slot struct {
	buffers [2][]byte
	addr    net.UDPAddr
	ip      [16]byte
}

// NewSender returns a Sender on t's sockets.
func (t *Transport) NewSender() *Sender {
	return &Sender{t: t, queues: make([]queue, len(t.sockets)), patience: sendPatience}
}

// Send queues b, which must not change until Flush. It leaves from local, whose port decides about the non-ESP marker
// (RFC 3948 section 2.2); an unspecified local address lets the kernel choose. A message from an address or port where no
// socket is bound is counted and dropped.
func (s *Sender) Send(local, remote netip.AddrPort, b []byte) {
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	i := s.t.find(local)
	if i < 0 || remote.Addr().Is4() != local.Addr().Is4() || len(b) == 0 {
		s.t.stats.NoSocket.Add(1)
		return
	}
	q := &s.queues[i]
	q.add(local.Addr(), remote, b, s.t.sockets[i].natt && !isKeepalive(b))
	if q.n == BatchSize {
		s.flush(i)
	}
}

// isKeepalive tells the one payload that goes without a marker (RFC 3948 section 2.3).
func isKeepalive(b []byte) bool { return len(b) == 1 && b[0] == keepalive }

// add fills the next slot.
func (q *queue) add(source netip.Addr, remote netip.AddrPort, b []byte, marked bool) {
	if q.msgs == nil {
		q.msgs, q.slots = make([]ipv4.Message, BatchSize), make([]slot, BatchSize)
	}
	m, sl := &q.msgs[q.n], &q.slots[q.n]
	q.n++
	m.Buffers = sl.buffers[:0]
	if marked {
		m.Buffers = append(m.Buffers, marker)
	}
	m.Buffers = append(m.Buffers, b)
	sl.setAddr(remote)
	m.Addr = &sl.addr
	m.OOB = q.control(source)
}

func (sl *slot) setAddr(remote netip.AddrPort) {
	ip := remote.Addr().AsSlice()
	sl.addr.IP = sl.ip[:copy(sl.ip[:], ip)]
	sl.addr.Port = int(remote.Port())
	sl.addr.Zone = remote.Addr().Zone()
}

// control returns the control message that sets the source address. The last one is kept: most messages of a batch
// leave from one address.
func (q *queue) control(source netip.Addr) []byte {
	if source == q.source {
		return q.oob
	}
	q.source, q.oob = source, nil
	switch {
	case source.IsUnspecified():
	case source.Is4():
		q.oob = (&ipv4.ControlMessage{Src: source.AsSlice()}).Marshal()
	default:
		q.oob = (&ipv6.ControlMessage{Src: source.AsSlice()}).Marshal()
	}
	return q.oob
}

// Flush writes all that is queued. It waits for the kernel's send buffer no longer than a tenth of a second per socket
// and drops the rest: UDP may lose datagrams, and IKE repeats its requests. It waits only when there is no room: a deadline set in
// advance would lose messages, responses among them, whenever this goroutine has to wait that long for a processor.
func (s *Sender) Flush() {
	for i := range s.queues {
		if s.queues[i].n > 0 {
			s.flush(i)
		}
	}
}

func (s *Sender) flush(i int) {
	q, batch := &s.queues[i], s.t.sockets[i].batch
	patience := s.patience
	for rest := q.msgs[:q.n]; len(rest) > 0; {
		n, err := batch.WriteBatch(rest, dontWait)
		if isFull(err) && patience > 0 {
			time.Sleep(sendPause)
			patience -= sendPause
			continue
		}
		n = max(n, 0)
		s.t.stats.Sent.Add(uint64(n))
		rest = rest[n:]
		if err != nil && len(rest) > 0 { // the first of the rest was refused; the others may do better
			s.t.stats.SendErrors.Add(1)
			rest = rest[1:]
		}
	}
	q.reset()
}

// isFull reports whether the kernel's send buffer had no room.
func isFull(err error) bool { return errors.Is(err, syscall.EAGAIN) }

// reset forgets the messages and keeps the slots.
func (q *queue) reset() {
	for i := range q.slots[:q.n] {
		q.slots[i].buffers = [2][]byte{}
	}
	q.n = 0
}
