package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// gateway is one parleyd in its namespace.
type gateway struct {
	name, dir, bin string
	wan, lan       string
	ns             *lab.Namespace
	daemon         *exec.Cmd
	ended          chan error
}

const eastConfig = `connection "west" {
  local  { identity = "east.example.net"  auth = "psk" }
  remote { address = "192.0.2.2"  identity = "west.example.net"  auth = "psk" }
  child "lan" { local_ts = ["10.1.0.0/16"]  remote_ts = ["10.2.0.0/16"]  start = "up" }
}
credentials {
  psk "west.example.net" { file = "west.psk" }
}
`

const westConfig = `connection "east" {
  local  { identity = "west.example.net"  auth = "psk" }
  remote { address = "192.0.2.1"  identity = "east.example.net"  auth = "psk" }
  child "lan" { local_ts = ["10.2.0.0/16"]  remote_ts = ["10.1.0.0/16"] }
}
credentials {
  psk "east.example.net" { file = "east.psk" }
}
`

func (g *gateway) config() string {
	if g.name == "east" {
		return eastConfig
	}
	return westConfig
}

func (g *gateway) path(name string) string { return filepath.Join(g.dir, name) }

func (g *gateway) writeConfig() error {
	if err := os.MkdirAll(g.dir, 0o700); err != nil {
		return err
	}
	peer := map[string]string{"east": "west", "west": "east"}[g.name]
	return errors.Join(
		os.WriteFile(g.path("parley.hcl"), []byte(g.config()), 0o644),
		os.WriteFile(g.path(peer+".psk"), []byte("a key that only this demonstration uses\n"), 0o600),
	)
}

func (g *gateway) start(ctx context.Context) error {
	log, err := os.Create(g.path("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	g.daemon = exec.CommandContext(ctx, filepath.Join(g.bin, "parleyd"), "--config", g.path("parley.hcl"), "--name", g.name,
		"--socket", g.path("control.sock"), "--state-dir", g.path("state"), "--runtime-dir", g.path("run"))
	g.daemon.Stdout, g.daemon.Stderr = log, log
	g.daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches us alone; we take down in order
	if err := g.ns.Start(g.daemon); err != nil {
		return err
	}
	g.ended = make(chan error, 1)
	go func() { g.ended <- g.daemon.Wait() }()
	return nil
}

func (g *gateway) pid() int { return g.daemon.Process.Pid }

func (g *gateway) log() string {
	raw, _ := os.ReadFile(g.path("log"))
	return "log of " + g.name + ":\n" + string(raw)
}

func (g *gateway) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tunnelBudget)
	defer cancel()
	for {
		if _, err := g.parley(ctx, "status"); err == nil {
			return nil
		}
		select {
		case err := <-g.ended:
			return fmt.Errorf("demo: parleyd of %s ended: %w\n%s", g.name, err, g.log())
		case <-ctx.Done():
			return fmt.Errorf("demo: parleyd of %s is not ready: %w\n%s", g.name, ctx.Err(), g.log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// parley runs the command line tool against this gateway and returns what it printed.
func (g *gateway) parley(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(g.bin, "parley"), append([]string{"--socket", g.path("control.sock")}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// stop ends the daemon in order.
func (g *gateway) stop() error {
	if err := g.daemon.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-g.ended:
		g.daemon = nil
		return err
	case <-time.After(tunnelBudget):
		return fmt.Errorf("demo: parleyd of %s did not end within %v", g.name, tunnelBudget)
	}
}

// kill ends a daemon that stop did not end; its plugins die with it.
func (g *gateway) kill() error {
	if g.daemon == nil {
		return nil
	}
	return g.daemon.Process.Kill()
}

// pluginProcess is one row of `parley plugin list -o json`.
type pluginProcess struct {
	Name     string   `json:"name"`
	PID      int      `json:"pid"`
	Kinds    []string `json:"kinds"`
	State    string   `json:"state"`
	Restarts int      `json:"restarts"`
}

func (p pluginProcess) kill() error { return syscall.Kill(p.PID, syscall.SIGKILL) }

func (g *gateway) plugin(ctx context.Context, kind string) (pluginProcess, error) {
	out, err := g.parley(ctx, "plugin", "list", "-o", "json")
	if err != nil {
		return pluginProcess{}, fmt.Errorf("demo: %w: %s", err, out)
	}
	var list struct {
		Plugins []pluginProcess `json:"plugins"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return pluginProcess{}, err
	}
	i := slices.IndexFunc(list.Plugins, func(p pluginProcess) bool { return slices.Contains(p.Kinds, kind) })
	if i < 0 {
		return pluginProcess{}, fmt.Errorf("demo: no plugin of kind %s in %s", kind, strings.TrimSpace(out))
	}
	return list.Plugins[i], nil
}

// waitPlugin waits until another process than old serves the kind.
func (g *gateway) waitPlugin(ctx context.Context, kind string, old int) (pluginProcess, error) {
	ctx, cancel := context.WithTimeout(ctx, pluginBudget)
	defer cancel()
	for {
		p, err := g.plugin(ctx, kind)
		if err == nil && p.PID != 0 && p.PID != old {
			return p, nil
		}
		select {
		case <-ctx.Done():
			return p, fmt.Errorf("demo: the plugin did not come back: %w\n%s", errors.Join(err, ctx.Err()), g.log())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
