package pfkey

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/sa/pfkey/pfkeyv2"
)

const (
	protocolVersion = 2       // PF_KEY_V2
	listenBuffer    = 8 << 20 // octets: some ten thousand messages
	messageBuffer   = 1 << 16 // octets; the kernel's longest is a tenth of it
	answerTimeout   = 3 * time.Second
)

// sequence numbers our messages. It begins beyond those that the kernel gives to what it asks for, because GETSPI with one of these
// would be an answer to that.
var sequence atomic.Uint32

const firstSequence = 1 << 30

func init() { sequence.Store(firstSequence) }

// socket is a PF_KEY socket, for one question at a time.
type socket struct {
	fd      int
	dialect *pfkeyv2.Dialect
	pid     uint32
	buf     []byte
}

// open makes a socket, but loads no module: where PF_KEY is not, nobody wanted it.
func open(d *pfkeyv2.Dialect) (*socket, error) {
	if text, err := os.ReadFile("/proc/net/protocols"); err == nil && !bytes.Contains(text, []byte("\nKEY ")) {
		return nil, unix.EAFNOSUPPORT
	}
	fd, err := unix.Socket(unix.AF_KEY, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocolVersion)
	if err != nil {
		return nil, err
	}
	timeout := unix.NsecToTimeval(answerTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &socket{fd: fd, dialect: d, pid: uint32(os.Getpid()), buf: make([]byte, messageBuffer)}, nil
}

// listen asks to be told what the kernel tells to those who REGISTER, and returns what algorithms it has.
func (s *socket) listen() (*pfkeyv2.Message, error) {
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, listenBuffer) != nil {
		_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, listenBuffer)
	}
	answer, err := s.ask(&pfkeyv2.Message{Type: pfkeyv2.Register, ESP: true})
	if err != nil {
		return nil, err
	}
	return answer, unix.SetNonblock(s.fd, true)
}

func (s *socket) close() { _ = unix.Close(s.fd) }

// send numbers a message and sends it.
func (s *socket) send(m *pfkeyv2.Message) error {
	m.Seq, m.PID = sequence.Add(1), s.pid
	b, err := s.dialect.Append(make([]byte, 0, 512), m)
	if err != nil {
		return err
	}
	defer clear(b) // keys
	s.drain()
	_, err = unix.Write(s.fd, b)
	return err
}

// drain throws away what others were told meanwhile, so that there is room for the answer.
func (s *socket) drain() {
	for {
		if _, _, err := unix.Recvfrom(s.fd, s.buf, unix.MSG_DONTWAIT); err != nil {
			return
		}
	}
}

// receive returns the next message that can be understood. What it holds is a copy.
func (s *socket) receive() (*pfkeyv2.Message, error) {
	for {
		n, err := unix.Read(s.fd, s.buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil, fmt.Errorf("the kernel did not answer within %v: %w", answerTimeout, os.ErrDeadlineExceeded)
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, err
		}
		m, err := s.dialect.Parse(s.buf[:n])
		clear(s.buf[:n]) // keys
		if err == nil {
			wipe(m)
			return m, nil
		}
	}
}

// wipe forgets the keys, which the kernel tells with every SA and nobody needs.
func wipe(m *pfkeyv2.Message) {
	m.AuthKey.Wipe()
	m.EncrKey.Wipe()
	m.AuthKey, m.EncrKey = nil, nil
}

// ask sends a message and returns the kernel's answer to it. The kernel tells answers to every socket there is.
func (s *socket) ask(m *pfkeyv2.Message) (*pfkeyv2.Message, error) {
	if err := s.send(m); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(answerTimeout); time.Now().Before(deadline); {
		r, err := s.receive()
		switch {
		case err != nil:
			return nil, err
		case r.Type != m.Type || r.Seq != m.Seq || r.PID != m.PID:
			continue
		case r.Errno != 0:
			return nil, unix.Errno(r.Errno)
		}
		return r, nil
	}
	return nil, os.ErrDeadlineExceeded
}

// asked tells whether the kernel tells of what this process asked for.
func (s *socket) asked(m *pfkeyv2.Message) bool {
	return m.PID == s.pid && m.Seq > firstSequence && m.Seq <= sequence.Load()
}

// dump gives every message of an answer with many to each. The last one has sequence number 0 (RFC 2367 section 3.1.10).
func (s *socket) dump(m *pfkeyv2.Message, each func(*pfkeyv2.Message)) error {
	if err := s.send(m); err != nil {
		return err
	}
	for {
		r, err := s.receive()
		switch {
		case err != nil:
			return err
		case r.Type != m.Type || r.PID != m.PID:
			continue
		case r.Errno == uint8(unix.ENOENT): // there are none
			return nil
		case r.Errno != 0:
			return unix.Errno(r.Errno)
		}
		each(r)
		if r.Seq == 0 {
			return nil
		}
	}
}

// migrate sends a MIGRATE. Its success is told to everybody, without our number.
func (s *socket) migrate(m *pfkeyv2.Message) error {
	if err := s.send(m); err != nil {
		return err
	}
	for {
		r, err := s.receive()
		switch {
		case err != nil:
			return err
		case r.Type != pfkeyv2.Migrate:
			continue
		case r.Errno != 0 && r.Seq == m.Seq && r.PID == m.PID:
			return unix.Errno(r.Errno)
		case r.Errno == 0:
			return nil
		}
	}
}
