package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/parley-ike/parley/core/config"
	"github.com/parley-ike/parley/sdk/proto/link"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/serve"
)

// TestMain runs the tests in a network of their own, where no other daemon has the ports and no tunnel of the machine is in
// reach.
func TestMain(m *testing.M) {
	if os.Getenv(link.CookieKey) == link.CookieValue {
		serve.Main(serve.SA("hung", hung{}))
	}
	if os.Getuid() != 0 || os.Getenv("PARLEY_DAEMON_TEST") != "" {
		code := m.Run()
		_ = os.RemoveAll(built)
		os.Exit(code)
	}
	runtime.LockOSThread() // the child dies with this thread
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "PARLEY_DAEMON_TEST=1"), os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	} else if err != nil {
		fmt.Fprintln(os.Stderr, "core/daemon: no network of its own:", err)
		os.Exit(1)
	}
}

// hung is an SA backend that never lists what it holds. The test binary is its plugin.
type hung struct{ sa.Plugin }

func (hung) Probe(context.Context) (sa.Capabilities, error) {
	return sa.Capabilities{Usable: true}, nil
}

func (hung) List(context.Context, string) ([]sa.Child, error) { select {} }

var built string // folder of what firstParty built; "": nothing

// firstParty builds parley-plugin, once.
var firstParty = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "parley")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, pluginBinary)
	out, err := exec.Command("go", "build", "-o", path, "github.com/parley-ike/parley/cmd/parley-plugin").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return path, err
})

// node is where a daemon runs.
type node struct {
	Options
	ready  chan struct{}
	ended  chan error
	cancel context.CancelFunc
}

// prepared returns a node with folders and ports of its own.
func prepared(t *testing.T, port int, settings string) *node {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("MISSING: root, to run a daemon with SA backends in a network of its own")
	}
	plugins, err := firstParty()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "pd") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, runtimeMode); err != nil { // for plugins of other users
		t.Fatal(err)
	}
	text := fmt.Sprintf("daemon {\n listen = [\"0.0.0.0\"]\n port = %d\n natt_port = %d\n}\n%s", port, port+1, settings)
	n := &node{Options: Options{
		Config: filepath.Join(dir, "parley.hcl"), StateDir: filepath.Join(dir, "state"), RuntimeDir: filepath.Join(dir, "run"),
		PluginPath: plugins, Log: zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel)),
	}}
	if err := os.WriteFile(n.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return n
}

// start runs the daemon and returns at once.
func (n *node) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	n.ready, n.ended, n.cancel = make(chan struct{}), make(chan error, 1), cancel
	o := n.Options
	o.Ready = func() { close(n.ready) }
	go func() { n.ended <- Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if n.ended != nil {
			<-n.ended
		}
	})
}

func (n *node) awaitReady(t *testing.T) {
	t.Helper()
	select {
	case <-n.ready:
	case err := <-n.ended:
		n.ended = nil
		t.Fatalf("the daemon ended: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("the daemon is not ready")
	}
}

// stop ends the daemon and returns how long that took.
func (n *node) stop(t *testing.T, limit time.Duration) time.Duration {
	t.Helper()
	begin := time.Now()
	n.cancel()
	select {
	case err := <-n.ended:
		n.ended = nil
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(limit):
		buf := make([]byte, 1<<20)
		t.Fatalf("not ended after %v\n%s", limit, buf[:runtime.Stack(buf, true)])
	}
	return time.Since(begin)
}

// children lists our child processes whose command line holds what.
func children(what string) (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range all {
		stat, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) && strings.Contains(strings.ReplaceAll(string(line), "\x00", " "), what) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	return pids
}

func answers(t *testing.T, socket string) {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Errorf("nobody serves %s: %v", socket, err)
		return
	}
	_ = c.Close()
}

func TestTheDaemonRunsStopsLeavesNothingAndRunsAgain(t *testing.T) {
	n := prepared(t, 12000, "")
	for range 2 { // the second run finds ports, folders and locks free
		n.start(t)
		n.awaitReady(t)
		answers(t, filepath.Join(n.RuntimeDir, "control.sock"))
		answers(t, filepath.Join(n.RuntimeDir, "nats.sock"))
		if got := len(children(pluginBinary)); got != len(standard) {
			t.Errorf("%d plugin processes, want %d", got, len(standard))
		}
		n.stop(t, stopBudget)
		if left := children(pluginBinary); len(left) > 0 {
			t.Errorf("plugins %v outlived the daemon", left)
		}
		for _, name := range []string{"control.sock", "nats.sock"} {
			if _, err := os.Lstat(filepath.Join(n.RuntimeDir, name)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is left: %v", name, err)
			}
		}
	}
}

func TestFoldersLetThroughWhomTheyMust(t *testing.T) {
	n := prepared(t, 12010, "")
	n.start(t)
	n.awaitReady(t)
	for path, want := range map[string]os.FileMode{
		n.RuntimeDir: os.ModeDir | runtimeMode, filepath.Join(n.RuntimeDir, "s"): os.ModeDir | 0o711, filepath.Join(n.RuntimeDir, "plugins"): os.ModeDir | 0o711,
		filepath.Join(n.RuntimeDir, "plugins", "cred"): os.ModeDir | 0o700, filepath.Join(n.RuntimeDir, "parleyd.lock"): 0o600,
		filepath.Join(n.RuntimeDir, "control.sock"): os.ModeSocket | 0o660, filepath.Join(n.RuntimeDir, "nats.sock"): os.ModeSocket | 0o660,
		n.StateDir: os.ModeDir | stateMode, filepath.Join(n.StateDir, "nats"): os.ModeDir | 0o700, filepath.Join(n.StateDir, "outbox"): os.ModeDir | 0o700,
	} {
		if info, err := os.Lstat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, want %v (%v)", path, info.Mode(), want, err)
		}
	}
	n.stop(t, stopBudget)
}

// plugin is a block for a plugin of a file, with its checksum.
func plugin(t *testing.T, kind, path, more string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	return fmt.Sprintf("plugin %q {\n kind = [%q]\n path = %q\n sha256 = %q\n %s\n}\n", "own-"+kind, kind, path, hex.EncodeToString(sum[:]), more)
}

func TestPluginsRunAsAnotherUserWithThePrivilegesOfTheConfiguration(t *testing.T) {
	path, err := firstParty()
	if err != nil {
		t.Fatal(err)
	}
	n := prepared(t, 12020, plugin(t, "sa", path, "args = [\"sa:userspace\"]\n user = \"nobody\"\n privileges = [\"net_admin\", \"net_raw\"]"))
	n.start(t)
	n.awaitReady(t)
	pids := children("sa:userspace")
	if len(pids) != 1 {
		t.Fatalf("the plugin does not run: %v", pids)
	}
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pids[0]))
	if strings.Contains(string(status), "Uid:\t0") || !strings.Contains(string(status), "CapEff:\t0000000000003000") {
		t.Errorf("it has\n%s", status)
	}
	n.stop(t, stopBudget)
}

func TestOnlyTheSABackendsHavePrivileges(t *testing.T) {
	n := prepared(t, 12030, "")
	n.start(t)
	n.awaitReady(t)
	for _, set := range standard {
		want := "0000000000000000"
		if set.kind == "sa" {
			want = "0000000000003000" // CAP_NET_ADMIN and CAP_NET_RAW
		}
		pids := children(" " + set.kind + ":" + set.names[0])
		if len(pids) != 1 {
			t.Errorf("%s: processes %v", set.kind, pids)
			continue
		}
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pids[0]))
		for _, line := range []string{"CapPrm", "CapEff", "CapBnd"} {
			if !strings.Contains(string(status), line+":\t"+want) {
				t.Errorf("%s: %s is not %s:\n%s", set.kind, line, want, status)
			}
		}
		if !strings.Contains(string(status), "NoNewPrivs:\t1") {
			t.Errorf("%s may gain privileges", set.kind)
		}
	}
	n.stop(t, stopBudget)
}

func TestAWrongConfigurationIsToldBeforeAnythingIsDone(t *testing.T) {
	n := prepared(t, 12040, "conection \"west\" {}\n")
	var wrong config.Diagnostics
	if err := Run(t.Context(), n.Options); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "connection") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(n.StateDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folders were made: %v", err)
	}
}

func TestASecondDaemonIsToldWhatIsInItsWayAndHarmsNothing(t *testing.T) {
	first := prepared(t, 12050, "")
	first.start(t)
	first.awaitReady(t)
	for name, c := range map[string]struct {
		port int
		set  func(*Options)
		want []string
	}{
		"ports":          {12050, func(*Options) {}, []string{"cannot bind udp port 12050", "choose other ports"}},
		"runtime folder": {12060, func(o *Options) { o.RuntimeDir = first.RuntimeDir }, []string{"another parleyd uses", first.RuntimeDir, "--runtime-dir"}},
		"state folder":   {12070, func(o *Options) { o.StateDir = first.StateDir }, []string{"in use by another process", first.StateDir}},
		"control socket": {12080, func(o *Options) { o.Socket = filepath.Join(first.RuntimeDir, "control.sock") }, []string{"another daemon serves the control socket"}},
	} {
		second := prepared(t, c.port, "")
		c.set(&second.Options)
		err := Run(t.Context(), second.Options)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not tell %q", name, err, want)
			}
		}
	}
	answers(t, filepath.Join(first.RuntimeDir, "control.sock"))
	answers(t, filepath.Join(first.RuntimeDir, "nats.sock"))
	if got := len(children(pluginBinary)); got != len(standard) {
		t.Errorf("%d plugin processes, want those of the first daemon, %d", got, len(standard))
	}
	first.stop(t, stopBudget)
}

func TestFoldersThatCannotBeUsedAreToldWithTheRemedy(t *testing.T) {
	n := prepared(t, 12090, "")
	file := n.Config
	for name, c := range map[string]struct {
		set  func(*Options)
		want []string
	}{
		"state":     {func(o *Options) { o.StateDir = filepath.Join(file, "state") }, []string{"state folder", file, "--state-dir"}},
		"runtime":   {func(o *Options) { o.RuntimeDir = filepath.Join(file, "run") }, []string{"runtime folder", file, "--runtime-dir"}},
		"journal":   {func(o *Options) { o.Journal = filepath.Join(file, "journal") }, []string{"journal", file}},
		"read-only": {func(o *Options) { o.RuntimeDir = "/proc/sys/net" }, []string{"cannot write to the runtime folder", "--runtime-dir"}},
	} {
		o := n.Options
		c.set(&o)
		err := Run(t.Context(), o)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not tell %q", name, err, want)
			}
		}
	}
	if left := children(pluginBinary); len(left) > 0 {
		t.Errorf("plugins %v outlived the failed starts", left)
	}
}

func TestAnEndDuringTheStartIsInOrderAndQuick(t *testing.T) {
	hanging := filepath.Join(t.TempDir(), "hanging")
	if err := os.WriteFile(hanging, []byte("#!/bin/sh\nexec sleep 600\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, after := range []time.Duration{0, 30 * time.Millisecond, 150 * time.Millisecond, 600 * time.Millisecond} {
		n := prepared(t, 12100, plugin(t, "ke", hanging, ""))
		n.start(t)
		time.Sleep(after)
		took := n.stop(t, stopBudget)
		select {
		case <-n.ready:
			t.Errorf("it was ready within %v, without its key exchange", after)
		default:
		}
		t.Logf("told after %v, gone after %v more", after, took)
		if left := slices.Concat(children(pluginBinary), children("sleep 600")); len(left) > 0 {
			t.Errorf("processes %v are left", left)
		}
	}
}

func TestPluginsThatHangDoNotHoldUpTheEnd(t *testing.T) {
	n := prepared(t, 12110, "")
	n.start(t)
	n.awaitReady(t)
	for _, pid := range children(pluginBinary) {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	n.stop(t, stopBudget)
	if left := children(pluginBinary); len(left) > 0 {
		t.Errorf("plugins %v outlived the daemon", left)
	}
}

func TestABackendThatIsBeingReconciledDoesNotHoldUpTheEnd(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	n := prepared(t, 12120, plugin(t, "sa", self, ""))
	n.start(t)
	n.awaitReady(t)
	time.Sleep(100 * time.Millisecond) // the listing has begun
	if took := n.stop(t, stopBudget); took > stopBudget/2 {
		t.Errorf("it took %v", took)
	}
}
