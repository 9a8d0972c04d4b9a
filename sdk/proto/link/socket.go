package link

import (
	"io"
	"os"
	"syscall"
)

// socket reads and writes a socket that does not block with plain system calls: the runtime is not told of them, for they
// only copy. Telling it costs more than they do in a process that sleeps between batches, because a monitor thread is
// woken each time. The runtime still waits for the socket where there is nothing to read or no room to write.
type socket struct {
	in, out transfer
}

// direct returns conn itself, or where it can its socket.
func direct(conn io.ReadWriter) io.ReadWriter {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return conn
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return conn
	}
	s := &socket{}
	s.in = transfer{wait: raw.Read, move: readNow}
	s.out = transfer{wait: raw.Write, move: writeNow}
	s.in.try, s.out.try = s.in.once, s.out.all
	return s
}

// Read implements io.Reader.
func (s *socket) Read(p []byte) (int, error) {
	n, err := s.in.run(p, "read")
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

// Write implements io.Writer.
func (s *socket) Write(p []byte) (int, error) { return s.out.run(p, "write") }

// transfer is one direction; it is used by one goroutine at a time.
type transfer struct {
	wait func(func(fd uintptr) bool) error // calls try until it says true, and waits for the socket in between
	try  func(fd uintptr) bool
	move func(fd uintptr, p []byte) (int, syscall.Errno)

	p     []byte
	n     int
	errno syscall.Errno
}

func (t *transfer) run(p []byte, name string) (int, error) {
	t.p, t.n, t.errno = p, 0, 0
	err := t.wait(t.try)
	t.p = nil
	if err == nil && t.errno != 0 {
		err = os.NewSyscallError(name, t.errno)
	}
	return t.n, err
}

// once moves what it can and reports whether that, or an end, was there.
func (t *transfer) once(fd uintptr) bool {
	for {
		n, errno := t.move(fd, t.p[t.n:])
		switch errno {
		case 0:
			t.n += n
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			t.errno = errno
			return true
		}
	}
}

// all moves everything.
func (t *transfer) all(fd uintptr) bool {
	for t.n < len(t.p) && t.errno == 0 {
		if !t.once(fd) {
			return false
		}
	}
	return true
}
