package kernel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

const (
	minSPI          = 256 // RFC 4303 section 2.1
	encapESPInUDP   = 2   // UDP_ENCAP_ESPINUDP (RFC 3948)
	defaultStateDir = "/run/parley/sa"
)

// Config is the configuration of a backend.
type Config struct {
	StateDir string `json:"state_dir"` // folder of the journal; it is made 0700
	// Interface is the one that is given inner addresses which a peer assigned; "": DefaultInterface.
	Interface string `json:"interface"`
	// RouteTable is the routing table for routes that name a source address; 0: DefaultRouteTable, -1: no routes are made.
	RouteTable int    `json:"route_table"`
	Owner      string `json:"owner"` // the daemon whose children these are; Install refuses others when it is set
}

// Sockets are what the daemon hands over.
type Sockets struct {
	// Encap are UDP sockets on the daemon's port. From the first child that needs it on, the kernel takes ESP packets out of
	// what they receive (RFC 3948); until then another backend may use them. They must stay open as long as children use them,
	// which the plugin sees to by duplicates.
	Encap []*os.File
}

// Backend implements sa.Plugin and sa.Trapper but for Probe, and the part of sa.Watcher that does not read from the kernel.
// Everything happens in the network namespace of the goroutine that called New.
type Backend struct {
	sa.Feed   // what the kernel tells
	name      string
	cfg       Config
	encap     []int
	resyncing atomic.Bool
	mu        sync.Mutex // guards what follows
	closed    bool
	links     *netlink.Handle
	noLinks   error
	driver    Driver
	opening   error // why there is no driver
	journal   *journal
}

var _ sa.Trapper = (*Backend)(nil)

// New checks the configuration and takes the sockets over. The name, such as "xfrm", is that of errors and of the journal. A driver
// that could not be opened, for the reason opening, makes every call fail with sdk.ErrUnsupported.
func New(name string, cfg Config, sockets Sockets, driver Driver, opening error) (*Backend, error) {
	if cfg.StateDir == "" {
		cfg.StateDir = defaultStateDir
	}
	if cfg.Interface == "" {
		cfg.Interface = DefaultInterface
	}
	if cfg.RouteTable == 0 {
		cfg.RouteTable = DefaultRouteTable
	}
	b := &Backend{name: "sa/" + name, cfg: cfg, driver: driver, opening: opening}
	for _, f := range sockets.Encap {
		if err := b.AddEncap(f); err != nil {
			b.Close()
			return nil, err
		}
	}
	b.links, b.noLinks = netlink.NewHandle(unix.NETLINK_ROUTE)
	return b, nil
}

// AddEncap takes one more UDP socket of the daemon over.
func (b *Backend) AddEncap(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("%s: socket for UDP encapsulation: %w", b.name, err)
	}
	var own int
	var inner error
	err = conn.Control(func(fd uintptr) { own, inner = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3) })
	if err = errors.Join(err, inner); err != nil {
		return fmt.Errorf("%s: socket for UDP encapsulation: %w", b.name, err)
	}
	b.encap = append(b.encap, own)
	return nil
}

// CanEncap tells whether there is a socket for ESP in UDP.
func (b *Backend) CanEncap() bool { return len(b.encap) > 0 }

// encapsulate has the kernel take ESP packets out of the UDP sockets.
func (b *Backend) encapsulate() error {
	for _, fd := range b.encap {
		if err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_ENCAP, encapESPInUDP); err != nil {
			return fmt.Errorf("UDP encapsulation on the daemon's socket: %w; the kernel may lack ESP (CONFIG_INET_ESP)", err)
		}
	}
	return nil
}

// Close ends the backend, but not the driver; what the kernel holds stays.
func (b *Backend) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, fd := range b.encap {
		_ = unix.Close(fd)
	}
	b.encap = nil
	if b.journal != nil {
		b.journal.close()
	}
	if b.links != nil {
		b.links.Close()
	}
}

// Locked runs f while no other call uses the driver.
func (b *Backend) Locked(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *Backend) ready() error {
	if b.opening != nil {
		return fmt.Errorf("the kernel's IPsec: %w: %w", b.opening, sdk.ErrUnsupported)
	}
	if b.journal != nil {
		return nil
	}
	var err error
	b.journal, err = openJournal(b.cfg.StateDir, b.name[len("sa/"):])
	return err
}

// AllocateSPI implements sa.Plugin.
func (b *Backend) AllocateSPI(ctx context.Context, local, remote netip.Addr) (uint32, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.ready(); err != nil {
		return 0, fmt.Errorf("%s: allocating an SPI: %w", b.name, err)
	}
	spi, err := b.driver.Reserve(local, remote)
	if err != nil {
		return 0, fmt.Errorf("%s: allocating an SPI: %w", b.name, b.driver.Meaning(err))
	}
	return spi, nil
}

// FreeSPI implements sa.Plugin.
func (b *Backend) FreeSPI(_ context.Context, local, remote netip.Addr, spi uint32) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.ready()
	if err == nil {
		if err = b.driver.Free(local, remote, spi); err != nil {
			err = b.driver.Meaning(err)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: giving SPI %08x back: %w", b.name, spi, err)
	}
	return nil
}

// Usage implements sa.Plugin.
func (b *Backend) Usage(_ context.Context, c sa.Child) (sa.Usage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.ready(); err != nil {
		return sa.Usage{}, fmt.Errorf("%s: usage: %w", b.name, err)
	}
	e, ok := b.journal.entries[c.UID]
	if !ok {
		return sa.Usage{}, fmt.Errorf("%s: child %s of %s is not installed: %w", b.name, c.Name, c.Conn, sdk.ErrInvalid)
	}
	u, err := b.usage(e)
	if err != nil {
		return u, fmt.Errorf("%s: usage of child %s of %s: %w", b.name, c.Name, c.Conn, err)
	}
	return u, nil
}

// usage counts what a child carried.
type usage struct{ sa.Usage }

func (u *usage) add(m *State, out bool) {
	if out {
		u.BytesOut, u.PacketsOut = m.Bytes, m.Packets
		return
	}
	u.BytesIn, u.PacketsIn = m.Bytes, m.Packets
}

// usage returns what a child has carried, and an error when an SA of it is lost.
func (b *Backend) usage(e *entry) (sa.Usage, error) {
	total, lost, c := e.last, false, e.kernel()
	for _, h := range halves(c) {
		have, err := b.driver.GetSA(c, h)
		if err != nil {
			return total.Usage, b.driver.Meaning(err)
		}
		if lost = lost || have == nil; have != nil {
			total.add(have, h.Out)
		}
	}
	if lost && e.last == (usage{}) {
		return total.Usage, fmt.Errorf("the kernel lost an SA: %w", sdk.ErrUnavailable)
	}
	return total.Usage, nil
}

// List implements sa.Plugin: the children that the kernel has, without keys; an empty owner means every one. What it had and
// lost is listed too, so that nobody installs it again: Watch tells of it.
func (b *Backend) List(ctx context.Context, owner string) ([]sa.Child, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.ready(); err != nil {
		return nil, fmt.Errorf("%s: list: %w", b.name, err)
	}
	var out []sa.Child
	for _, e := range b.journal.entries {
		if (owner == "" || e.Child.Owner == owner) && (e.Live || b.holds(e)) {
			out = append(out, e.Child)
		}
	}
	return out, nil
}
