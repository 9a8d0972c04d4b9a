package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// UnreachableError says that no daemon answers on a socket, and what to do about it.
type UnreachableError struct {
	Socket string
	Err    error
}

// Error implements error.
func (e *UnreachableError) Error() string {
	advice := "is parleyd running, and is this its control socket?"
	switch info, err := os.Stat(e.Socket); {
	case err == nil && info.Mode()&fs.ModeSocket == 0:
		advice = "it is no socket; name the daemon's with --socket"
	case errors.Is(e.Err, fs.ErrPermission):
		advice = "try sudo, or have yourself added to the socket's group"
	case errors.Is(e.Err, fs.ErrNotExist):
		advice = "is parleyd running? another socket is named with --socket"
	case errors.Is(e.Err, syscall.ECONNREFUSED):
		advice = "parleyd has ended and left its socket: start it again"
	}
	return fmt.Sprintf("cannot reach parleyd at %s: %v: %s", e.Socket, cause(e.Err), advice)
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// cause is the error of the system without what we say ourselves.
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// Client talks to a daemon. It is safe for concurrent use.
type Client struct {
	controlv1.ControlClient
	conn *grpc.ClientConn
}

// dialWait is how long a local socket may take to accept.
const dialWait = 5 * time.Second

// Dial connects to the daemon at a socket. The error, if it cannot be reached, is an *UnreachableError.
func Dial(socket string) (*Client, error) {
	first, err := net.DialTimeout("unix", socket, dialWait)
	if err != nil {
		return nil, &UnreachableError{socket, err}
	}
	_ = first.Close()
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	conn, err := grpc.NewClient("passthrough:///parleyd", grpc.WithContextDialer(dial),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	return &Client{controlv1.NewControlClient(conn), conn}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }
