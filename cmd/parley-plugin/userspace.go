package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/parley-ike/parley/plugins/sa/userspace"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/serve"
)

// userspaceService makes the userspace backend when the daemon has told where it runs.
type userspaceService struct {
	mu      sync.RWMutex
	backend *userspace.Plugin // nil before Configure
	config  userspace.Config
}

var (
	_ sa.Plugin        = (*userspaceService)(nil)
	_ serve.Configurer = (*userspaceService)(nil)
	_ serve.Drainer    = (*userspaceService)(nil)
	_ sdk.Canary       = (*userspaceService)(nil)
)

// encapPrefix begins the names of the files that are the daemon's UDP sockets for encapsulated ESP: "natt4", "natt6".
const encapPrefix = "natt"

// Schema implements serve.Configurer.
func (s *userspaceService) Schema() string { return string(userspace.Schema()) }

func parseUserspace(config []byte) (userspace.Config, error) {
	var c userspace.Config
	d := json.NewDecoder(bytes.NewReader(config))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("configuration: %w", err)
	}
	return c, nil
}

// Validate implements serve.Configurer.
func (s *userspaceService) Validate(config []byte) []string {
	c, err := parseUserspace(config)
	if err == nil {
		var trial *userspace.Plugin
		if trial, err = userspace.New(c, userspace.Sockets{}); err == nil {
			err = trial.Close(false)
		}
	}
	if err != nil {
		return []string{err.Error()}
	}
	return nil
}

// Configure implements serve.Configurer. The device of a running backend cannot change under its tunnels.
func (s *userspaceService) Configure(_ context.Context, env serve.Env, config []byte) error {
	c, err := parseUserspace(config)
	if err != nil {
		return err
	}
	if c.StateDir == "" && env.RuntimeDir != "" {
		c.StateDir = filepath.Join(env.RuntimeDir, "sa")
	}
	if c.Owner == "" {
		c.Owner = env.Owner
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.backend != nil {
		if !reflect.DeepEqual(c, s.config) {
			return fmt.Errorf("its configuration cannot change while it runs; restart the plugin")
		}
		return nil
	}
	backend, err := userspace.New(c, userspace.Sockets{Encap: encapSockets(env.Files)})
	if err != nil {
		return err
	}
	s.backend, s.config = backend, c
	return nil
}

func encapSockets(files map[string]*os.File) (out []*os.File) {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasPrefix(name, encapPrefix) {
			out = append(out, files[name])
		}
	}
	return out
}

// Drain implements serve.Drainer.
func (s *userspaceService) Drain(_ context.Context, remove bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.backend != nil {
		_ = s.backend.Close(remove)
	}
}

func (s *userspaceService) get() (*userspace.Plugin, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.backend == nil {
		return nil, fmt.Errorf("%w: sa/userspace: not configured yet", sdk.ErrUnavailable)
	}
	return s.backend, nil
}

// Probe implements sa.Plugin.
func (s *userspaceService) Probe(ctx context.Context) (sa.Capabilities, error) {
	b, err := s.get()
	if err != nil {
		return sa.Capabilities{}, err
	}
	return b.Probe(ctx)
}

// AllocateSPI implements sa.Plugin.
func (s *userspaceService) AllocateSPI(ctx context.Context, local, remote netip.Addr) (uint32, error) {
	b, err := s.get()
	if err != nil {
		return 0, err
	}
	return b.AllocateSPI(ctx, local, remote)
}

// Install implements sa.Plugin.
func (s *userspaceService) Install(ctx context.Context, c sa.Child) error {
	b, err := s.get()
	if err != nil {
		return err
	}
	return b.Install(ctx, c)
}

// Remove implements sa.Plugin.
func (s *userspaceService) Remove(ctx context.Context, c sa.Child) (sa.Usage, error) {
	b, err := s.get()
	if err != nil {
		return sa.Usage{}, err
	}
	return b.Remove(ctx, c)
}

// Usage implements sa.Plugin.
func (s *userspaceService) Usage(ctx context.Context, c sa.Child) (sa.Usage, error) {
	b, err := s.get()
	if err != nil {
		return sa.Usage{}, err
	}
	return b.Usage(ctx, c)
}

// List implements sa.Plugin.
func (s *userspaceService) List(ctx context.Context, owner string) ([]sa.Child, error) {
	b, err := s.get()
	if err != nil {
		return nil, err
	}
	return b.List(ctx, owner)
}

// Canary implements sdk.Canary.
func (s *userspaceService) Canary(ctx context.Context) error {
	b, err := s.get()
	if err != nil {
		return err
	}
	return b.Canary(ctx)
}
