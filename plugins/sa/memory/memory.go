package memory

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sync"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/secret"
	"github.com/parley-ike/parley/sdk/serve"
)

const (
	// minSPI is the first SPI that is not reserved (RFC 4303 section 2.1).
	minSPI = 256
	// maxReplayWindow is what the Linux kernel can do, in packets.
	maxReplayWindow = 4096
)

// Config is the configuration of the backend.
type Config struct {
	// FirstSPI is the first SPI that is given out, 0: a random one. Tests that want the same SPIs in each run set it.
	FirstSPI uint32 `json:"first_spi,omitempty"`
}

// Plugin implements sa.Plugin, sdk.Prompt and sdk.Canary.
type Plugin struct {
	sa.Feed  // what a test has it tell
	mu       sync.Mutex
	next     uint32
	epoch    uint64
	children map[key]sa.Child
	spis     map[uint32]key       // inbound SPIs in use
	reserved map[uint32]bool      // given out, not installed yet
	traps    map[string][]sa.Trap // by owner
	fault    Fault
	counts   Counts
}

// key names a child; owners never meet.
type key struct {
	owner string
	uid   sa.UID
}

// Fault decides before each call whether it fails; child has only the addresses in the case of "AllocateSPI" and only
// the owner in the case of "List". It may wait, and must be safe for concurrent use.
type Fault func(ctx context.Context, call string, child sa.Child) error

// Counts says how often what was done, failed calls left out.
type Counts struct {
	Installed, Reserved            int // now: children, and SPIs that none has yet
	Allocations, Installs, Removes int // of children that were not there and that were there, respectively
	Updates                        int // that changed something
}

// New returns an empty backend.
func New(config Config) *Plugin {
	p := &Plugin{children: map[key]sa.Child{}, spis: map[uint32]key{}, reserved: map[uint32]bool{}, traps: map[string][]sa.Trap{}}
	p.epoch = random()
	p.start(config)
	return p
}

func (p *Plugin) start(config Config) {
	p.next = config.FirstSPI
	if p.next == 0 {
		p.next = uint32(random())
	}
}

func random() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.NativeEndian.Uint64(b[:])
}

// Schema implements serve.Configurer.
func (*Plugin) Schema() string {
	return `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","additionalProperties":false,` +
		`"properties":{"first_spi":{"type":"integer","minimum":0,"maximum":4294967295,"description":"first SPI that is given out, 0: a random one"}}}`
}

// Validate implements serve.Configurer.
func (*Plugin) Validate(config []byte) []string {
	if _, err := parse(config); err != nil {
		return []string{err.Error()}
	}
	return nil
}

// Configure implements serve.Configurer. The children stay.
func (p *Plugin) Configure(_ context.Context, _ serve.Env, config []byte) error {
	parsed, err := parse(config)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start(parsed)
	return nil
}

func parse(text []byte) (config Config, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&config); err != nil {
		return Config{}, fmt.Errorf("sa/memory: configuration: %w", err)
	}
	return config, nil
}

// Probe implements sa.Plugin.
func (p *Plugin) Probe(ctx context.Context) (sa.Capabilities, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return sa.Capabilities{
		Name: "memory", Usable: true, Reason: "needs nothing; keeps SAs in memory and moves no packet",
		Algorithms: algorithms(), Modes: []sa.Mode{sa.Tunnel, sa.Transport}, ESN: true, Encap: true,
		MaxReplayWindow: maxReplayWindow, Offload: "none", Epoch: p.epoch, Traps: true, TFC: true,
	}, ctx.Err()
}

// AllocateSPI implements sa.Plugin. An SPI comes again after 2^32 others at the earliest, and not while it is in use.
func (p *Plugin) AllocateSPI(ctx context.Context, local, remote netip.Addr) (uint32, error) {
	if err := p.enter(ctx, "AllocateSPI", sa.Child{Local: local, Remote: remote}); err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.next < minSPI || p.used(p.next) {
		p.next++
	}
	p.counts.Allocations++
	p.next++
	p.reserved[p.next-1] = true
	return p.next - 1, nil
}

func (p *Plugin) used(spi uint32) bool {
	_, ok := p.spis[spi]
	return ok || p.reserved[spi]
}

// FreeSPI implements sa.Plugin.
func (p *Plugin) FreeSPI(ctx context.Context, local, remote netip.Addr, spi uint32) error {
	if err := p.enter(ctx, "FreeSPI", sa.Child{Local: local, Remote: remote, SPIIn: spi}); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.reserved, spi)
	return nil
}

// Install implements sa.Plugin.
func (p *Plugin) Install(ctx context.Context, c sa.Child) error {
	if err := p.enter(ctx, "Install", c); err != nil {
		return err
	}
	if err := check(c); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	k := key{c.Owner, c.UID}
	if have, ok := p.children[k]; ok {
		if !reflect.DeepEqual(have, clone(c)) {
			return fmt.Errorf("sa/memory: child %x of %q is installed with another description: remove it first", c.UID, c.Owner)
		}
		return nil
	}
	return p.add(k, c)
}

func (p *Plugin) add(k key, c sa.Child) error {
	if _, taken := p.spis[c.SPIIn]; taken {
		return fmt.Errorf("sa/memory: inbound SPI %08x is in use by another child", c.SPIIn)
	}
	p.children[k], p.spis[c.SPIIn] = clone(c), k
	delete(p.reserved, c.SPIIn)
	p.counts.Installs++
	return nil
}

// Update implements sa.Plugin.
func (p *Plugin) Update(ctx context.Context, c sa.Child) error {
	if err := p.enter(ctx, "Update", c); err != nil {
		return err
	}
	if err := check(c); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	k := key{c.Owner, c.UID}
	have, ok := p.children[k]
	switch {
	case !ok:
		return p.add(k, c)
	case !sameSAs(have, c):
		return fmt.Errorf("sa/memory: child %x of %q: an update changes neither SPIs nor transforms nor keys: %w", c.UID, c.Owner, sdk.ErrInvalid)
	case !reflect.DeepEqual(have, clone(c)):
		p.children[k] = clone(c)
		p.counts.Updates++
	}
	return nil
}

// Remove implements sa.Plugin.
func (p *Plugin) Remove(ctx context.Context, c sa.Child) (sa.Usage, error) {
	if err := p.enter(ctx, "Remove", c); err != nil {
		return sa.Usage{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if have, ok := p.children[key{c.Owner, c.UID}]; ok {
		p.forget(have)
		p.counts.Removes++
	}
	return sa.Usage{}, nil
}

func (p *Plugin) forget(c sa.Child) {
	wipe(c)
	delete(p.children, key{c.Owner, c.UID})
	delete(p.spis, c.SPIIn)
}

// SetTraps implements sa.Trapper. No packet ever meets them.
func (p *Plugin) SetTraps(ctx context.Context, owner string, traps []sa.Trap) error {
	if err := p.enter(ctx, "SetTraps", sa.Child{Owner: owner}); err != nil {
		return err
	}
	for _, t := range traps {
		if t.Action != sa.Acquire {
			return fmt.Errorf("sa/memory: trap %s of %s with action %d: %w", t.Name, t.Conn, t.Action, sdk.ErrUnsupported)
		}
		if len(t.LocalTS) == 0 || len(t.RemoteTS) == 0 {
			return fmt.Errorf("sa/memory: trap %s of %s without traffic selectors: %w", t.Name, t.Conn, sdk.ErrInvalid)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.traps[owner] = slices.Clone(traps)
	return nil
}

// Usage implements sa.Plugin; it is zero.
func (p *Plugin) Usage(ctx context.Context, c sa.Child) (sa.Usage, error) {
	if err := p.enter(ctx, "Usage", c); err != nil {
		return sa.Usage{}, err
	}
	if _, ok := p.Child(c.Owner, c.UID); !ok {
		return sa.Usage{}, fmt.Errorf("sa/memory: child %x of %q is not installed", c.UID, c.Owner)
	}
	return sa.Usage{}, nil
}

// List implements sa.Plugin: in order of inbound SPIs, without keys.
func (p *Plugin) List(ctx context.Context, owner string) ([]sa.Child, error) {
	if err := p.enter(ctx, "List", sa.Child{Owner: owner}); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []sa.Child
	for k, c := range p.children {
		if k.owner == owner {
			list = append(list, clone(withoutKeys(c)))
		}
	}
	slices.SortFunc(list, func(a, b sa.Child) int { return cmp.Compare(a.SPIIn, b.SPIIn) })
	return list, nil
}

// Canary implements sdk.Canary: a child lives and goes in a backend of its own.
func (p *Plugin) Canary(ctx context.Context) error {
	scratch := New(Config{FirstSPI: minSPI})
	c := sa.Child{
		Owner: "canary", SPIIn: minSPI, SPIOut: minSPI, Local: netip.IPv6Loopback(), Remote: netip.IPv6Loopback(),
		Encr: 28, EncrIn: make(secret.Bytes, 36), EncrOut: make(secret.Bytes, 36),
		LocalTS: make([]sa.Selector, 1), RemoteTS: make([]sa.Selector, 1),
	}
	if err := scratch.Install(ctx, c); err != nil {
		return err
	}
	if list, err := scratch.List(ctx, c.Owner); err != nil || len(list) != 1 {
		return fmt.Errorf("sa/memory: the canary is listed %d times instead of once, error %v", len(list), err)
	}
	_, err := scratch.Remove(ctx, c)
	return err
}

// Prompt implements sdk.Prompt; only a Fault may wait, and that is for tests.
func (*Plugin) Prompt() {}
