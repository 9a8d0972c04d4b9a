package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/core/pluginhost"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/sdktest"
)

// launchOptions say how the plugin is started.
type launchOptions struct {
	kind              string // that is judged
	path, config      string
	kinds, privileges []string
	args              []string
	limit             time.Duration
}

// entry is the plugin as the daemon's catalogue would have it.
func (o *launchOptions) entry(encap *os.File) (e pluginhost.Entry, err error) {
	path, err := filepath.Abs(o.path)
	if err != nil {
		return e, err
	}
	e = pluginhost.Entry{Name: "judged", Path: path, Args: o.args, Kinds: o.kinds}
	for _, p := range o.privileges {
		e.Privileges = append(e.Privileges, "CAP_"+strings.TrimPrefix(strings.ToUpper(p), "CAP_"))
	}
	if o.kind == "sa" {
		e.Files = map[string]*os.File{"natt4": encap}
	}
	if o.config != "" {
		text, err := os.ReadFile(o.config)
		if err != nil {
			return e, err
		}
		e.Services = []pluginhost.ServiceConfig{{Kind: o.kind, JSON: text}}
	}
	return e, nil
}

// subject is a plugin that is judged: a process, and another one after each death. It is safe for concurrent use.
type subject struct {
	dir       string
	entry     pluginhost.Entry
	encap     *os.File
	encapPort uint16
	limit     time.Duration

	mu      sync.Mutex
	process *pluginhost.Process
	client  *sdktest.Client
}

// launch starts the plugin for the first time.
func launch(ctx context.Context, o launchOptions) (*subject, error) {
	s := &subject{limit: o.limit}
	err := s.openEncap()
	if err == nil {
		s.entry, err = o.entry(s.encap)
	}
	if err == nil {
		s.dir, err = os.MkdirTemp("", "pc") // short: sockets lie in it
	}
	if err == nil {
		err = s.start(ctx)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// openEncap opens a socket for ESP in UDP, as the daemon has one for its backends.
func (s *subject) openEncap() error {
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	s.encapPort = conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	s.encap, err = conn.File()
	return err
}

func (s *subject) start(ctx context.Context) error {
	process, err := pluginhost.Open(ctx, pluginhost.Config{RuntimeDir: s.dir, Owner: "parley-conformance", Node: "parley-conform", StartTimeout: s.limit}, s.entry)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process, s.client = process, sdktest.Connect(process.Base, process.Manifest, process.Carrier)
	return nil
}

// now is the client of the process that runs.
func (s *subject) now() *sdktest.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

// Restart kills the process and starts another one in the same place.
func (s *subject) Restart(ctx context.Context) error {
	s.process.Kill()
	s.client.Close()
	return s.start(ctx)
}

func (s *subject) close() {
	if s.process != nil {
		_ = s.process.Stop(context.Background())
		s.client.Close()
	}
	if s.encap != nil {
		_ = s.encap.Close()
	}
	_ = os.RemoveAll(s.dir)
}

// judge runs checks one after the other. Each has a living process: what died or hangs is started again, and that is told.
func judge[S any](ctx context.Context, s *subject, checks []kit.Check[S], fixture S, tell func(kit.Result)) error {
	for _, check := range checks {
		r := check.Judge(ctx, fixture, s.limit)
		fate, died := s.died()
		if died {
			r.Verdict, r.Detail = kit.Failed, strings.TrimSpace("the process "+fate+"; "+r.Detail)
		}
		tell(r)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !died && r.Took < s.limit {
			continue
		}
		if err := s.Restart(ctx); err != nil {
			return fmt.Errorf("after %q: %w", check.Name, err)
		}
	}
	return nil
}

// died says how the process ended, when it has: a little after its connection.
func (s *subject) died() (fate string, died bool) {
	if s.client.Alive() {
		return "", false
	}
	if fate, ended := s.process.Ended(time.Second); ended {
		return fate, true
	}
	return "closed its connection, although it still runs", true
}

// backend is one SA backend of the process that runs.
type backend struct {
	*subject
	name string
}

func (b backend) Plugin() sa.Plugin { return b.now().SA(b.name) }

var errNoKey = errors.New("the file is empty")
