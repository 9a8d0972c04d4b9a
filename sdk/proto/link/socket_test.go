package link

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// socketPair returns both ends of a connection as the daemon and its plugins have them.
func socketPair(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "end")
		if ends[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		t.Cleanup(func() { _ = ends[i].Close() })
	}
	return ends[0], ends[1]
}

func TestASocketCarriesMoreThanItHasRoomFor(t *testing.T) {
	t.Parallel()
	a, b := socketPair(t)
	if _, ok := direct(a).(*socket); !ok {
		t.Fatal("the socket is not used directly")
	}
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MB; the kernel takes a part
	failed := make(chan error, 1)
	go func() {
		n, err := direct(a).Write(sent)
		if err == nil && n != len(sent) {
			err = io.ErrShortWrite
		}
		failed <- errors.Join(err, a.Close())
	}()
	got, err := io.ReadAll(direct(b))
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d octets of %d arrived, or others, error %v", len(got), len(sent), err)
	}
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

func TestASocketTellsHowItEnded(t *testing.T) {
	t.Parallel()
	a, b := socketPair(t)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := direct(a).Read(make([]byte, 8)); !errors.Is(err, io.EOF) {
		t.Errorf("reading after the other side's end: %v", err)
	}
	if _, err := direct(a).Write(make([]byte, 8)); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("writing after the other side's end: %v", err)
	}
	c, d := socketPair(t)
	if _, err := c.Write([]byte("unread")); err != nil {
		t.Fatal(err)
	}
	_ = d.Close()
	if _, err := direct(c).Read(make([]byte, 8)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reading after a reset: %v", err)
	}
}

func TestClosingASocketEndsWhoWaitsForIt(t *testing.T) {
	t.Parallel()
	a, _ := socketPair(t)
	c := NewFramed(a)
	ended := make(chan error, 2)
	go func() { _, err := c.Recv(); ended <- err }()
	go func() {
		var err error
		for err == nil { // nobody reads
			err = c.Send(&basev1.Batch{Frames: []*basev1.Frame{{Body: make([]byte, 1<<20)}}})
		}
		ended <- err
	}()
	time.Sleep(50 * time.Millisecond) // both wait, most likely
	_ = c.Close()
	for range 2 {
		select {
		case err := <-ended:
			if err == nil {
				t.Error("ended without an error")
			}
		case <-time.After(10 * time.Second):
			t.Fatal("still waits")
		}
	}
}
