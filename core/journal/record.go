package journal

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/sdk/secret"
)

const (
	magic = "parley journal 1\n"
	// Suffix ends the name of every journal.
	Suffix = ".journal"

	// MaxFile bounds a file: years of liveness checks, or the worst that a hostile peer could write in an afternoon.
	MaxFile = 64 << 20
	// MaxTracks bounds the open files: half of the common limit of 1024 descriptors.
	MaxTracks = 512
	// MaxQueue bounds the octets that wait for the disk: a second of a slow one.
	MaxQueue = 16 << 20
	// maxFrame bounds what a reader accepts: the largest datagram, or a configuration of several thousand connections.
	maxFrame = 4 << 20

	frameHead = 8
)

// Errors for which the recording of an SA stops.
var (
	ErrSlow    = errors.New("journal: the disk is slower than the SA; the recording of this SA ends here")
	ErrTooMany = fmt.Errorf("journal: more than %d SAs are being recorded; this one is not", MaxTracks)
	ErrFull    = fmt.Errorf("journal: the file has reached %d octets; the recording of this SA ends here", MaxFile)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header is what a machine is rebuilt from.
type Header struct {
	Version       uint8 // major version of IKE
	Initiator     bool
	SPI           uint64 // ours
	Seed          secret.Bytes
	Conn          string // "" while a responder does not know it
	Config        []byte // in the form of the protocol
	Local, Remote netip.AddrPort
	Created       time.Time
}

// Recorder writes journals into one directory. It is safe for concurrent use.
type Recorder struct {
	dir    string
	failed func(path string, err error)
	done   chan struct{}
	wake   chan struct{}

	mu     sync.Mutex
	queue  []chunk
	octets int // in queue
	tracks int
	closed bool
}

// chunk is work for the writer: frames to append, or with no frames the end of a track.
type chunk struct {
	track  *Track
	frames []byte
}

// NewRecorder makes dir if need be and starts the writer. failed, which may be nil, is called once for every SA whose
// recording had to stop; it must not wait.
func NewRecorder(dir string, failed func(path string, err error)) (*Recorder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: cannot make the directory: %w", err)
	}
	if failed == nil {
		failed = func(string, error) {}
	}
	r := &Recorder{dir: dir, failed: failed, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	go r.write()
	return r, nil
}

// Track records one SA and those that grow out of it. A nil Track records nothing.
type Track struct {
	r    *Recorder
	path string

	mu      sync.Mutex
	buf     bytes.Buffer
	enc     *gob.Encoder
	size    int // octets handed to the queue
	users   int
	stopped bool

	file *os.File // the writer's
	dead bool     // the writer's: an error was reported
}

// Begin starts the journal of a new SA. A nil Recorder returns a nil Track.
func (r *Recorder) Begin(h Header) *Track {
	if r == nil {
		return nil
	}
	t := &Track{r: r, path: r.path(h.SPI), users: 1}
	if !r.enter() {
		r.failed(t.path, ErrTooMany)
		return nil
	}
	t.enc = gob.NewEncoder(&t.buf)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.append(&h)
	return t
}

// Refuse reports that an SA is not recorded, because its header cannot be made.
func (r *Recorder) Refuse(spi uint64, err error) {
	r.failed(r.path(spi), fmt.Errorf("journal: this SA is not recorded: %w", err))
}

func (r *Recorder) path(spi uint64) string {
	return filepath.Join(r.dir, fmt.Sprintf("%016x%s", spi, Suffix))
}

func (r *Recorder) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.tracks >= MaxTracks {
		return false
	}
	r.tracks++
	return true
}

// Record notes an input of the SA owner, before the machine steps: a step may wipe the secrets in it.
func (t *Track) Record(now time.Time, owner machine.Owner, in machine.Input) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e, err := pack(now, owner, in)
	if err != nil {
		t.stop(err)
		return
	}
	t.append(e)
}

// Check notes the digest of the effects that followed the last input, so that a replay can prove that it is faithful.
func (t *Track) Check(owner machine.Owner, digest uint64) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.append(&entry{Owner: owner, Kind: kindCheck, Digest: digest})
}

// Share adds an SA that grew out of the recorded one; each ends with End.
func (t *Track) Share() *Track {
	if t != nil {
		t.mu.Lock()
		t.users++
		t.mu.Unlock()
	}
	return t
}

// End ends the recording when the last SA of the track has ended.
func (t *Track) End() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.users--; t.users == 0 {
		t.stopped = true
		t.r.put(chunk{track: t})
	}
}

// append encodes v as a frame and queues it.
func (t *Track) append(v any) {
	if t.stopped {
		return
	}
	t.buf.Reset()
	if err := t.enc.Encode(v); err != nil {
		t.stop(fmt.Errorf("journal: cannot encode: %w", err))
		return
	}
	f := frame(t.buf.Bytes())
	t.size += len(f)
	switch {
	case t.size > MaxFile || len(f)-frameHead > maxFrame:
		t.stop(ErrFull)
	case !t.r.put(chunk{t, f}):
		t.stop(ErrSlow)
	}
}

// frame returns body behind its length and checksum.
func frame(body []byte) []byte {
	f := make([]byte, frameHead, frameHead+len(body))
	binary.BigEndian.PutUint32(f, uint32(len(body)))
	binary.BigEndian.PutUint32(f[4:], crc32.Checksum(body, castagnoli))
	return append(f, body...)
}

// stop ends the recording early. What is queued is still written.
func (t *Track) stop(err error) {
	if !t.stopped {
		t.stopped = true
		t.r.failed(t.path, err)
	}
}

// put queues a chunk. Frames are refused when too much waits; an end never is.
func (r *Recorder) put(c chunk) bool {
	r.mu.Lock()
	if r.closed || len(c.frames) > 0 && r.octets+len(c.frames) > MaxQueue {
		r.mu.Unlock()
		return false
	}
	r.queue = append(r.queue, c)
	r.octets += len(c.frames)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return true
}
