package pool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is a service in a test, and what it answered.
type desk struct {
	*Service
	t       testing.TB
	mu      sync.Mutex
	now     time.Time
	replies chan machine.Reply
	stored  []string // what Stored was told
}

func (d *desk) clock() time.Time { d.mu.Lock(); defer d.mu.Unlock(); return d.now }

func (d *desk) pass(by time.Duration) { d.mu.Lock(); defer d.mu.Unlock(); d.now = d.now.Add(by) }

func (d *desk) told() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.stored, "; ")
}

func open(t testing.TB, path string, ranges ...string) (*desk, error) {
	t.Helper()
	if ranges == nil {
		ranges = []string{"10.9.0.0/24"}
	}
	d := &desk{t: t, now: morning, replies: make(chan machine.Reply, 100)}
	var err error
	d.Service, err = Open(Config{Pools: []policy.Pool{conf(t, "staff", time.Hour, ranges...)}, Path: path, Now: d.clock,
		Deliver: func(batch []machine.Return) {
			for _, r := range batch {
				d.replies <- r.Reply
			}
		},
		Stored: func(_ string, err error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.stored = append(d.stored, fmt.Sprint(err))
		}})
	return d, err
}

func mustOpen(t testing.TB, path string, ranges ...string) *desk {
	t.Helper()
	d, err := open(t, path, ranges...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if d.Service != nil {
			d.Close()
		}
	})
	return d
}

func (d *desk) close() {
	d.Close()
	d.Service = nil
}

func (d *desk) do(op machine.Op) machine.Reply {
	d.t.Helper()
	d.Submit([]machine.Request{{Owner: 1, Call: machine.Call{Ticket: 7, Op: op}}})
	r := <-d.replies
	if r.Ticket != 7 {
		d.t.Fatalf("ticket %d", r.Ticket)
	}
	return r
}

func (d *desk) lease(holder int, name string) string {
	d.t.Helper()
	r := d.do(ask(holder, name))
	if r.Err != nil {
		return r.Err.Error()
	}
	return fmt.Sprint(r.Result.(machine.Leased).Addresses)
}

func TestALeaseOutlivesTheDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases")
	d := mustOpen(t, path)
	wantAddr(t, d.lease(1, "alice"), "[10.9.0.1]")
	wantAddr(t, d.lease(2, "bob"), "[10.9.0.2]")
	d.do(machine.Release{Holder: uid(2)})
	d.close()

	d = mustOpen(t, path)
	if s := d.Stats()[0]; s.Used != 0 || s.Kept != 2 {
		t.Errorf("after a start: %+v", s)
	}
	wantAddr(t, d.lease(3, "carol"), "[10.9.0.3]")
	wantAddr(t, d.lease(4, "bob"), "[10.9.0.2]")
	wantAddr(t, d.lease(5, "alice"), "[10.9.0.1]")
	if d.Damage() != nil || d.told() != "" {
		t.Errorf("%+v %s", d.Damage(), d.told())
	}
}

func TestALeaseIsStoredBeforeItIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases")
	d := mustOpen(t, path)
	d.lease(1, "alice")
	if b, _ := os.ReadFile(path); !strings.Contains(string(b), `"addr":"10.9.0.1"`) {
		t.Errorf("the file has %q", b)
	}
	if i, err := os.Stat(path); err != nil || i.Mode().Perm() != fileMode {
		t.Errorf("%v %v", i.Mode(), err)
	}
}

func TestALineThatACrashCutOffIsNoDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases")
	d := mustOpen(t, path)
	d.lease(1, "alice")
	d.lease(2, "bob")
	d.close()
	b, _ := os.ReadFile(path)
	for n := range len(b) {
		if err := os.WriteFile(path, b[:len(b)-n], 0o600); err != nil {
			t.Fatal(err)
		}
		d := mustOpen(t, path)
		if d.Damage() != nil {
			t.Fatalf("%d octets cut off: %+v", n, d.Damage())
		}
		lines := strings.Count(string(b[:len(b)-n]), "\n")
		if s := d.Stats()[0]; s.Kept != lines {
			t.Fatalf("%d octets cut off: %d leases of %d lines", n, s.Kept, lines)
		}
		d.close()
	}
}

func TestADamagedFileIsSetAsideAndWhatCanBeReadCounts(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "leases")
	d := mustOpen(t, path)
	for i, name := range []string{"alice", "bob", "carol"} {
		d.lease(i+1, name)
	}
	d.close()
	b, _ := os.ReadFile(path)
	damaged := strings.Replace(string(b), "10.9.0.2", "10.9.0.9", 1) // the checksum is that of another line
	damaged += strings.Repeat("x", 3*maxLine) + "\n"
	if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
		t.Fatal(err)
	}
	d = mustOpen(t, path)
	if s := d.Stats()[0]; s.Kept != 2 {
		t.Errorf("%d leases, want 2: %+v", s.Kept, s.Leases)
	}
	if d.Damage() == nil || d.Damage().Lines < 2 {
		t.Fatalf("%+v", d.Damage())
	}
	if aside, err := os.ReadFile(d.Damage().Path); err != nil || string(aside) != damaged {
		t.Errorf("the damaged file is not kept: %v", err)
	}
	wantAddr(t, d.lease(9, "carol"), "[10.9.0.3]")
}

func TestAFileThatCannotBeReadIsAnErrorWithItsRemedy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	d, err := open(t, path)
	if err == nil {
		d.Close()
		t.Fatal("a folder was read as a file")
	}
	if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "move it away") {
		t.Error(err)
	}
}

// smallDisk makes a file system with room for some lines, if we may.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=128k"); err != nil {
		t.Skipf("SKIPPED: a full disk needs the right to mount one (run as root): %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func TestAFullDiskIsToldOnceAndNothingIsLost(t *testing.T) {
	dir := smallDisk(t)
	path, ballast := filepath.Join(dir, "leases"), filepath.Join(dir, "ballast")
	d := mustOpen(t, path)
	d.lease(1, "alice")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	for i := 2; i <= 100; i++ { // the last page of the file still takes some
		if got := d.lease(i, strings.Repeat("u", 200)+fmt.Sprint(i)); got != fmt.Sprintf("[10.9.0.%d]", i) {
			t.Fatalf("lease %d: %s", i, got)
		}
		d.pass(time.Second)
	}
	if told := d.told(); strings.Count(told, "no space left") != 1 {
		t.Errorf("told: %s", told)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	d.pass(storePause)
	d.Stats()
	if told := d.told(); !strings.HasSuffix(told, "; <nil>") {
		t.Errorf("told: %s", told)
	}
	d.close()
	if s := mustOpen(t, path).Stats()[0]; s.Kept != 100 {
		t.Errorf("%d leases of 100 are remembered", s.Kept)
	}
}

func TestTheFileDoesNotGrowWithoutEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases")
	d := mustOpen(t, path)
	var batch []machine.Request
	for i := range 3 * slack {
		op := machine.Op(ask(1, "alice"))
		if i%2 == 1 {
			op = machine.Release{Holder: uid(1)}
		}
		batch = append(batch, machine.Request{Call: machine.Call{Op: op}})
	}
	go func() {
		for len(batch) > 0 {
			d.Submit(batch[:64])
			batch = batch[64:]
		}
	}()
	for range 3 * slack {
		if r := <-d.replies; r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	b, _ := os.ReadFile(path)
	if lines := strings.Count(string(b), "\n"); lines > slack+200 {
		t.Errorf("%d lines for one address", lines)
	}
}

func TestACancelledRequestIsNotPerformed(t *testing.T) {
	d := mustOpen(t, "")
	d.mu.Lock() // the clock stands, so that the first request is at work
	d.Submit([]machine.Request{{Owner: 1, Call: machine.Call{Ticket: 1, Op: ask(1, "alice")}}})
	time.Sleep(10 * time.Millisecond)
	d.Submit([]machine.Request{{Owner: 1, Call: machine.Call{Ticket: 2, Op: ask(2, "bob")}}, {Owner: 2, Call: machine.Call{Ticket: 2, Op: ask(3, "carol")}}})
	d.Cancel(1, 2)
	d.mu.Unlock()
	<-d.replies
	<-d.replies
	if s := d.Stats()[0]; s.Used != 2 {
		t.Errorf("%+v", s)
	}
}

func TestOnlyTwoOperationsArePerformed(t *testing.T) {
	d := mustOpen(t, "")
	if !Performs(machine.Lease{}) || !Performs(machine.Release{}) || Performs(machine.AllocateSPI{}) {
		t.Error("Performs is wrong")
	}
	if r := d.do(machine.AllocateSPI{}); r.Err == nil || r.Err.Kind != machine.Unsupported {
		t.Errorf("%+v", r)
	}
}
