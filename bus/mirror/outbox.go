package mirror

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Sizes of the outbox.
const (
	segmentSize = 8 << 20 // a segment is removed as a whole; a search reads a few of them
	minOutbox   = 4 * segmentSize
)

// errFull says that the outbox holds as many unsent bytes as it may.
var errFull = errors.New("mirror: outbox full")

// file is what the outbox writes to; tests put a failing one in its place.
type file interface {
	io.Writer
	Sync() error
	Truncate(size int64) error
	Close() error
}

// segment is one file of the outbox, frame after frame.
type segment struct {
	number uint64
	first  uint64    // ordinal of its first frame
	size   int64     // bytes committed: written and synced
	sent   time.Time // when all of it had been acknowledged; zero before
}

// outbox is a queue of frames on disk. One goroutine appends, one reads; both may do so at a time.
//
// A segment that failed once is not written again, and every run begins a new one. A torn tail is therefore harmless wherever
// it stands: the reader goes on with the next segment.
type outbox struct {
	dir    string
	limit  int64
	settle time.Duration // how long sent segments are kept
	create func(path string) (file, error)
	now    func() time.Time
	lock   *os.File

	active file // the newest segment, nil when a new one must be begun; of the appender

	mu       sync.Mutex
	segments []*segment // oldest first, numbers rising
	frames   uint64     // frames that earlier runs left and this run committed
	news     chan struct{}
}

// openOutbox opens the outbox in dir, which it makes if need be (0700), and locks it against other processes.
func openOutbox(dir string, limit int64, settle time.Duration) (*outbox, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("mirror: outbox: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("mirror: outbox: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("mirror: outbox %s is in use by another process: %w", dir, err)
	}
	o := &outbox{dir: dir, limit: max(limit, minOutbox), settle: settle, create: createFile, now: time.Now, lock: lock, news: make(chan struct{}, 1)}
	if err := o.scan(); err != nil {
		lock.Close()
		return nil, err
	}
	return o, nil
}

func createFile(path string) (file, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

func (o *outbox) path(number uint64) string {
	return filepath.Join(o.dir, fmt.Sprintf("%020d.seg", number))
}

// scan finds the segments of earlier runs.
func (o *outbox) scan() error {
	entries, err := os.ReadDir(o.dir) // sorted by name, so by number
	if err != nil {
		return fmt.Errorf("mirror: outbox: %w", err)
	}
	for _, entry := range entries {
		var number uint64
		if n, _ := fmt.Sscanf(entry.Name(), "%020d.seg", &number); n != 1 {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			return fmt.Errorf("mirror: outbox: %w", err)
		}
		o.segments = append(o.segments, &segment{number: number, size: info.Size()})
	}
	return o.count()
}

// count numbers the frames of earlier runs.
func (o *outbox) count() error {
	for i, s := range o.segments {
		s.first = o.frames
		part := &outbox{dir: o.dir, segments: o.segments[i : i+1]}
		r := part.reader(position{segment: s.number})
		for {
			_, ok, err := r.next()
			if err != nil {
				r.close()
				return fmt.Errorf("mirror: outbox: %w", err)
			}
			if !ok {
				break
			}
			o.frames++
		}
		r.close()
	}
	return nil
}

// append commits frames: when it returns nil they are on disk. n is their count. After an error nothing of them counts as
// written.
func (o *outbox) append(frames []byte, n int) error {
	s, err := o.room(int64(len(frames)))
	if err != nil {
		return err
	}
	if err := o.write(s, frames); err != nil {
		o.seal()
		return fmt.Errorf("mirror: outbox: %w", err)
	}
	o.mu.Lock()
	s.size += int64(len(frames))
	o.frames += uint64(n)
	o.mu.Unlock()
	o.signal()
	return nil
}

// write takes back what it could not finish, so that a frame does not stand in two segments.
func (o *outbox) write(s *segment, frames []byte) error {
	_, err := o.active.Write(frames)
	if err == nil {
		err = o.active.Sync()
	}
	if err == nil {
		return nil
	}
	return errors.Join(err, o.active.Truncate(s.size))
}

// room returns the segment to write n bytes to.
func (o *outbox) room(n int64) (*segment, error) {
	if last := o.last(); o.active != nil && last.size > 0 && last.size+n > segmentSize {
		o.seal()
	}
	if over := o.size() + n - o.limit; over > 0 {
		o.trim(over)
		if o.size()+n > o.limit {
			return nil, errFull
		}
	}
	if o.active == nil {
		return o.begin()
	}
	return o.last(), nil
}

func (o *outbox) begin() (*segment, error) {
	s := &segment{number: 1}
	if last := o.last(); last != nil {
		s.number = last.number + 1
	}
	f, err := o.create(o.path(s.number))
	if err != nil {
		return nil, fmt.Errorf("mirror: outbox: %w", err)
	}
	if err := syncDir(o.dir); err != nil {
		f.Close()
		os.Remove(o.path(s.number))
		return nil, fmt.Errorf("mirror: outbox: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.active = f
	s.first = o.frames
	o.segments = append(o.segments, s)
	return s, nil
}

// seal ends the active segment. An empty one, left by a failure, is removed so that retries do not pile up files.
func (o *outbox) seal() {
	o.active.Close()
	o.active = nil
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := len(o.segments) - 1; o.segments[i].size == 0 {
		if os.Remove(o.path(o.segments[i].number)) == nil {
			o.segments = o.segments[:i]
		}
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (o *outbox) last() *segment {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.segments) == 0 {
		return nil
	}
	return o.segments[len(o.segments)-1]
}

func (o *outbox) size() (n int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.segments {
		n += s.size
	}
	return n
}

// after returns how many frames follow c.
func (o *outbox) after(c position) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.frames - c.ordinal
}

// acked says that all before c has been acknowledged, and removes segments for which that was so long enough.
func (o *outbox) acked(c position) {
	now := o.now()
	o.mu.Lock()
	for _, s := range o.segments {
		if s.number < c.segment && s.sent.IsZero() {
			s.sent = now
		}
	}
	o.mu.Unlock()
	o.trim(0)
}

// trim removes acknowledged segments whose time has come, and younger ones as long as over bytes are missing.
func (o *outbox) trim(over int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.segments) > 0 {
		s := o.segments[0]
		if s.sent.IsZero() || over <= 0 && o.now().Sub(s.sent) < o.settle {
			return
		}
		if err := os.Remove(o.path(s.number)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return // tried again with the next acknowledgement
		}
		over -= s.size
		o.segments = o.segments[1:]
	}
}

func (o *outbox) signal() {
	select {
	case o.news <- struct{}{}:
	default:
	}
}

// close lets go of the files.
func (o *outbox) close() error {
	if o.active != nil {
		o.active.Close()
		o.active = nil
	}
	return o.lock.Close()
}
