package journal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"os"
	"time"

	"github.com/parley-ike/parley/core/machine"
)

// Errors of reading.
var (
	ErrTorn   = errors.New("journal: the file ends in the middle of a record (the daemon or the machine was stopped); all before it is good")
	ErrFormat = errors.New("journal: this is not a journal, or one of another version of Parley")
)

// Entry is an input, or with Check the digest of the effects that the input before it had.
type Entry struct {
	Time   time.Time
	Owner  machine.Owner // the SA of the family that took the input
	Input  machine.Input
	Check  bool
	Digest uint64
}

// Reader reads a journal, once. It is not safe for concurrent use.
type Reader struct {
	Header Header
	file   io.Closer
	frames frames
	dec    *gob.Decoder
}

// Read opens a journal. The caller closes it.
func Read(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	r, err := NewReader(f)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%w: %s", err, path)
	}
	r.file = f
	return r, nil
}

// NewReader reads a journal from in.
func NewReader(in io.Reader) (*Reader, error) {
	b := bufio.NewReader(in)
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(b, head); err != nil || string(head) != magic {
		return nil, ErrFormat
	}
	r := &Reader{frames: frames{in: b}}
	r.dec = gob.NewDecoder(&r.frames)
	if err := r.decode(&r.Header); err != nil {
		return nil, err
	}
	return r, nil
}

// Next returns the next entry; io.EOF at the end, ErrTorn where the file was cut, ErrFormat where it is damaged.
func (r *Reader) Next() (Entry, error) {
	var e entry
	if err := r.decode(&e); err != nil {
		return Entry{}, err
	}
	return e.unpack()
}

// decode reads one value. A frame holds exactly one, so that a damaged stream cannot draw on the next frame.
func (r *Reader) decode(v any) error {
	if err := r.frames.next(); err != nil {
		return err
	}
	if err := r.dec.Decode(v); err != nil || r.frames.body.Len() > 0 {
		return fmt.Errorf("%w: %v", ErrFormat, err)
	}
	return nil
}

// All yields the entries until the end. A damaged or torn file yields its error last.
func (r *Reader) All() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for {
			e, err := r.Next()
			if err == io.EOF || !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Close closes the file.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// frames is the gob stream inside the frames.
type frames struct {
	in   *bufio.Reader
	body bytes.Reader
}

// next loads a frame.
func (f *frames) next() error {
	var head [frameHead]byte
	switch _, err := io.ReadFull(f.in, head[:]); err {
	case nil:
	case io.EOF:
		return io.EOF
	default:
		return ErrTorn
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame {
		return fmt.Errorf("%w: a record of %d octets", ErrFormat, n)
	}
	body, err := io.ReadAll(io.LimitReader(f.in, int64(n))) // grows with what is there, not with what is claimed
	if err != nil || len(body) < int(n) {
		return ErrTorn
	}
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		return fmt.Errorf("%w: a record has a wrong checksum", ErrFormat)
	}
	f.body.Reset(body)
	return nil
}

// Read implements io.Reader within the frame. Gob reads exactly what it needs from an io.ByteReader.
func (f *frames) Read(p []byte) (int, error) { return f.body.Read(p) }

// ReadByte implements io.ByteReader, which keeps gob from buffering.
func (f *frames) ReadByte() (byte, error) { return f.body.ReadByte() }
