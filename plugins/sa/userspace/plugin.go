package userspace

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/parley-ike/parley/plugins/sa/userspace/esp"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

// maxReserved bounds the SPIs that were allocated and not yet installed; IKE needs one per exchange in flight.
const maxReserved = 1 << 16

// Sockets are what the daemon hands over.
type Sockets struct {
	// Encap are UDP sockets on the daemon's port for ESP in UDP (RFC 3948), one per local address or one per family that is
	// bound to the unspecified address. They get the packets whose first four octets are not zero. The plugin duplicates
	// them; the files stay the caller's.
	Encap []*os.File
}

// Plugin is the backend. It implements sa.Plugin and is safe for concurrent use. Devices, sockets and routes are made by the
// first Install, in the network namespace of the goroutine that calls it.
type Plugin struct {
	sa.Feed // what the data path has to tell
	cfg     Config
	epoch   uint64
	stats   Stats
	table   atomic.Pointer[table] // of the data path

	mu       sync.Mutex // guards what follows
	state    *state
	plane    *plane // nil until the first Install
	children map[sa.UID]*child
	births   uint64
	encap    []*socket
	reserved map[uint32]bool
	traps    map[string][]*trap // by owner
	closed   bool
}

var (
	_ sa.Plugin  = (*Plugin)(nil)
	_ sa.Watcher = (*Plugin)(nil)
	_ sa.Trapper = (*Plugin)(nil)
)

// New checks the configuration and takes the sockets over; it touches nothing else.
func New(cfg Config, sockets Sockets) (*Plugin, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	p := &Plugin{cfg: cfg, epoch: uint64(time.Now().UnixNano()), children: map[sa.UID]*child{}, reserved: map[uint32]bool{}, traps: map[string][]*trap{}}
	p.table.Store(newTable(nil))
	for _, f := range sockets.Encap {
		if err := p.AddEncap(f); err != nil {
			_ = p.Close(false)
			return nil, err
		}
	}
	return p, nil
}

// AddEncap takes one more UDP socket of the daemon over, for children that are installed from now on.
func (p *Plugin) AddEncap(f *os.File) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := adoptUDP(f)
	if err != nil {
		return fmt.Errorf("sa/userspace: socket for UDP encapsulation: %w", err)
	}
	p.encap = append(p.encap, s)
	if p.plane != nil {
		p.plane.listen(s)
	}
	return nil
}

// Probe implements sa.Plugin.
func (p *Plugin) Probe(context.Context) (sa.Capabilities, error) {
	c := sa.Capabilities{
		Name: "userspace", Modes: []sa.Mode{sa.Tunnel}, ESN: true, MaxReplayWindow: maxReplayWindow, Offload: "none", Epoch: p.epoch, Traps: true, TFC: true,
		Algorithms: []sa.Algorithm{
			{Type: 1, ID: esp.EncrAESGCM16, KeyBits: []uint16{128, 192, 256}}, {Type: 1, ID: esp.EncrAESCBC, KeyBits: []uint16{128, 192, 256}},
			{Type: 1, ID: esp.EncrChaCha20Poly1305}, {Type: 1, ID: esp.Encr3DES}, {Type: 3, ID: esp.IntegHMACSHA1_96}, {Type: 3, ID: esp.IntegHMACSHA256_128},
			{Type: 3, ID: esp.IntegHMACSHA384_192}, {Type: 3, ID: esp.IntegHMACSHA512_256},
		},
	}
	p.mu.Lock()
	c.Encap = len(p.encap) > 0
	p.mu.Unlock()
	c.Usable, c.Reason = true, fmt.Sprintf("ESP in this process, inner packets by TUN device %s", p.cfg.Device)
	if err := lacking(tunPath); err != nil {
		c.Usable, c.Reason = false, "sa/userspace: "+err.Error()
	}
	return c, nil
}

// AllocateSPI implements sa.Plugin.
func (p *Plugin) AllocateSPI(ctx context.Context, _, _ netip.Addr) (uint32, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.reserved) >= maxReserved {
		clear(p.reserved) // reservations that nobody used; a collision by chance is found by Install
	}
	for {
		var b [4]byte
		_, _ = rand.Read(b[:])
		spi := binary.BigEndian.Uint32(b[:])
		if _, taken := p.table.Load().bySPI[spi]; spi >= minSPI && !taken && !p.reserved[spi] {
			p.reserved[spi] = true
			return spi, nil
		}
	}
}

// FreeSPI implements sa.Plugin.
func (p *Plugin) FreeSPI(_ context.Context, _, _ netip.Addr, spi uint32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.reserved, spi)
	return nil
}

// Update implements sa.Plugin: another incarnation takes the child's place, with its sequence numbers and its window. It becomes
// no newer by that, so that it does not take packets from a younger child with the same selectors.
func (p *Plugin) Update(ctx context.Context, c sa.Child) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := errors.Join(ctx.Err(), p.mayUpdate(c))
	if err == nil {
		err = p.install(c)
	}
	if err != nil {
		return fmt.Errorf("sa/userspace: updating child %s of %s (SPI %08x in, %08x out): %w", c.Name, c.Conn, c.SPIIn, c.SPIOut, err)
	}
	return nil
}

// mayUpdate refuses what would be another child.
func (p *Plugin) mayUpdate(c sa.Child) error {
	old := p.children[c.UID]
	if old == nil || old.SPIIn == c.SPIIn && old.SPIOut == c.SPIOut && old.ESN == c.ESN && old.keys == keysOf(&c) {
		return nil
	}
	return fmt.Errorf("an update changes neither SPIs nor transforms nor keys: %w", sdk.ErrInvalid)
}

// Install implements sa.Plugin.
func (p *Plugin) Install(ctx context.Context, c sa.Child) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := ctx.Err()
	if err == nil {
		err = p.install(c)
	}
	if err != nil {
		return fmt.Errorf("sa/userspace: installing child %s of %s (SPI %08x in, %08x out): %w", c.Name, c.Conn, c.SPIIn, c.SPIOut, err)
	}
	return nil
}

func (p *Plugin) install(c sa.Child) error {
	n, err := newChild(c)
	if err != nil {
		return err
	}
	old := p.children[c.UID]
	if old != nil && old.same(n) {
		return nil
	}
	if p.cfg.Owner != "" && c.Owner != p.cfg.Owner {
		return fmt.Errorf("its owner is %q, this plugin serves %q: %w", c.Owner, p.cfg.Owner, sdk.ErrInvalid)
	}
	if other := p.table.Load().bySPI[c.SPIIn]; other != nil && other.UID != c.UID {
		return fmt.Errorf("the inbound SPI belongs to child %s of %s: %w", other.Name, other.Conn, sdk.ErrInvalid)
	}
	if err := p.start(); err != nil {
		return err
	}
	if n.socket, err = p.plane.socketFor(n, p.encap); err != nil {
		return err
	}
	if n.slot, err = p.state.claim(&c); err != nil {
		return err
	}
	n.in.window = n.slot.replayWindow(c.ESN)
	p.births++
	n.born = p.births
	if old != nil {
		n.adopt(old)
	}
	return p.activate(n, old)
}

// activate puts a child into the data path, and then the routes that lead there. When those fail all is as before.
func (p *Plugin) activate(n, old *child) error {
	n.full = p.plane.fit(n, p.cfg.MTU)
	n.mtu.Store(int32(n.full))
	p.children[n.UID] = n
	p.publish()
	if err := p.plane.route(p.list()); err != nil {
		if delete(p.children, n.UID); old != nil {
			p.children[n.UID] = old
		}
		_ = p.plane.route(p.list())
		p.publish()
		p.release(n, old)
		return err
	}
	delete(p.reserved, n.SPIIn)
	p.release(old, n)
	return nil
}

// cleanUp removes routes of an earlier life whose children did not come back.
func (p *Plugin) cleanUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed && p.plane != nil {
		_ = p.plane.route(p.list())
	}
}

// release gives a child's slot back unless its other incarnation goes on with it.
func (p *Plugin) release(c, other *child) {
	if c != nil && (other == nil || c.slot != other.slot) {
		p.state.retire(c.slot)
	}
}

// publish gives the data path what is installed now, and then what waited for it.
func (p *Plugin) publish() {
	t := newTable(p.children)
	for _, owner := range slices.Sorted(maps.Keys(p.traps)) {
		t.add(p.traps[owner])
	}
	p.table.Store(t)
	p.sendHeld()
}

// list are all that need routes.
func (p *Plugin) list() []*child {
	all := slices.Collect(maps.Values(p.children))
	for _, set := range p.traps {
		for _, t := range set {
			all = append(all, t.pseudo)
		}
	}
	return all
}

// start makes device, sockets and goroutines, once.
func (p *Plugin) start() error {
	if p.closed {
		return fmt.Errorf("the plugin is closed: %w", sdk.ErrUnavailable)
	}
	if err := p.openState(); err != nil {
		return err
	}
	if p.plane != nil {
		return p.plane.alive()
	}
	plane, err := newPlane(p)
	if err != nil {
		return err
	}
	p.plane = plane
	for _, s := range p.encap {
		plane.listen(s)
	}
	return nil
}

func (p *Plugin) openState() (err error) {
	if p.state != nil {
		return nil
	}
	if err := p.cfg.makeStateDir(); err != nil {
		return err
	}
	p.state, err = openState(p.cfg.StateDir)
	return err
}

// Remove implements sa.Plugin: first the routes, then the data path, then the numbers.
func (p *Plugin) Remove(_ context.Context, c sa.Child) (sa.Usage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.children[c.UID]
	if old == nil {
		return sa.Usage{}, p.forget(c.UID)
	}
	if old.Owner != c.Owner {
		return sa.Usage{}, nil
	}
	delete(p.children, c.UID)
	err := p.plane.route(p.list())
	p.publish()
	usage := old.slot.usage()
	p.state.retire(old.slot)
	if err != nil {
		return usage, fmt.Errorf("sa/userspace: removing child %s of %s: %w", c.Name, c.Conn, err)
	}
	return usage, nil
}

// forget drops what an earlier life of the plugin kept of a child.
func (p *Plugin) forget(uid sa.UID) error {
	if p.closed {
		return nil
	}
	if err := p.openState(); err != nil {
		return err
	}
	p.state.retireUID(uid)
	return nil
}

// Usage implements sa.Plugin. Counters survive a restart of the plugin.
func (p *Plugin) Usage(_ context.Context, c sa.Child) (sa.Usage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.children[c.UID]
	if known == nil {
		return sa.Usage{}, fmt.Errorf("sa/userspace: child %s of %s is not installed: %w", c.Name, c.Conn, sdk.ErrInvalid)
	}
	return known.slot.usage(), nil
}

// List implements sa.Plugin; an empty owner means every one. A restarted plugin holds nothing until it is installed again: Epoch
// tells.
func (p *Plugin) List(ctx context.Context, owner string) ([]sa.Child, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []sa.Child
	for _, c := range p.children {
		if owner == "" || c.Owner == owner {
			out = append(out, c.Child)
		}
	}
	return out, nil
}

// Stats returns the counters of what was dropped and why.
func (p *Plugin) Stats() map[string]uint64 { return p.stats.all() }

// Close ends the data path. Without remove the device, its routes and the sequence numbers stay for the next life of the
// plugin, and the device drops inner packets meanwhile; with remove device and routes go, and the numbers are
// given back: right when the daemon ends, or starts with nothing to keep.
func (p *Plugin) Close(remove bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	var err error
	if remove {
		err = p.sweep()
	}
	p.closed = true
	p.table.Store(newTable(nil))
	if p.plane != nil {
		p.plane.close()
	}
	for _, s := range p.encap {
		s.close()
	}
	if p.state != nil {
		p.state.close()
	}
	clear(p.children)
	return err
}

// sweep removes the device with its routes, those of peers, and all slots. Holding the state's lock it is sure that the device is
// in nobody else's use.
func (p *Plugin) sweep() error {
	if err := p.openState(); err != nil {
		return err
	}
	nl, err := netlink.NewHandle()
	if err != nil {
		return fmt.Errorf("sa/userspace: netlink: %w", err)
	}
	defer nl.Close()
	if p.plane != nil {
		nl = p.plane.router.nl
	}
	var gone netlink.LinkNotFoundError
	link, err := nl.LinkByName(p.cfg.Device)
	if err == nil && link.Type() == "tuntap" {
		r, e := newRouter(nl, link)
		if e == nil {
			r.born = time.Time{}
			e = r.apply(nil)
		}
		err = errors.Join(e, nl.LinkDel(link))
	}
	p.state.clear()
	if err != nil && !errors.As(err, &gone) {
		return fmt.Errorf("sa/userspace: removing %s: %w", p.cfg.Device, err)
	}
	return nil
}
