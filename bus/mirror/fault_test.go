package mirror

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
)

func dial(t testing.TB, n *natsServer) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("nats://" + n.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestNothingIsLostOrRepeatedOverRestartsOfTheServer(t *testing.T) {
	n := newServer(t)
	b := bus.New()
	watch := b.Subscribe("watch", bus.Collect(), nil)
	m := start(t, externalConfig(t, t.TempDir(), b, n.address()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 { // 4000 events while the server comes and goes
			emit(b, 20*i, 20)
			time.Sleep(5 * time.Millisecond)
		}
	}()
	for range 3 {
		time.Sleep(100 * time.Millisecond)
		n.stop()
		eventually(t, "disconnected", func() bool { return !m.State().Connected })
		n.start(t)
		eventually(t, "up again", func() bool { _, down := m.publisher.outage.reason(); return !down })
	}
	<-done
	eventually(t, "all sent", drained(m))
	ids, _ := stored(t, dial(t, n))
	if got := wantRun(t, ids, "gw1/b1/", 4000); got != len(ids) {
		t.Errorf("%d messages, %d of them of this run", len(ids), got)
	}
	seen := kinds(watch)
	if down, up := seen["audit.mirror_down"], seen["audit.mirror_up"]; down != 3 || up != 3 {
		t.Errorf("%d times down, %d times up, want 3 and 3", down, up)
	}
	if s := m.State(); s.Dropped != 0 || !s.Connected {
		t.Errorf("state %+v", s)
	}
}

func TestAServerThatComesLateGetsAll(t *testing.T) {
	n := newServer(t)
	n.stop()
	b := bus.New()
	m := start(t, externalConfig(t, t.TempDir(), b, n.address()))
	emit(b, 0, 500)
	eventually(t, "an outage", func() bool { return m.State().LastError != "" })
	if m.State().Connected {
		t.Error("connected to a server that is off")
	}
	n.start(t)
	eventually(t, "all sent", drained(m))
	ids, _ := stored(t, dial(t, n))
	wantRun(t, ids, "gw1/b1/", 501) // and mirror_down
}

func TestAServerThatLostItsStoreIsFilledAgain(t *testing.T) {
	n := newServer(t)
	b := bus.New()
	m := start(t, externalConfig(t, t.TempDir(), b, n.address()))
	emit(b, 0, 300)
	eventually(t, "all sent", drained(m))
	n.stop()
	n.dir = t.TempDir()
	n.start(t)
	eventually(t, "the outage noticed", func() bool { return m.State().LastError != "" })
	eventually(t, "all sent", drained(m))
	ids, _ := stored(t, dial(t, n))
	wantRun(t, ids, "gw1/b1/", 300)
}

func TestAServerThatForgotAcknowledgedEventsGetsThemAgain(t *testing.T) {
	n := newServer(t)
	b := bus.New()
	m := start(t, externalConfig(t, t.TempDir(), b, n.address()))
	emit(b, 0, 100)
	eventually(t, "all sent", drained(m))
	n.stop()
	older := t.TempDir() // the store as a power cut would leave it: of some time ago
	if err := os.CopyFS(older, os.DirFS(n.dir)); err != nil {
		t.Fatal(err)
	}
	n.start(t)
	emit(b, 100, 200)
	eventually(t, "all sent", func() bool { return m.State().Published >= 300 && m.State().Pending == 0 })
	n.stop()
	n.dir = older
	n.start(t)
	emit(b, 300, 50)
	eventually(t, "all sent again", func() bool { return m.State().Published >= 550 && m.State().Pending == 0 })
	ids, _ := stored(t, dial(t, n))
	wantRun(t, ids, "gw1/b1/", 350)
}

func TestAKilledMirrorLeavesNoHoleAndNoRepetition(t *testing.T) {
	dir, n := t.TempDir(), newServer(t)
	for i := range 6 {
		b := bus.New()
		c := externalConfig(t, dir, b, n.address())
		c.Boot = fmt.Sprint("b", i)
		m := start(t, c)
		emit(b, 0, 2000)
		eventually(t, "some of it committed", func() bool { return m.box.after(position{}) > uint64(2000*i+500) })
		kill(m) // in the middle of sending
	}
	m := start(t, externalConfig(t, dir, bus.New(), n.address()))
	eventually(t, "all sent", drained(m))
	ids, _ := stored(t, dial(t, n))
	total := 0
	for i := range 6 {
		total += wantRun(t, ids, fmt.Sprintf("gw1/b%d/", i), 500)
	}
	if total != len(ids) {
		t.Errorf("%d messages, %d of them expected", len(ids), total)
	}
}

// TestCrashChild is the process that TestAKilledProcess... kills. It tells how many events it has on disk.
func TestCrashChild(t *testing.T) {
	dir := os.Getenv("PARLEY_MIRROR_CRASH_DIR")
	if dir == "" {
		return // not the child
	}
	b := bus.New()
	c := embeddedConfig(t, dir, b)
	c.Boot = os.Getenv("PARLEY_MIRROR_CRASH_BOOT")
	m, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	before := m.box.after(position{})
	for {
		emit(b, 0, 50)
		time.Sleep(2 * time.Millisecond)
		fmt.Println("committed", m.box.after(position{})-before, m.State().Published)
	}
}

func TestAKilledProcessWithItsServerLeavesNoHoleAndNoRepetition(t *testing.T) {
	dir := t.TempDir()
	committed := map[string]int{}
	for i := range 4 {
		boot := fmt.Sprint("b", i)
		committed[boot] = crash(t, dir, boot, 1000+300*i)
	}
	m := start(t, embeddedConfig(t, dir, bus.New()))
	eventually(t, "all sent", drained(m))
	nc, err := m.Conn()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ids, _ := stored(t, nc)
	total := 0
	for boot, n := range committed {
		total += wantRun(t, ids, "gw1/"+boot+"/", n)
	}
	if total != len(ids) {
		t.Errorf("%d messages, %d of them expected", len(ids), total)
	}
}

// crash runs the child until it has sent some and committed n events, kills it, and returns how many it had committed.
func crash(t *testing.T, dir, boot string, n int) (committed int) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestCrashChild$")
	child.Env = append(os.Environ(), "PARLEY_MIRROR_CRASH_DIR="+dir, "PARLEY_MIRROR_CRASH_BOOT="+boot)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	published := 0
	for committed < n || published == 0 {
		if _, err := fmt.Fscanln(out, new(string), &committed, &published); err != nil {
			t.Errorf("child ended: %v", err)
			break
		}
	}
	child.Process.Kill()
	io.Copy(io.Discard, out)
	child.Wait()
	return committed
}

func TestAFullOutboxDiskIsToldOfAndItsLossesAreInTheStream(t *testing.T) {
	var full atomic.Bool
	b := bus.New()
	watch := b.Subscribe("watch", bus.Collect(), nil)
	c := embeddedConfig(t, t.TempDir(), b)
	c.ring = 1000
	m := start(t, c)
	create := m.box.create
	m.box.create = func(path string) (file, error) {
		f, err := create(path)
		return flaky{f, &full}, err
	}
	emit(b, 0, 100)
	eventually(t, "sent", drained(m))
	full.Store(true)
	emit(b, 100, 5000)
	eventually(t, "an outage", func() bool { return strings.Contains(m.State().LastError, "no space left") })
	time.Sleep(3 * retryInterval / 2) // tried again, in vain
	emit(b, 0, 10)
	full.Store(false)
	eventually(t, "sent", drained(m))
	s := m.State()
	if s.Dropped == 0 {
		t.Fatal("nothing was dropped: the test proves nothing")
	}
	seen := kinds(watch)
	if seen["audit.mirror_down"] != 1 || seen["audit.mirror_up"] != 1 {
		t.Errorf("%d times down, %d up, want once", seen["audit.mirror_down"], seen["audit.mirror_up"])
	}
	nc, err := m.Conn()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	wantAccounted(t, nc, s.Dropped)
}

// wantAccounted checks that each number is in the stream once, or in exactly one gap.
func wantAccounted(t *testing.T, nc *nats.Conn, dropped uint64) {
	t.Helper()
	_, messages := stored(t, nc)
	next, lost := uint64(1), uint64(0)
	for _, m := range messages {
		_, n := splitID(m.Headers().Get("Nats-Msg-Id"))
		if strings.Contains(m.Subject(), ".audit.stream_gap.") {
			data := decoded(t, m.Data()).(map[string]any)["data"].(map[string]any)
			if first := uint64(data["first"].(float64)); first != next {
				t.Fatalf("gap from %d where %d was next", first, next)
			}
			lost += uint64(data["count"].(float64))
			next = uint64(data["last"].(float64)) + 1
			continue
		}
		if n != next {
			t.Fatalf("event %d where %d was next", n, next)
		}
		next++
	}
	if lost != dropped {
		t.Errorf("gaps tell of %d lost events, the state of %d", lost, dropped)
	}
}

// tmpfs mounts a file system of the given size at dir.
func tmpfs(t *testing.T, dir string, size string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		t.Skipf("SKIPPED, NOT PROVEN: mounting a tmpfs needs root: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
}

func TestAFullStoreIsToldOfAndFilledOnceThereIsRoom(t *testing.T) {
	dir := t.TempDir()
	store := filepath.Join(dir, "nats")
	tmpfs(t, store, "6m")
	b := bus.New()
	watch := b.Subscribe("watch", bus.Collect(), nil)
	m := start(t, embeddedConfig(t, dir, b))
	eventually(t, "the store full", func() bool {
		if m.State().Pending < 2000 {
			emit(b, 0, 200)
		}
		return m.State().LastError != ""
	})
	if reason := m.State().LastError; !strings.Contains(reason, "no space left on device") {
		t.Errorf("the reason does not tell of the disk: %s", reason)
	}
	if seen := kinds(watch); seen["audit.mirror_down"] != 1 {
		t.Errorf("down told %d times", seen["audit.mirror_down"])
	}
	if err := syscall.Mount("tmpfs", store, "tmpfs", syscall.MS_REMOUNT, "mode=0700,size=200m"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all sent", drained(m))
	nc, err := m.Conn()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ids, _ := stored(t, nc)
	wantRun(t, ids, "gw1/b1/", 1000)
}

// stuckServer accepts connections, and neither reads nor writes.
func stuckServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		var conns []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			conns = append(conns, c)
		}
		for _, c := range conns {
			c.Close()
		}
	}()
	return l.Addr().String()
}

func TestAStuckServerAndAStuckDiskDoNotHoldUpTheBus(t *testing.T) {
	b := bus.New()
	m := start(t, externalConfig(t, t.TempDir(), b, stuckServer(t)))
	var hold, held = make(chan struct{}), make(chan struct{}, 16)
	create := m.box.create
	m.box.create = func(path string) (file, error) {
		held <- struct{}{}
		<-hold // the disk never answers
		return create(path)
	}
	emit(b, 0, 1)
	<-held
	begin := time.Now()
	emit(b, 1, 100_000) // ends only if no step of Publish waits for the writer
	t.Logf("%v for each Publish", time.Since(begin)/100_000)
	if s := m.State(); s.Pending < RingSize || s.Dropped < 30_000 {
		t.Errorf("state %+v", s)
	}
	close(hold)
}

func TestAServerThatStopsReadingIsGivenUp(t *testing.T) {
	n := newServer(t)
	proxy := newProxy(t, n.address())
	b := bus.New()
	m := start(t, externalConfig(t, t.TempDir(), b, proxy.address))
	emit(b, 0, 100)
	eventually(t, "sent", drained(m))
	proxy.stuck.Store(true)
	emit(b, 100, 5000)
	eventually(t, "an outage", func() bool { return m.State().LastError != "" })
	proxy.stuck.Store(false)
	eventually(t, "sent", drained(m))
	ids, _ := stored(t, dial(t, n))
	wantRun(t, ids, "gw1/b1/", 5100)
}

// proxy hands TCP on until it is stuck.
type proxy struct {
	address string
	stuck   atomic.Bool
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: l.Addr().String()}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", to)
			if err != nil {
				c.Close()
				continue
			}
			go p.pipe(c, s)
			go p.pipe(s, c)
		}
	}()
	return p
}

func (p *proxy) pipe(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		for p.stuck.Load() {
			time.Sleep(10 * time.Millisecond)
		}
		if _, failed := to.Write(buf[:n]); err != nil || failed != nil {
			return
		}
	}
}

func TestStopKeepsToItsContext(t *testing.T) {
	b := bus.New()
	n := newServer(t)
	p := newProxy(t, n.address())
	m := start(t, externalConfig(t, t.TempDir(), b, p.address))
	emit(b, 0, 1)
	eventually(t, "sent", drained(m))
	p.stuck.Store(true)
	defer p.stuck.Store(false)
	emit(b, 1, 10)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if err := m.Stop(ctx); err == nil {
		t.Error("no word of what is left")
	}
	if d := time.Since(begin); d > 200*time.Millisecond+connectTimeout+writeTimeout+time.Second {
		t.Errorf("took %v", d)
	}
}

func TestStopLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	m := start(t, embeddedConfig(t, t.TempDir(), bus.New()))
	if err := stop(t, m); err != nil {
		t.Fatal(err)
	}
	eventually(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= before })
}

// BenchmarkMirror measures events from Publish to the stream; its CPU time is that of the whole process.
func BenchmarkMirror(b *testing.B) {
	hub := bus.New()
	m := start(b, embeddedConfig(b, b.TempDir(), hub))
	r := sample(event.IKEEstablished{})
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		hub.Publish(r)
		if _, dropped := m.writer.sub.Stats(); dropped > 0 {
			b.Fatal("dropped")
		}
		for m.State().Pending > 10_000 {
			time.Sleep(time.Millisecond)
		}
	}
	for m.State().Pending > 0 {
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
}

func cpu() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
