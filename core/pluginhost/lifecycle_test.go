package pluginhost

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
)

func TestKilledInTheMiddleOfAThousandCallsEachGetsOneReturn(t *testing.T) {
	t.Parallel()
	carriers(t, func(t *testing.T, cfg Config) {
		w := started(t, cfg, fixture(t, "ke", []string{"ke"}, "ke"))
		const calls = 1000
		for i := range calls {
			if i == calls/2 {
				w.await("the first returns", func() bool { return w.returned() > 0 })
				w.kill(0)
			}
			w.Submit([]machine.Request{respond(machine.Ticket(i), doSlow)})
		}
		w.await("all returns", func() bool { return w.returned() == calls })
		died := awaitEvent[event.PluginCrashed](w)
		if died.InFlight == 0 || !strings.Contains(died.Reason, "signal 9") {
			t.Errorf("crash event %+v", died)
		}
		back := awaitEvent[event.PluginRestarted](w)
		if back.Restarts != 1 || back.Plugin.PID == died.Plugin.PID {
			t.Errorf("restart event %+v after %+v", back, died)
		}
		if r := w.do(doEcho); r.Err != nil {
			t.Errorf("after the restart: %v", r.Err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for i := range machine.Ticket(calls) {
			r := w.last[i]
			if w.got[i] != 1 || (r.Err == nil) == (r.Result == nil) || (r.Err != nil && r.Err.Kind != machine.Unavailable && r.Err.Kind != machine.Overloaded) {
				t.Errorf("ticket %d: %d returns, the last %+v", i, w.got[i], r)
			}
		}
	})
}

func TestKilledAtRandomInstantsNothingIsLostOrTwice(t *testing.T) {
	t.Parallel()
	cfg := quick
	cfg.Restart.Budget = 1000
	w := started(t, cfg, fixture(t, "ke", []string{"ke"}, "ke"))
	sent := 0
	for round := range 8 {
		w.await("the plugin", func() bool { return w.Status()[0].PID != 0 })
		victim := w.Status()[0].PID
		timer := time.AfterFunc(time.Duration(round)*time.Millisecond, func() { _ = syscall.Kill(victim, syscall.SIGKILL) })
		for range 200 {
			w.Submit([]machine.Request{respond(machine.Ticket(sent), doEcho)})
			sent++
		}
		w.await("the death", func() bool { return w.Status()[0].PID != victim })
		timer.Stop()
	}
	w.await("all returns", func() bool { return w.returned() == sent })
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, n := range w.got {
		if n != 1 {
			t.Errorf("ticket %d: %d returns", i, n)
		}
	}
}

func TestThePluginsLastWordsReachTheEvent(t *testing.T) {
	t.Parallel()
	w := started(t, quick, fixture(t, "ke", []string{"ke"}, "ke"))
	if r := w.do(doDie); r.Err == nil || r.Err.Kind != machine.Unavailable {
		t.Errorf("got %+v", r)
	}
	if e := awaitEvent[event.PluginCrashed](w); !strings.Contains(e.Reason, "status 2") || !strings.Contains(e.Reason, "told to die") || e.InFlight != 1 {
		t.Errorf("event %+v", e)
	}
}

// rejected starts one bad plugin and returns its error and event.
func rejected(t *testing.T, cfg Config, e Entry) (string, event.PluginRejected) {
	t.Helper()
	w := newWorld(t, cfg, e)
	err := w.Start(context.Background())
	if err == nil {
		t.Fatal("a bad plugin was accepted")
	}
	ev := awaitEvent[event.PluginRejected](w)
	if ev.Remedy == "" || !strings.Contains(ev.Reason, e.Path) || !strings.Contains(err.Error(), strconv.Quote(e.Name)) {
		t.Errorf("error %q, event %+v: name, path and remedy are wanted", err, ev)
	}
	return err.Error(), ev
}

// hanging are plugins that are waited for in vain, and how long: the second has to come as far as its handshake before, on a busy
// machine too.
var hanging = map[string]time.Duration{"silent": time.Second, "raw-hang-describe": 10 * time.Second}

func TestBadPluginsAreRejectedWithAReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode  string
		kinds []string
		want  []string
	}{
		{"garbage", []string{"ke"}, []string{`printed "hello, I am a plugin`, "standard output"}},
		{"flood", []string{"ke"}, []string{"printed", "no line ever ends here"}},
		{"exit", []string{"ke"}, []string{"ended before its handshake", "status 3", "cannot find my device"}},
		{"silent", []string{"ke"}, []string{"said nothing within"}},
		{"version", []string{"ke"}, []string{"protocol version 7", "speaks 1"}},
		{"tcp", []string{"ke"}, []string{"listens on tcp"}},
		{"ke", []string{"ke", "sa"}, []string{`provides nothing of kind "sa"`, "ke:echo"}},
		{"all", []string{"ke"}, []string{`provides kind "auth"`, "does not allow"}},
		{"raw-version", []string{"ke"}, []string{"version 9 of its kind's messages"}},
		{"raw-kind", []string{"ke"}, []string{`provides kind "sa"`}},
		{"raw-hang-describe", []string{"ke"}, []string{"did not answer Describe within"}},
		{"raw-config", []string{"ke"}, []string{"refuses its configuration", "slot 7 does not exist"}},
	} {
		t.Run(c.mode, func(t *testing.T) {
			t.Parallel()
			cfg := quick
			if timeout, hangs := hanging[c.mode]; hangs {
				cfg.StartTimeout = timeout
			}
			cfg.Restart.First, cfg.Restart.Max = time.Hour, time.Hour
			text, _ := rejected(t, cfg, fixture(t, "bad", c.kinds, c.mode))
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("error %q lacks %q", text, want)
				}
			}
		})
	}
}

func TestFilesThatCannotBeExecutedAreRejected(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for path, want := range map[string]string{
		write("data", "x", 0o644):                 "is not executable",
		write("text", "no program at all", 0o755): "cannot be executed",
		filepath.Join(dir, "missing"):             "no such file",
		dir:                                       "no regular file",
	} {
		cfg := quick
		cfg.Restart.First, cfg.Restart.Max = time.Hour, time.Hour
		if text, _ := rejected(t, cfg, Entry{Name: "bad", Path: path, Kinds: []string{"ke"}}); !strings.Contains(text, want) {
			t.Errorf("error %q lacks %q", text, want)
		}
	}
}

func TestAWrongChecksumIsNeverStarted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mark := filepath.Join(dir, "ran")
	path := filepath.Join(dir, "plugin")
	if err := os.WriteFile(path, []byte("#!/bin/sh\ntouch "+mark+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	wrong := strings.Repeat("ab", 32)
	cfg := quick
	cfg.Restart.First, cfg.Restart.Max = time.Hour, time.Hour
	text, ev := rejected(t, cfg, Entry{Name: "bad", Path: path, SHA256: wrong, Kinds: []string{"ke"}})
	for _, want := range []string{path, wrong, sum(t, path), "reinstall"} {
		if !strings.Contains(text, want) || !strings.Contains(ev.Reason+ev.Remedy, want) {
			t.Errorf("error %q or event %+v lacks %q", text, ev, want)
		}
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the plugin ran")
	}
}

// The check is of the octets that are executed: a file that is replaced, or overwritten in place, after the check has no
// effect on the next start.
func TestAFileSwappedAfterTheCheckHasNoEffect(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "plugin")
	content, err := os.ReadFile(self(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	var cache images
	defer cache.close()
	checked, err := cache.load(path, sum(t, path))
	if err != nil {
		t.Fatal(err)
	}
	evil := []byte("#!/bin/sh\nexit 66\n")
	if err := os.WriteFile(path, evil, 0o755); err != nil { // in place: the inode stays
		t.Fatal(err)
	}
	if _, err := checked.file.WriteAt(evil, 0); err == nil {
		t.Error("the checked copy can be written")
	}
	e := Entry{Name: "ke", Path: path, SHA256: checked.sum, Kinds: []string{"ke"}, Args: []string{"ke"}}
	w := newWorld(t, quick, e)
	w.images.open = map[string]*image{path + "\x00" + checked.sum: checked}
	cache.open = nil // the host closes it
	if err := w.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	if r := w.do(doEcho); r.Err != nil {
		t.Error(r.Err)
	}
	w.kill(0)
	awaitEvent[event.PluginRestarted](w)
	if r := w.do(doEcho); r.Err != nil {
		t.Errorf("after the restart: %v", r.Err)
	}
}

func TestAnotherProcessOnThePluginsSocketIsNotTalkedTo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(filepath.Dir(shortDir(t)), "l")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := quick
	cfg.Restart.First, cfg.Restart.Max = time.Hour, time.Hour
	if text, _ := rejected(t, cfg, fixture(t, "bad", []string{"ke"}, "elsewhere", path)); !strings.Contains(text, "it is not the plugin") {
		t.Errorf("error %q", text)
	}
}

func TestABudgetOfDeathsThenDegraded(t *testing.T) {
	t.Parallel()
	cfg := quick
	cfg.Restart.Budget = 3
	w := started(t, cfg, fixture(t, "ke", []string{"ke"}, "ke"))
	last := 0
	for range 4 {
		w.await("the next process", func() bool { pid := w.Status()[0].PID; return pid != 0 && pid != last })
		last = w.Status()[0].PID
		w.do(doDie)
	}
	e := awaitEvent[event.PluginDegraded](w)
	if !strings.Contains(e.Reason, "failed 4 times") {
		t.Errorf("event %+v", e)
	}
	if s := w.Status()[0]; s.State != Degraded || s.Restarts != 3 {
		t.Errorf("status %+v", s)
	}
	if r := w.do(doEcho); r.Err == nil || r.Err.Kind != machine.Unavailable {
		t.Errorf("a call to a degraded plugin gave %+v", r)
	}
}

func TestPausesGrowAndADegradedPluginNeedsALongLifeToRecover(t *testing.T) {
	t.Parallel()
	h := &Host{cfg: Config{Restart: Restart{First: time.Second, Max: 4 * time.Second, Budget: 4, Within: time.Minute, Slow: time.Hour}}}
	h.cfg.setDefaults()
	s := newSupervisor(h, &Entry{Name: "x"})
	now := time.Unix(0, 0)
	near := func(lived time.Duration, want time.Duration) {
		t.Helper()
		now = now.Add(time.Second)
		if got := s.nextPause(now, lived); got < want*8/10 || got > want*12/10 {
			t.Errorf("pause %v, want about %v", got, want)
		}
	}
	for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 4 * time.Second, time.Hour} {
		near(0, want)
	}
	now = now.Add(2 * time.Hour)
	near(time.Second, time.Hour)
	near(time.Minute, time.Second)
}

func TestAFailingCanaryIsToldAndThenRestarted(t *testing.T) {
	t.Parallel()
	cfg := quick
	cfg.HealthEvery, cfg.UnhealthyMax = 20*time.Millisecond, 2
	w := started(t, cfg, fixture(t, "ke", []string{"ke"}, "ke"))
	w.do(doSicken)
	if e := awaitEvent[event.PluginUnhealthy](w); !strings.Contains(e.Reason, "ke:echo: the fixture is sick") {
		t.Errorf("event %+v", e)
	}
	if e := awaitEvent[event.PluginCrashed](w); !strings.Contains(e.Reason, "failed its health check 2 times") {
		t.Errorf("event %+v", e)
	}
	awaitEvent[event.PluginRestarted](w)
}

func TestAFrozenPluginIsFoundAndReplaced(t *testing.T) {
	t.Parallel()
	cfg := quick
	cfg.HealthEvery, cfg.HealthTimeout, cfg.UnhealthyMax = 20*time.Millisecond, 100*time.Millisecond, 1
	w := started(t, cfg, fixture(t, "ke", []string{"ke"}, "ke"))
	if err := syscall.Kill(w.Status()[0].PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	w.await("the freeze", func() bool {
		stat, _ := os.ReadFile("/proc/" + strconv.Itoa(w.Status()[0].PID) + "/stat")
		return strings.Contains(string(stat), ") T ")
	})
	w.Submit([]machine.Request{respond(1, doEcho)})
	if e := awaitEvent[event.PluginCrashed](w); !strings.Contains(e.Reason, "did not answer its health check within 100ms") || e.InFlight != 1 {
		t.Errorf("event %+v", e)
	}
	if r := w.reply(1); r.Err == nil || r.Err.Kind != machine.Unavailable {
		t.Errorf("the call in flight gave %+v", r)
	}
	awaitEvent[event.PluginRestarted](w)
}

func TestProtocolBreakers(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]machine.ErrorKind{
		"raw-twice":        0,
		"raw-asks":         0,
		"raw-junk":         machine.Internal,
		"raw-kind-unknown": machine.Internal,
		"raw-oversize":     machine.Unavailable, // the connection cannot be trusted any more
		"raw-nobatch":      machine.Unavailable,
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			w := started(t, quick, fixture(t, "raw", []string{"ke"}, mode))
			r := w.call(machine.KERespond{Method: echoMethod, Peer: []byte{0}})
			if got := errorKind(r); got != want {
				t.Errorf("got %v (%+v), want %v", got, r, want)
			}
			if r.Err != nil && strings.ContainsAny(r.Err.Text, "\x00\n") {
				t.Errorf("text %q", r.Err.Text)
			}
			if mode == "raw-twice" {
				w.await("the stray replies", func() bool { return w.Status()[0].Late == 2 })
			}
		})
	}
}

func errorKind(r machine.Reply) machine.ErrorKind {
	if r.Err == nil {
		return 0
	}
	return r.Err.Kind
}

func TestAPluginGetsNothingThatItIsNotGiven(t *testing.T) {
	t.Setenv("PLUGINHOST_TEST_SECRET", "of the daemon")
	given, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer given.Close()
	e := fixture(t, "ke", []string{"ke"}, "ke")
	e.Env, e.Files = map[string]string{"GIVEN": "yes"}, map[string]*os.File{"natt4": given}
	w := started(t, quick, e)
	secret := string(w.do(doReport).Result.(machine.KEResponded).Secret)
	for _, want := range []string{"GIVEN=yes", "PARLEY_FILES=natt4:", "NoNewPrivs:\t1", "Dumpable: 0", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000"} {
		if !strings.Contains(secret, want) && !(os.Getuid() != 0 && strings.HasPrefix(want, "CapBnd")) {
			t.Errorf("the plugin's report lacks %q:\n%s", want, secret)
		}
	}
	if strings.Contains(secret, "PLUGINHOST_TEST_SECRET") {
		t.Error("the plugin has the daemon's environment")
	}
	if status, err := os.ReadFile("/proc/self/status"); err != nil || bytes.Contains(status, []byte("NoNewPrivs:\t1")) {
		t.Errorf("the daemon gave up its own privileges: %v", err)
	}
}

// Without the SDK, which turns core dumps off itself.
func TestCoreDumpsAreOffForEveryPlugin(t *testing.T) {
	t.Parallel()
	w := started(t, quick, fixture(t, "raw", []string{"ke"}, "raw"))
	var ours, core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &ours); err != nil {
		t.Fatal(err)
	}
	want := uint64(min(1, ours.Max)) // 1 keeps cores from programs as well, see noCore
	if err := unix.Prlimit(w.Status()[0].PID, unix.RLIMIT_CORE, nil, &core); err != nil || core.Cur != want || core.Max != want {
		t.Errorf("core limit %+v, %v, want %d", core, err, want)
	}
}

// A service manager tells all processes of a service to end, and the daemon needs its plugins to do so in order.
func TestAPluginLeavesItToTheDaemonWhenItEnds(t *testing.T) {
	t.Parallel()
	w := started(t, quick, fixture(t, "ke", []string{"ke"}, "ke"))
	if err := syscall.Kill(w.Status()[0].PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if r := w.do(doEcho); r.Err != nil || w.Status()[0].Restarts != 0 {
		t.Errorf("%v, %d restarts", r.Err, w.Status()[0].Restarts)
	}
}

func TestPrintsDoNotBreakTheHandshake(t *testing.T) {
	t.Parallel()
	w := started(t, quick, fixture(t, "ke", []string{"ke"}, "noisy"))
	if r := w.do(doEcho); r.Err != nil {
		t.Error(r.Err)
	}
	w.await("the print in the log", func() bool { return w.logs.FilterMessage("a print before Main").Len() == 1 })
}

func TestOnlySABackendsKeepNetworkPrivileges(t *testing.T) {
	t.Parallel()
	e := fixture(t, "ke", []string{"ke"}, "ke")
	e.Privileges = []string{"CAP_NET_ADMIN"}
	if _, err := New(Config{Entries: []Entry{e}, RuntimeDir: shortDir(t)}); err == nil || !strings.Contains(err.Error(), "for plugins of kind sa alone") {
		t.Errorf("got %v", err)
	}
	if os.Getuid() != 0 {
		t.Skip("MISSING: root, to see that a backend keeps CAP_NET_ADMIN")
	}
	keep, err := (&Entry{Kinds: []string{"sa"}, Privileges: []string{"CAP_NET_ADMIN", "CAP_NET_RAW"}}).capabilities()
	if err != nil {
		t.Fatal(err)
	}
	attr, err := processAttributes("", keep)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/grep", "Cap", "/proc/self/status")
	cmd.SysProcAttr = attr
	p := newProcess(cmd, keep, w0(t))
	if err := p.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	first, _ := bufio.NewReader(p.Stdout()).ReadString('\n')
	_ = p.Wait(context.Background())
	if p.waitErr != nil || !strings.HasPrefix(first, "CapInh") {
		t.Errorf("%q, %v", first, p.waitErr)
	}
}

func TestPluginsDieWithTheDaemon(t *testing.T) {
	t.Parallel()
	daemon := exec.Command(self(t))
	daemon.Env = append(os.Environ(), "PLUGINHOST_TEST_DAEMON="+shortDir(t))
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	plugin, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the daemon said %q", line)
	}
	_ = daemon.Process.Kill()
	_ = daemon.Wait()
	for range 500 {
		if gone(plugin) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = syscall.Kill(plugin, syscall.SIGKILL)
	t.Error("the plugin outlived its daemon by five seconds")
}

// gone: no such process, or one that only waits to be reaped.
func gone(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestStopDrainsAndLeavesNothing(t *testing.T) {
	t.Parallel()
	cfg := quick
	cfg.StopGrace = patience // of which a plugin that goes by itself needs nothing
	w := started(t, cfg, fixture(t, "a", []string{"ke"}, "ke"), fixture(t, "b", []string{"cred"}, "cred"))
	pids := []int{w.Status()[0].PID, w.Status()[1].PID}
	began := time.Now()
	w.stop()
	if d := time.Since(began); d >= cfg.StopGrace {
		t.Errorf("stopping took %v, as long as killing", d)
	}
	awaitEvent[event.PluginStopped](w)
	awaitEvent[event.PluginStopped](w)
	for i, pid := range pids {
		if !gone(pid) || w.Status()[i].State != Stopped {
			t.Errorf("plugin %d: %+v", i, w.Status()[i])
		}
	}
	if left, err := os.ReadDir(w.socketDir()); err != nil || len(left) != 0 {
		t.Errorf("left in the socket folder: %v, %v", left, err)
	}
	if r := w.do(doEcho); r.Err == nil || r.Err.Kind != machine.Unavailable {
		t.Errorf("a call after the stop gave %+v", r)
	}
}

func TestStopDoesNotWaitForAPluginThatIsStillStarting(t *testing.T) {
	t.Parallel()
	cfg := quick
	cfg.StartTimeout = time.Minute
	w := newWorld(t, cfg, fixture(t, "ke", []string{"ke"}, "silent"))
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := w.Start(ctx); err == nil || !strings.Contains(err.Error(), "still starting") {
		t.Errorf("got %v", err)
	}
	began := time.Now()
	w.stop()
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("stopping took %v", d)
	}
}
