package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/serve"
)

// lateBackend is an SA backend that can only be made when the daemon has told where it runs. C is its configuration.
type lateBackend[C any] struct {
	name   string
	schema string
	// place fills in what the configuration leaves to the daemon.
	place func(c *C, dir, owner string)
	make  func(c C, encap []*os.File) (sa.Plugin, error)
	close func(b sa.Plugin, remove bool)

	made    chan struct{} // closed by Configure
	mu      sync.RWMutex
	backend sa.Plugin // nil before Configure
	config  C
}

var (
	_ sa.Plugin        = (*lateBackend[any])(nil)
	_ serve.Configurer = (*lateBackend[any])(nil)
	_ serve.Drainer    = (*lateBackend[any])(nil)
	_ sdk.Canary       = (*lateBackend[any])(nil)
	_ sa.Watcher       = (*lateBackend[any])(nil)
	_ sa.Trapper       = (*lateBackend[any])(nil)
)

// encapPrefix begins the names of the files that are the daemon's UDP sockets for encapsulated ESP: "natt4", "natt6".
const encapPrefix = "natt"

// Schema implements serve.Configurer.
func (l *lateBackend[C]) Schema() string { return l.schema }

func (l *lateBackend[C]) parse(config []byte) (c C, err error) {
	d := json.NewDecoder(bytes.NewReader(config))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("sa/%s: configuration: %w", l.name, err)
	}
	return c, nil
}

// Validate implements serve.Configurer. A backend touches nothing before its first Install, so that a trial is harmless.
func (l *lateBackend[C]) Validate(config []byte) []string {
	c, err := l.parse(config)
	if err == nil {
		l.place(&c, os.TempDir(), "")
		var trial sa.Plugin
		if trial, err = l.make(c, nil); err == nil {
			l.close(trial, false)
		}
	}
	if err != nil {
		return []string{err.Error()}
	}
	return nil
}

// Configure implements serve.Configurer. What a running backend was made with cannot change under its tunnels.
func (l *lateBackend[C]) Configure(_ context.Context, env serve.Env, config []byte) error {
	c, err := l.parse(config)
	if err != nil {
		return err
	}
	l.place(&c, filepath.Join(env.RuntimeDir, l.name), env.Owner)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.backend != nil {
		if !reflect.DeepEqual(c, l.config) {
			return fmt.Errorf("sa/%s: the configuration cannot change while it runs; restart the plugin", l.name)
		}
		return nil
	}
	backend, err := l.make(c, encapSockets(env.Files))
	if err != nil {
		return err
	}
	l.backend, l.config = backend, c
	close(l.made)
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
func (l *lateBackend[C]) Drain(_ context.Context, remove bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.backend != nil {
		l.close(l.backend, remove)
	}
}

func (l *lateBackend[C]) get() (sa.Plugin, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.backend == nil {
		return nil, fmt.Errorf("%w: sa/%s: not configured yet", sdk.ErrUnavailable, l.name)
	}
	return l.backend, nil
}

// Probe implements sa.Plugin.
func (l *lateBackend[C]) Probe(ctx context.Context) (sa.Capabilities, error) {
	b, err := l.get()
	if err != nil {
		return sa.Capabilities{}, err
	}
	return b.Probe(ctx)
}

// AllocateSPI implements sa.Plugin.
func (l *lateBackend[C]) AllocateSPI(ctx context.Context, local, remote netip.Addr) (uint32, error) {
	b, err := l.get()
	if err != nil {
		return 0, err
	}
	return b.AllocateSPI(ctx, local, remote)
}

// FreeSPI implements sa.Plugin.
func (l *lateBackend[C]) FreeSPI(ctx context.Context, local, remote netip.Addr, spi uint32) error {
	b, err := l.get()
	if err != nil {
		return err
	}
	return b.FreeSPI(ctx, local, remote, spi)
}

// Update implements sa.Plugin.
func (l *lateBackend[C]) Update(ctx context.Context, c sa.Child) error {
	b, err := l.get()
	if err != nil {
		return err
	}
	return b.Update(ctx, c)
}

// Watch implements sa.Watcher, for backends that tell events.
func (l *lateBackend[C]) Watch(ctx context.Context, tell func(sa.Event)) error {
	select {
	case <-l.made:
	case <-ctx.Done():
		return ctx.Err()
	}
	b, err := l.get()
	if w, ok := b.(sa.Watcher); err == nil && ok {
		return w.Watch(ctx, tell)
	}
	<-ctx.Done()
	return errors.Join(err, ctx.Err())
}

// SetTraps implements sa.Trapper.
func (l *lateBackend[C]) SetTraps(ctx context.Context, owner string, traps []sa.Trap) error {
	b, err := l.get()
	if err != nil {
		return err
	}
	t, ok := b.(sa.Trapper)
	if !ok {
		return fmt.Errorf("%w: sa/%s has no traps", sdk.ErrUnsupported, l.name)
	}
	return t.SetTraps(ctx, owner, traps)
}

// Install implements sa.Plugin.
func (l *lateBackend[C]) Install(ctx context.Context, c sa.Child) error {
	b, err := l.get()
	if err != nil {
		return err
	}
	return b.Install(ctx, c)
}

// Remove implements sa.Plugin.
func (l *lateBackend[C]) Remove(ctx context.Context, c sa.Child) (sa.Usage, error) {
	b, err := l.get()
	if err != nil {
		return sa.Usage{}, err
	}
	return b.Remove(ctx, c)
}

// Usage implements sa.Plugin.
func (l *lateBackend[C]) Usage(ctx context.Context, c sa.Child) (sa.Usage, error) {
	b, err := l.get()
	if err != nil {
		return sa.Usage{}, err
	}
	return b.Usage(ctx, c)
}

// List implements sa.Plugin.
func (l *lateBackend[C]) List(ctx context.Context, owner string) ([]sa.Child, error) {
	b, err := l.get()
	if err != nil {
		return nil, err
	}
	return b.List(ctx, owner)
}

// Canary implements sdk.Canary, for backends that have one.
func (l *lateBackend[C]) Canary(ctx context.Context) error {
	b, err := l.get()
	if canary, ok := b.(sdk.Canary); err == nil && ok {
		return canary.Canary(ctx)
	}
	return err
}
