package journal

import (
	"fmt"
	"os"
)

// write is the writer: it takes what is queued until the recorder is closed and nothing is left.
func (r *Recorder) write() {
	defer close(r.done)
	open := map[*Track]bool{}
	for range r.wake {
		chunks := r.take()
		for _, c := range chunks {
			r.perform(c)
			open[c.track] = true
			if len(c.frames) == 0 {
				delete(open, c.track)
			}
		}
		if r.ended() {
			break
		}
	}
	for t := range open {
		t.close()
	}
}

func (r *Recorder) take() []chunk {
	r.mu.Lock()
	defer r.mu.Unlock()
	chunks := r.queue
	r.queue, r.octets = nil, 0
	return chunks
}

func (r *Recorder) ended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed && len(r.queue) == 0
}

// perform writes a chunk. After the first error of a track the rest is dropped.
func (r *Recorder) perform(c chunk) {
	if len(c.frames) == 0 {
		c.track.close()
		r.mu.Lock()
		r.tracks--
		r.mu.Unlock()
		return
	}
	if c.track.dead {
		return
	}
	if err := c.track.write(c.frames); err != nil {
		c.track.dead = true
		c.track.fail(err)
	}
}

// write appends frames to the file, which it creates for the first.
func (t *Track) write(frames []byte) error {
	if t.file == nil {
		f, err := os.OpenFile(t.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		t.file = f
		frames = append([]byte(magic), frames...)
	}
	_, err := t.file.Write(frames)
	return err
}

// fail reports an error of the disk, unless something was reported already, and keeps the shard from encoding more.
func (t *Track) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stop(fmt.Errorf("journal: cannot write, the recording of this SA ends here: %w", err))
}

func (t *Track) close() {
	if t.file != nil {
		_ = t.file.Close()
		t.file = nil
	}
}

// Close writes what is queued and ends the writer. Recording after it is refused.
func (r *Recorder) Close() {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
	<-r.done
}
