package pluginhost

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hashicorp/go-plugin/runner"
)

// process runs one plugin process for go-plugin. It gives go-plugin the first line of standard output, which is the
// handshake, and nothing else: the rest and standard error go to the log.
type process struct {
	cmd     *exec.Cmd
	keep    []uintptr // capabilities
	log     *zap.Logger
	out     *io.PipeReader // first line of standard output
	outW    *io.PipeWriter
	exited  chan struct{} // closed when the process is gone and reaped
	waitErr error         // valid then
	stderr  *logPump

	mu     sync.Mutex
	number int    // the process's, 0 before it runs
	killed bool   // also before it runs
	first  string // first line of standard output, bounded
	said   bool   // there was one
}

var _ runner.Runner = (*process)(nil)

func newProcess(cmd *exec.Cmd, keep []uintptr, log *zap.Logger) *process {
	p := &process{cmd: cmd, keep: keep, log: log, exited: make(chan struct{}), stderr: newLogPump(log)}
	p.out, p.outW = io.Pipe()
	return p
}

// Start implements runner.Runner.
func (p *process) Start(context.Context) error {
	stdout, stdoutW, err := os.Pipe()
	if err != nil {
		return err
	}
	stderr, stderrW, err := os.Pipe()
	if err != nil {
		return errors.Join(err, stdout.Close(), stdoutW.Close())
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = nil, stdoutW, stderrW
	started := make(chan error)
	onOwnThread(func() { p.run(started) })
	err = <-started
	_, _ = stdoutW.Close(), stderrW.Close()
	if err != nil {
		_ = p.outW.Close()
		return errors.Join(err, stdout.Close(), stderr.Close())
	}
	go p.readStdout(stdout)
	go p.stderr.read(stderr)
	return nil
}

// onOwnThread runs f on a thread that ends with it. That is never the main thread, which would not end, and whose
// privileges are what people see of the daemon.
func onOwnThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f() // the thread stays locked, so it ends with the goroutine
			return
		}
		elsewhere := make(chan struct{})
		onOwnThread(func() { close(elsewhere); f() })
		<-elsewhere
		runtime.UnlockOSThread()
	}()
}

// run starts the child from the calling thread, which gives up its own privileges first and waits as long as the child
// lives: the child's death signal is tied to the thread that forked it.
func (p *process) run(started chan<- error) {
	calmTimers()
	err := confine(p.keep, p.cmd.SysProcAttr != nil && p.cmd.SysProcAttr.Credential != nil)
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		started <- err
		return
	}
	noCore(p.cmd.Process.Pid)
	p.began(p.cmd.Process.Pid)
	started <- nil
	p.waitErr = p.cmd.Wait()
	close(p.exited)
}

// timerSlack is how late the timers of a plugin may be, unless it decides otherwise. The runtime of Go has a thread that sleeps 20 µs
// at a time while anything runs, which with the kernel's default of 50 µs is a large part of what a plugin costs.
const timerSlack = time.Millisecond

// calmTimers sets the timer slack of the calling thread, which its children inherit.
func calmTimers() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0) }

// noCore turns core dumps of a process off, from outside, since the limits of a process are no thread's. A program that the
// kernel pipes cores to gets them with a limit of 0 as well, but not with 1, which is below the smallest file, too
// (core(5) and the kernel's vfs_coredump); 1 cannot be had where the limit is 0 already.
func noCore(pid int) {
	if unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1}, nil) != nil {
		_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
	}
}

// maxHandshake bounds the first line: go-plugin's has some 60 octets, with a certificate 2000.
const maxHandshake = 8 << 10

func (p *process) readStdout(stdout *os.File) {
	defer stdout.Close()
	r := bufio.NewReaderSize(stdout, maxHandshake)
	line, err := r.ReadSlice('\n')
	if len(line) > 0 {
		p.mu.Lock()
		p.first, p.said = strings.TrimRight(string(line), "\r\n"), true
		p.mu.Unlock()
		_, _ = p.outW.Write(append(line[:len(line):len(line)], '\n'))
	}
	_ = p.outW.Close()
	if err == nil || errors.Is(err, bufio.ErrBufferFull) {
		logStray(p.log, r)
	}
}

// firstLine returns the first line of standard output and whether there was one.
func (p *process) firstLine() (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.first, p.said
}

// Wait implements runner.Runner.
func (p *process) Wait(context.Context) error {
	<-p.exited
	return p.waitErr
}

// began notes the number of the process, and ends it when that was asked meanwhile.
func (p *process) began(pid int) {
	p.mu.Lock()
	p.number = pid
	killed := p.killed
	p.mu.Unlock()
	if killed {
		_ = p.Kill(context.Background())
	}
}

// Kill implements runner.Runner: it ends the process and all that it started.
func (p *process) Kill(context.Context) error {
	p.mu.Lock()
	pid := p.number
	p.killed = true
	p.mu.Unlock()
	if pid == 0 || isClosed(p.exited) { // not yet; or the number may be another's by now
		return nil
	}
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.number
}

// fate says how the process ended, for people.
func (p *process) fate() string {
	if !isClosed(p.exited) {
		return "still runs"
	}
	var exit *exec.ExitError
	switch {
	case p.waitErr == nil:
		return "ended with status 0"
	case !errors.As(p.waitErr, &exit):
		return p.waitErr.Error()
	}
	p.stderr.wait()
	text := "ended with " + strings.TrimSpace(exit.Error())
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		text = fmt.Sprintf("was killed by signal %d (%v)", status.Signal(), status.Signal())
	}
	if last := p.stderr.lastWords(); last != "" {
		text += ": " + last
	}
	return text
}

// Diagnose implements runner.Runner; package pluginhost makes its own diagnosis.
func (p *process) Diagnose(context.Context) string { return "" }

// Stdout implements runner.Runner.
func (p *process) Stdout() io.ReadCloser { return p.out }

// Stderr implements runner.Runner; standard error goes to our own log instead.
func (p *process) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name implements runner.Runner.
func (p *process) Name() string { return filepath.Base(p.cmd.Args[0]) }

// ID implements runner.Runner.
func (p *process) ID() string { return fmt.Sprint(p.pid()) }

// PluginToHost implements runner.Runner.
func (p *process) PluginToHost(network, address string) (string, string, error) {
	if network != "unix" {
		return "", "", fmt.Errorf("listens on %s %s", network, clean(address))
	}
	return network, address, nil
}

// HostToPlugin implements runner.Runner.
func (p *process) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
