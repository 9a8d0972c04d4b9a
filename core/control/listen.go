package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrInUse says that another daemon serves the socket.
var ErrInUse = errors.New("control: another daemon serves the control socket")

// SocketMode is for us and the socket's group: whoever can use it can take tunnels down.
const SocketMode = 0o660

// socket is a listening socket and the lock that keeps it ours.
type socket struct {
	listener net.Listener
	lock     *os.File
	gid      uint32
}

// listen binds the socket. A file that a dead daemon left is replaced; a lock file beside it makes two daemons that start
// at once agree.
func listen(path, group string) (*socket, error) {
	gid, err := groupID(group)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("control: no folder for the control socket: %w", err)
	}
	lock, err := takeLock(path + ".lock")
	if err != nil {
		return nil, err
	}
	l, err := bind(path, gid)
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	return &socket{listener: l, lock: lock, gid: uint32(gid)}, nil
}

func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("control: cannot lock the control socket: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("%w: %s is locked: stop it first, or give this one another control_socket", ErrInUse, path)
	}
	return nil, fmt.Errorf("control: cannot lock %s: %w", path, err)
}

func bind(path string, gid int) (net.Listener, error) {
	if err := clearStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control: cannot open the control socket: %w", err)
	}
	if err = os.Chown(path, -1, gid); err == nil {
		err = os.Chmod(path, SocketMode)
	}
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("control: cannot set who may use the control socket: %w", err)
	}
	return l, nil
}

// clearStale removes a socket that nobody serves.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("control: cannot examine the control socket: %w", err)
	case info.Mode()&os.ModeSocket == 0:
		return fmt.Errorf("control: %s is there and is no socket: move it away, or set another control_socket", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("%w: %s answers: stop it first, or give this one another control_socket", ErrInUse, path)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("control: cannot tell whether %s is in use: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("control: cannot remove what a daemon left: %w", err)
	}
	return nil
}

// close gives the lock back; closing the listener has removed the socket.
func (s *socket) close() error { return s.lock.Close() }

// groupID returns the number of a group, ours for "".
func groupID(group string) (int, error) {
	if group == "" {
		return os.Getegid(), nil
	}
	if n, err := strconv.ParseUint(group, 10, 31); err == nil {
		return int(n), nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, fmt.Errorf("control: the socket's group: %w: create it, or name another", err)
	}
	return strconv.Atoi(g.Gid)
}
