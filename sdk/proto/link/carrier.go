package link

import (
	"errors"
	"sync"

	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// Carrier moves batches to the other side, in order. Send and Recv may run at the same time, but each in one goroutine
// only. Close ends both; it may be called at any time and more than once. Recv returns io.EOF when the other side closed
// in order.
type Carrier interface {
	Send(*basev1.Batch) error
	Recv() (*basev1.Batch, error)
	Close() error
}

// Errors of this package.
var (
	ErrTooLarge = errors.New("link: message larger than the limit")
	ErrBacklog  = errors.New("link: the other side does not read")
	ErrClosed   = errors.New("link: closed")
)

// Stream is either side of the gRPC stream Exchange.
type Stream interface {
	Send(*basev1.Batch) error
	Recv() (*basev1.Batch, error)
}

// NewStream returns a carrier on a gRPC stream; closing ends the stream.
func NewStream(s Stream, closing func() error) Carrier {
	return &streamCarrier{Stream: s, closing: sync.OnceValue(closing)}
}

type streamCarrier struct {
	Stream
	closing func() error
}

func (c *streamCarrier) Close() error { return c.closing() }
