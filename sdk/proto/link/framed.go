package link

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

const (
	lengthLen  = 4         // of the length in front of a batch, big endian
	readBuffer = 64 << 10  // one system call reads this much
	growStep   = 256 << 10 // memory for a message grows as its octets arrive
	keepBuffer = 1 << 20   // larger buffers are given back
)

// NewFramed returns the carrier for a stream socket: each batch is a length of four octets, big endian, and the
// marshalled Batch. Its buffers are wiped after use, for they hold keys.
func NewFramed(conn io.ReadWriteCloser) Carrier {
	socket := direct(conn)
	return &framed{writer: socket, reader: bufio.NewReaderSize(socket, readBuffer), closing: sync.OnceValue(conn.Close)}
}

type framed struct {
	writer  io.Writer
	reader  *bufio.Reader
	in, out []byte
	closing func() error
}

func (f *framed) Close() error { return f.closing() }

func (f *framed) Send(b *basev1.Batch) error {
	out, err := appendBatch(append(f.out[:0], 0, 0, 0, 0), b)
	if err != nil {
		return fmt.Errorf("link: marshal: %w", err)
	}
	defer func() { f.out = recycle(out) }()
	if len(out)-lengthLen > MaxMessage {
		return fmt.Errorf("%w: sending %d octets, limit %d", ErrTooLarge, len(out)-lengthLen, MaxMessage)
	}
	binary.BigEndian.PutUint32(out, uint32(len(out)-lengthLen))
	_, err = f.writer.Write(out)
	return err
}

func (f *framed) Recv() (*basev1.Batch, error) {
	var head [lengthLen]byte
	if _, err := io.ReadFull(f.reader, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > MaxMessage {
		return nil, fmt.Errorf("%w: receiving %d octets, limit %d", ErrTooLarge, n, MaxMessage)
	}
	in, err := readGrowing(f.reader, f.in[:0], int(n))
	defer func() { f.in = recycle(in) }()
	if err != nil {
		return nil, err
	}
	batch, err := parseBatch(in)
	if err != nil {
		return nil, fmt.Errorf("link: message of %d octets is no batch: %w", n, err)
	}
	return batch, nil
}

// readGrowing reads n octets into buf, never allocating far beyond what has arrived.
func readGrowing(r io.Reader, buf []byte, n int) ([]byte, error) {
	for len(buf) < n {
		step := min(n-len(buf), max(growStep, cap(buf)-len(buf)))
		start := len(buf)
		buf = append(buf, make([]byte, step)...)
		if _, err := io.ReadFull(r, buf[start:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return buf, err
		}
	}
	return buf, nil
}

// recycle wipes buf and returns it for the next message, unless one giant made it too large to keep.
func recycle(buf []byte) []byte {
	clear(buf)
	if cap(buf) > keepBuffer {
		return nil
	}
	return buf[:0]
}
