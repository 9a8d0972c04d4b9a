package mirror

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-ike/parley/bus/event"
)

func openTest(t testing.TB, dir string) *outbox {
	t.Helper()
	o, err := openOutbox(dir, 0, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.close() })
	return o
}

// frames renders the numbers from first to last; each frame is about size bytes long.
func frames(t testing.TB, first, last, size int) (out []byte) {
	t.Helper()
	e, err := newRenderer("gw1", "b1", "")
	if err != nil {
		t.Fatal(err)
	}
	filler := make([]string, size/100)
	for i := range filler {
		filler[i] = string(make([]byte, 16)) // 100 bytes escaped
	}
	for n := first; n <= last; n++ {
		if out, err = e.appendFrame(out, event.Record{Sequence: uint64(n), Event: event.DaemonReady{Listen: filler}}); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func put(t testing.TB, o *outbox, first, last int) {
	t.Helper()
	if err := o.append(frames(t, first, last, 0), last-first+1); err != nil {
		t.Fatal(err)
	}
}

func numbers(t testing.TB, o *outbox, from position) (got []int) {
	t.Helper()
	r := o.reader(from)
	defer r.close()
	for {
		m, ok, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return got
		}
		_, n := splitID(m.id)
		got = append(got, int(n))
	}
}

func wantNumbers(t testing.TB, got []int, first, last int) {
	t.Helper()
	if len(got) != last-first+1 {
		t.Fatalf("got %d frames %v, want %d to %d", len(got), got[:min(len(got), 20)], first, last)
	}
	for i, n := range got {
		if n != first+i {
			t.Fatalf("frame %d is %d, want %d", i, n, first+i)
		}
	}
}

func segments(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestAnOutboxIsReadAsItWasWrittenOverRuns(t *testing.T) {
	dir := t.TempDir()
	for i := range 5 {
		o := openTest(t, dir)
		put(t, o, 100*i+1, 100*i+50)
		put(t, o, 100*i+51, 100*i+100)
		wantNumbers(t, numbers(t, o, position{}), 1, 100*i+100)
		if got := o.after(position{}); got != uint64(100*i+100) {
			t.Errorf("counts %d frames, want %d", got, 100*i+100)
		}
		if err := o.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFindReturnsThePlaceAfterAMessage(t *testing.T) {
	dir := t.TempDir()
	o := openTest(t, dir)
	put(t, o, 1, 500)
	o.close()
	o = openTest(t, dir)
	put(t, o, 501, 1000)
	for _, n := range []int{1, 499, 500, 501, 999, 1000} {
		at, ok, err := o.find("gw1/b1/"+strconv.Itoa(n), position{})
		if err != nil || !ok {
			t.Fatalf("message %d: %v, %v", n, ok, err)
		}
		wantNumbers(t, numbers(t, o, at), n+1, 1000)
		if got := o.after(at); got != uint64(1000-n) {
			t.Errorf("%d messages after %d, want %d", got, n, 1000-n)
		}
	}
	if _, ok, err := o.find("gw1/b1/1001", position{}); ok || err != nil {
		t.Errorf("found what is not there: %v", err)
	}
}

// Wherever a write was torn, what was whole is read, and what a later run wrote as well.
func TestATornTailIsHarmless(t *testing.T) {
	first, second := frames(t, 1, 10, 0), frames(t, 11, 20, 0)
	ends := frameEnds(t, first)
	rapid.Check(t, func(rt *rapid.T) {
		cut := rapid.IntRange(0, len(first)-1).Draw(rt, "cut")
		whole := 0
		for whole < len(ends) && ends[whole] <= cut {
			whole++
		}
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "00000000000000000001.seg"), first[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		o := openTest(t, dir)
		defer o.close()
		if err := o.append(second, 10); err != nil {
			t.Fatal(err)
		}
		got := numbers(t, o, position{})
		wantNumbers(t, got[:len(got)-10], 1, whole)
		wantNumbers(t, got[len(got)-10:], 11, 20)
		if o.after(position{}) != uint64(whole+10) {
			t.Fatalf("counts %d frames, want %d", o.after(position{}), whole+10)
		}
	})
}

func frameEnds(t testing.TB, b []byte) (ends []int) {
	t.Helper()
	for at := 0; at < len(b); {
		n, err := frameSize(b[at:])
		if err != nil {
			t.Fatal(err)
		}
		at += n
		ends = append(ends, at)
	}
	return ends
}

func TestDamageIsNeverHandedOn(t *testing.T) {
	frame := frames(t, 1, 1, 0)
	for bit := range 8 * len(frame) {
		damaged := append([]byte(nil), frame...)
		damaged[bit/8] ^= 1 << (bit % 8)
		size, err := frameSize(damaged)
		if err == nil && size == len(damaged) {
			_, err = parseFrame(damaged)
		} else {
			err = errTorn // another length: the file ends elsewhere
		}
		if !errors.Is(err, errTorn) {
			t.Fatalf("bit %d: got %v, want %v", bit, err, errTorn)
		}
	}
}

func TestAClaimedLengthCostsNothing(t *testing.T) {
	for _, n := range []uint32{0, maxFrame + 1, 1 << 31, 1<<32 - 1} {
		if _, err := frameSize(binary.LittleEndian.AppendUint32(make([]byte, 0, 8), n)[:8]); !errors.Is(err, errTorn) {
			t.Errorf("length %d: got %v, want %v", n, err, errTorn)
		}
	}
}

func TestSegmentsGoWhenTheyAreAcknowledgedAndSettled(t *testing.T) {
	dir := t.TempDir()
	o := openTest(t, dir)
	now := time.Unix(1000, 0)
	o.now = func() time.Time { return now }
	big := frames(t, 1, 100, 6000)
	for range 4 * segmentSize / len(big) {
		if err := o.append(big, 100); err != nil {
			t.Fatal(err)
		}
	}
	before := len(segments(t, dir))
	if before < 3 {
		t.Fatalf("only %d segments", before)
	}
	o.acked(position{segment: 3})
	now = now.Add(o.settle - 1)
	o.acked(position{segment: 3})
	if got := len(segments(t, dir)); got != before {
		t.Errorf("%d segments before their time, want %d", got, before)
	}
	now = now.Add(1)
	o.acked(position{segment: 3})
	if got := len(segments(t, dir)); got != before-2 {
		t.Errorf("%d segments, want %d", got, before-2)
	}
}

func TestAFullOutboxGivesUpSentSegmentsButNeverUnsentOnes(t *testing.T) {
	dir := t.TempDir()
	o := openTest(t, dir)
	big := frames(t, 1, 100, 6000)
	fill := func() (n int) {
		for {
			err := o.append(big, 100)
			if errors.Is(err, errFull) {
				return n
			}
			if err != nil {
				t.Fatal(err)
			}
			n += 100
		}
	}
	n := fill()
	if got := len(numbers(t, o, position{})); got != n {
		t.Fatalf("%d frames in a full outbox, %d were accepted", got, n)
	}
	o.acked(position{segment: 2}) // the first is in the stream, just now
	more := fill()
	if more == 0 {
		t.Fatal("no room though a segment was sent")
	}
	if got := len(numbers(t, o, position{segment: 2})); got <= n-more-100 || got > n {
		t.Errorf("%d frames left of %d", got, n)
	}
	if o.size() > o.limit {
		t.Errorf("%d bytes, limit %d", o.size(), o.limit)
	}
}

func TestAFailedWriteLeavesNoTrace(t *testing.T) {
	dir := t.TempDir()
	o := openTest(t, dir)
	var broken atomic.Bool
	create := o.create
	o.create = func(path string) (file, error) {
		f, err := create(path)
		return flaky{f, &broken}, err
	}
	put(t, o, 1, 10)
	broken.Store(true)
	for range 5 {
		if err := o.append(frames(t, 11, 20, 0), 10); !errors.Is(err, errNoSpace) {
			t.Fatalf("got %v, want %v", err, errNoSpace)
		}
	}
	if got := len(segments(t, dir)); got != 1 {
		t.Errorf("failed attempts left %d segments, want 1", got)
	}
	broken.Store(false)
	put(t, o, 11, 20)
	wantNumbers(t, numbers(t, o, position{}), 1, 20)
	o.close()
	wantNumbers(t, numbers(t, openTest(t, dir), position{}), 1, 20)
}

// stubborn cannot even be truncated after a failure.
type stubborn struct{ flaky }

func (s stubborn) Truncate(int64) error { return iotest.ErrTimeout }

func TestABatchThatStandsTwiceIsSentOnce(t *testing.T) {
	dir := t.TempDir()
	o := openTest(t, dir)
	var broken atomic.Bool
	create := o.create
	o.create = func(path string) (file, error) {
		f, err := create(path)
		return stubborn{flaky{f, &broken}}, err
	}
	put(t, o, 1, 10)
	broken.Store(true)
	if err := o.append(frames(t, 11, 20, 0), 10); err == nil {
		t.Fatal("a failed write was reported as done")
	}
	broken.Store(false)
	put(t, o, 11, 20)
	wantNumbers(t, numbers(t, o, position{}), 1, 20) // this run knows what it committed
	o.close()

	o = openTest(t, dir) // the next one finds half the batch twice
	if got := numbers(t, o, position{}); len(got) <= 20 {
		t.Fatalf("%d frames: the test proves nothing", len(got))
	}
	s := session{reader: o.reader(position{})}
	defer s.reader.close()
	var got []int
	for m, ok, err := s.read(); ok && err == nil; m, ok, err = s.read() {
		s.last = m.id
		_, n := splitID(m.id)
		got = append(got, int(n))
	}
	wantNumbers(t, got, 1, 20)
}
