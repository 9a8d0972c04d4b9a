package mirror

import (
	"errors"
	"io"
	"os"
	"sort"
)

// readSize is how much is read at once: some 250 events.
const readSize = 256 << 10

// position is a place in the outbox: before the frame at offset, or at the end of the segment.
type position struct {
	segment uint64
	offset  int64
	ordinal uint64 // frames before it, counted from the oldest that this run found
}

// reader reads frames from a position on. It sees only what is committed.
type reader struct {
	box   *outbox
	at    position // of the next frame
	file  *os.File // of at.segment, nil when not open
	buf   []byte   // bytes of the file from at.offset on
	space []byte
}

func (o *outbox) reader(from position) *reader {
	return &reader{box: o, at: from, space: make([]byte, readSize)}
}

func (r *reader) close() {
	if r.file != nil {
		r.file.Close()
	}
	r.file, r.buf = nil, nil
}

// next returns the next message; false when all that is committed was read. The payload is valid until the next call.
func (r *reader) next() (message, bool, error) {
	for {
		s, newest := r.box.segmentAt(r.at.segment)
		if s.number == 0 {
			return message{}, false, nil
		}
		if s.number != r.at.segment {
			r.enter(s)
		}
		if r.at.offset < s.size {
			m, err := r.frame(s.size)
			if !errors.Is(err, errTorn) {
				return m, err == nil, err
			}
			r.at.offset, r.buf = s.size, nil // what follows damage cannot be trusted
		}
		if newest {
			return message{}, false, nil
		}
		r.at.segment++
		next, _ := r.box.segmentAt(r.at.segment)
		r.enter(next)
	}
}

func (r *reader) enter(s segment) {
	r.close()
	r.at = position{segment: s.number, ordinal: s.first}
}

// segmentAt returns the segment with that number, or the one after it when it is gone; number 0 when there is none.
func (o *outbox) segmentAt(number uint64) (s segment, newest bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := sort.Search(len(o.segments), func(i int) bool { return o.segments[i].number >= number })
	if i == len(o.segments) {
		return segment{}, false
	}
	return *o.segments[i], i == len(o.segments)-1
}

func (r *reader) frame(end int64) (message, error) {
	frame, err := r.fill(frameHeader, end)
	if err != nil {
		return message{}, err
	}
	size, err := frameSize(frame)
	if err != nil {
		return message{}, err
	}
	if frame, err = r.fill(size, end); err != nil {
		return message{}, err
	}
	m, err := parseFrame(frame)
	if err == nil {
		r.at.offset += int64(size)
		r.at.ordinal++
		r.buf = r.buf[size:]
	}
	return m, err
}

// fill returns the next n bytes; errTorn when the segment ends before them.
func (r *reader) fill(n int, end int64) ([]byte, error) {
	if len(r.buf) >= n {
		return r.buf[:n], nil
	}
	if int64(n) > end-r.at.offset {
		return nil, errTorn
	}
	if r.file == nil {
		f, err := os.Open(r.box.path(r.at.segment))
		if err != nil {
			return nil, err
		}
		r.file = f
	}
	got, err := r.file.ReadAt(r.space[:min(int64(len(r.space)), end-r.at.offset)], r.at.offset)
	r.buf = r.space[:got]
	if got < n {
		if err == nil || errors.Is(err, io.EOF) {
			err = errTorn
		}
		return nil, err
	}
	return r.buf[:n], nil
}

// find returns the position after the message with the given id, searching from a position on.
func (o *outbox) find(id string, from position) (position, bool, error) {
	r := o.reader(from)
	defer r.close()
	for {
		m, ok, err := r.next()
		if err != nil || !ok {
			return position{}, false, err
		}
		if m.id == id {
			return r.at, true, nil
		}
	}
}
