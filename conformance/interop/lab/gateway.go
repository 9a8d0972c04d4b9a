package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	readyBudget = 40 * time.Second // until a daemon must serve
	stopBudget  = 20 * time.Second // until it must have ended
)

// Gateway is one parleyd in a namespace, with its files in a folder of its own.
type Gateway struct {
	Name   string
	Dir    string
	Bin    string // folder with parleyd and parley
	NS     *Namespace
	Wrap   []string // a command that executes parleyd, which it is given as further arguments; nil: none
	daemon *exec.Cmd
	ended  chan error
}

// BinDir is where the programs are: PARLEY_BIN, or bin at the top of the checkout that the working directory is in.
func BinDir() (string, error) {
	if dir := os.Getenv("PARLEY_BIN"); dir != "" {
		return dir, nil
	}
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		if _, statErr := os.Stat(filepath.Join(dir, "go.mod")); statErr == nil {
			return filepath.Join(dir, "bin"), nil
		}
		dir = filepath.Dir(dir)
	}
	return "", errors.New("lab: the programs are not found; run make build, or set PARLEY_BIN")
}

// Path returns the path of a file of the gateway.
func (g *Gateway) Path(name string) string { return filepath.Join(g.Dir, name) }

// Write writes a file of the gateway that only its owner may read.
func (g *Gateway) Write(name, content string) error {
	if err := os.MkdirAll(g.Dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(g.Path(name), []byte(content), 0o600)
}

// Start starts parleyd with parley.hcl of the gateway's folder and more arguments. What it logs goes to the file log.
func (g *Gateway) Start(ctx context.Context, args ...string) error {
	log, err := os.OpenFile(g.Path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	all := slices.Concat(g.Wrap, []string{filepath.Join(g.Bin, "parleyd"), "--config", g.Path("parley.hcl"), "--name", g.Name,
		"--socket", g.Path("control.sock"), "--state-dir", g.Path("state"), "--runtime-dir", g.Path("run")}, args)
	g.daemon = exec.CommandContext(ctx, all[0], all[1:]...)
	g.daemon.Stdout, g.daemon.Stderr = log, log
	g.daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches us alone; we take down in order
	if err := g.NS.Start(g.daemon); err != nil {
		return err
	}
	ended := make(chan error, 1)
	g.ended = ended
	go func(cmd *exec.Cmd) { ended <- cmd.Wait() }(g.daemon)
	return nil
}

// PID returns the process of the daemon.
func (g *Gateway) PID() int { return g.daemon.Process.Pid }

// Running reports whether the daemon was started and neither stopped nor killed since.
func (g *Gateway) Running() bool { return g.daemon != nil }

// Log returns what the daemon logged so far.
func (g *Gateway) Log() string {
	raw, _ := os.ReadFile(g.Path("log"))
	return "log of " + g.Name + ":\n" + string(raw)
}

// WaitReady waits until the daemon serves.
func (g *Gateway) WaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyBudget)
	defer cancel()
	for {
		if _, err := os.Stat(g.Path("control.sock")); err == nil { // asking sooner would only slow it down
			if _, err := g.Parley(ctx, "status"); err == nil {
				return nil
			}
		}
		select {
		case err := <-g.ended:
			g.ended <- err
			return fmt.Errorf("lab: parleyd of %s ended: %w\n%s", g.Name, err, g.Log())
		case <-ctx.Done():
			return fmt.Errorf("lab: parleyd of %s is not ready: %w\n%s", g.Name, ctx.Err(), g.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Parley runs the command line tool against this gateway and returns what it printed.
func (g *Gateway) Parley(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(g.Bin, "parley"), append([]string{"--socket", g.Path("control.sock")}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Stop ends the daemon in order and waits for it.
func (g *Gateway) Stop() error {
	if g.daemon == nil {
		return nil
	}
	if err := g.daemon.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-g.ended:
		g.daemon = nil
		return err
	case <-time.After(stopBudget):
		return fmt.Errorf("lab: parleyd of %s did not end within %v", g.Name, stopBudget)
	}
}

// WaitEnd waits until the daemon ended by itself.
func (g *Gateway) WaitEnd(ctx context.Context) error {
	select {
	case err := <-g.ended:
		g.daemon = nil
		return err
	case <-ctx.Done():
		return fmt.Errorf("lab: parleyd of %s still runs: %w", g.Name, ctx.Err())
	}
}

// Kill ends the daemon at once, if it runs; its plugins die with it.
func (g *Gateway) Kill() error {
	if g.daemon == nil {
		return nil
	}
	err := g.daemon.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-g.ended
	g.daemon = nil
	return err
}

// PluginProcess is one row of `parley plugin list -o json`.
type PluginProcess struct {
	Name     string   `json:"name"`
	PID      int      `json:"pid"`
	Kinds    []string `json:"kinds"`
	State    string   `json:"state"`
	Restarts int      `json:"restarts"`
}

// Kill kills the process with SIGKILL.
func (p PluginProcess) Kill() error { return syscall.Kill(p.PID, syscall.SIGKILL) }

// Plugin returns the process that serves a kind.
func (g *Gateway) Plugin(ctx context.Context, kind string) (PluginProcess, error) {
	out, err := g.Parley(ctx, "plugin", "list", "-o", "json")
	if err != nil {
		return PluginProcess{}, fmt.Errorf("lab: %w: %s", err, out)
	}
	var list struct {
		Plugins []PluginProcess `json:"plugins"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return PluginProcess{}, err
	}
	i := slices.IndexFunc(list.Plugins, func(p PluginProcess) bool { return slices.Contains(p.Kinds, kind) })
	if i < 0 {
		return PluginProcess{}, fmt.Errorf("lab: no plugin of kind %s in %s", kind, strings.TrimSpace(out))
	}
	return list.Plugins[i], nil
}

// WaitPlugin waits until another process than old serves the kind.
func (g *Gateway) WaitPlugin(ctx context.Context, kind string, old int) (PluginProcess, error) {
	ctx, cancel := context.WithTimeout(ctx, readyBudget)
	defer cancel()
	for {
		p, err := g.Plugin(ctx, kind)
		if err == nil && p.PID != 0 && p.PID != old {
			return p, nil
		}
		select {
		case <-ctx.Done():
			return p, fmt.Errorf("lab: the plugin did not come back: %w\n%s", errors.Join(err, ctx.Err()), g.Log())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// NATS connects to the gateway's embedded NATS by its unix socket; it listens on no network.
func (g *Gateway) NATS() (*nats.Conn, error) {
	conn, err := nats.Connect("nats://"+g.Name, nats.SetCustomDialer(unixDialer(g.Path("run/nats.sock"))))
	if err != nil {
		return nil, fmt.Errorf("lab: connect to the NATS of %s: %w", g.Name, err)
	}
	return conn, nil
}

type unixDialer string

// Dial implements nats.CustomDialer.
func (path unixDialer) Dial(string, string) (net.Conn, error) { return net.Dial("unix", string(path)) }
