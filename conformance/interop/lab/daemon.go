package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopGrace is how long a daemon of another make may take to end in order.
const stopGrace = 5 * time.Second

// daemon is a foreign process in a namespace, with its files and its log in a folder of its own.
type daemon struct {
	Dir     string // configuration, log and control socket
	name    string
	logFile string
	root    Root
	process *os.Process
	ended   chan error
}

func (d *daemon) path(name string) string { return filepath.Join(d.Dir, name) }

// write writes files of the daemon's folder, given as name and content in turn, for its user alone.
func (d *daemon) write(namesAndContents ...string) error {
	for i := 0; i < len(namesAndContents); i += 2 {
		if err := os.WriteFile(d.path(namesAndContents[i]), []byte(namesAndContents[i+1]), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// start starts the daemon in a process group of its own. What it prints goes to the file stderr.
func (d *daemon) start(ns *Namespace, cmd *exec.Cmd) error {
	out, err := os.Create(d.path("stderr"))
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := ns.Start(cmd); err != nil {
		return fmt.Errorf("lab: start %s: %w", d.name, err)
	}
	d.process, d.ended = cmd.Process, make(chan error, 1)
	go func() { d.ended <- cmd.Wait() }()
	return nil
}

// wait waits until ready, or the daemon ended.
func (d *daemon) wait(ctx context.Context, what string, ready func() bool) error {
	for !ready() {
		select {
		case err := <-d.ended:
			d.ended <- err
			return fmt.Errorf("lab: %s: %s ended: %w\n%s", what, d.name, err, d.Log())
		case <-ctx.Done():
			return fmt.Errorf("lab: %s: not in time: %w\n%s", what, ctx.Err(), d.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// Log returns what the daemon logged so far.
func (d *daemon) Log() string {
	log, _ := os.ReadFile(d.path(d.logFile))
	if printed, _ := os.ReadFile(d.path("stderr")); d.logFile != "stderr" && len(printed) > 0 {
		return string(log) + "printed:\n" + string(printed)
	}
	return string(log)
}

// WaitLog waits until the log holds text.
func (d *daemon) WaitLog(ctx context.Context, text string) error {
	return d.wait(ctx, fmt.Sprintf("%s logs %q", d.name, text), func() bool { return strings.Contains(d.Log(), text) })
}

// exists reports whether there is a file in the daemon's folder.
func (d *daemon) exists(name string) bool {
	_, err := os.Stat(d.path(name))
	return err == nil
}

// Stop ends the daemon, in order when it listens.
func (d *daemon) Stop() {
	if d.process == nil {
		return
	}
	_ = d.process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
		d.process = nil
	case <-time.After(stopGrace):
		d.Kill()
	}
}

// Kill ends the daemon and its children at once; it tells nobody.
func (d *daemon) Kill() {
	if d.process == nil {
		return
	}
	if err := syscall.Kill(-d.process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		_ = d.process.Kill()
	}
	<-d.ended
	d.process = nil
}
