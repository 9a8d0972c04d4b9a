package xfrm

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

// Reqids of ours: ReqIDBase to ReqIDBase+reqIDMask.
const (
	ReqIDBase = 0x50a00000
	reqIDBits = 20
	reqIDMask = 1<<reqIDBits - 1
)

const (
	minSPI          = 256 // RFC 4303 section 2.1
	defaultStateDir = "/run/parley/sa"
)

// Config is the plugin's configuration.
type Config struct {
	StateDir string `json:"state_dir"` // folder of the journal; it is made 0700
	// Interface is the one that is given inner addresses which a peer assigned; "": DefaultInterface.
	Interface string `json:"interface"`
	// RouteTable is the routing table for routes that name a source address; 0: DefaultRouteTable, -1: no routes are made.
	RouteTable int    `json:"route_table"`
	Owner      string `json:"owner"` // the daemon whose children these are; Install refuses others when it is set
}

//go:embed schema.json
var schema []byte

// Schema returns the JSON Schema of Config.
func Schema() json.RawMessage { return append(json.RawMessage(nil), schema...) }

// Sockets are what the daemon hands over.
type Sockets struct {
	// Encap are UDP sockets on the daemon's port. From the first child that needs it on, the kernel takes ESP packets out of
	// what they receive (RFC 3948); until then another backend may use them. They must stay open as long as children use them,
	// which the plugin sees to by duplicates.
	Encap []*os.File
}

// Plugin is the backend. It implements sa.Plugin and is safe for concurrent use. Everything happens in the network namespace of
// the goroutine that called New.
type Plugin struct {
	sa.Feed   // what the kernel tells
	cfg       Config
	encap     []int
	listeners []*os.File // of the kernel's events
	resyncing atomic.Bool
	mu        sync.Mutex // guards what follows
	closed    bool
	links     *netlink.Handle
	noLinks   error
	kernel    *kernel
	opening   error
	journal   *journal
}

var (
	_ sa.Plugin  = (*Plugin)(nil)
	_ sa.Watcher = (*Plugin)(nil)
	_ sa.Trapper = (*Plugin)(nil)
)

// New checks the configuration and takes the sockets over. A kernel without XFRM is told by Probe.
func New(cfg Config, sockets Sockets) (*Plugin, error) {
	if cfg.StateDir == "" {
		cfg.StateDir = defaultStateDir
	}
	if cfg.Interface == "" {
		cfg.Interface = DefaultInterface
	}
	if cfg.RouteTable == 0 {
		cfg.RouteTable = DefaultRouteTable
	}
	p := &Plugin{cfg: cfg}
	for _, f := range sockets.Encap {
		if err := p.AddEncap(f); err != nil {
			p.Close()
			return nil, err
		}
	}
	p.kernel, p.opening = openKernel()
	if p.opening == nil {
		p.listeners, p.opening = listen()
	}
	p.links, p.noLinks = netlink.NewHandle(unix.NETLINK_ROUTE)
	return p, nil
}

// AddEncap takes one more UDP socket of the daemon over.
func (p *Plugin) AddEncap(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("sa/xfrm: socket for UDP encapsulation: %w", err)
	}
	var own int
	var inner error
	err = conn.Control(func(fd uintptr) { own, inner = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3) })
	if err = errors.Join(err, inner); err != nil {
		return fmt.Errorf("sa/xfrm: socket for UDP encapsulation: %w", err)
	}
	p.encap = append(p.encap, own)
	return nil
}

// encapsulate has the kernel take ESP packets out of the UDP sockets.
func (p *Plugin) encapsulate() error {
	for _, fd := range p.encap {
		if err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_ENCAP, encapESPInUDP); err != nil {
			return fmt.Errorf("UDP encapsulation on the daemon's socket: %w; the kernel may lack ESP (CONFIG_INET_ESP)", err)
		}
	}
	return nil
}

// Close ends the plugin; what the kernel holds stays.
func (p *Plugin) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, fd := range p.encap {
		_ = unix.Close(fd)
	}
	p.encap = nil
	for _, l := range p.listeners {
		_ = l.Close()
	}
	if p.journal != nil {
		p.journal.close()
	}
	if p.links != nil {
		p.links.Close()
	}
	if p.kernel != nil {
		p.kernel.close()
	}
}

// reqID marks the kernel's entries of a child as ours. Children that follow one another share it, since they share policies.
func reqID(c *sa.Child) uint32 {
	id := c.ReqID
	if id == 0 {
		h := fnv.New32a()
		fmt.Fprintf(h, "%s\x00%s", c.Conn, c.Name)
		id = h.Sum32()
	}
	return ReqIDBase | max((id^id>>reqIDBits)&reqIDMask, 1) // the first one is that of reserved SPIs
}

func ours(reqid uint32) bool { return reqid&^reqIDMask == ReqIDBase }

func (p *Plugin) ready() error {
	if p.opening != nil {
		return fmt.Errorf("netlink to XFRM: %w: %w", meaning(p.opening), sdk.ErrUnsupported)
	}
	if p.journal != nil {
		return nil
	}
	var err error
	p.journal, err = openJournal(p.cfg.StateDir)
	return err
}

// AllocateSPI implements sa.Plugin.
func (p *Plugin) AllocateSPI(ctx context.Context, local, remote netip.Addr) (uint32, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.ready(); err != nil {
		return 0, fmt.Errorf("sa/xfrm: allocating an SPI: %w", err)
	}
	spi, err := p.kernel.allocate(local, remote)
	if err != nil {
		return 0, fmt.Errorf("sa/xfrm: allocating an SPI: %w", meaning(err))
	}
	return spi, nil
}

// FreeSPI implements sa.Plugin.
func (p *Plugin) FreeSPI(_ context.Context, local, _ netip.Addr, spi uint32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.ready()
	if err == nil {
		err = p.kernel.free(local, spi)
	}
	if err != nil {
		return fmt.Errorf("sa/xfrm: giving SPI %08x back: %w", spi, meaning(err))
	}
	return nil
}

// Usage implements sa.Plugin.
func (p *Plugin) Usage(_ context.Context, c sa.Child) (sa.Usage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.ready(); err != nil {
		return sa.Usage{}, fmt.Errorf("sa/xfrm: usage: %w", err)
	}
	e, ok := p.journal.entries[c.UID]
	if !ok {
		return sa.Usage{}, fmt.Errorf("sa/xfrm: child %s of %s is not installed: %w", c.Name, c.Conn, sdk.ErrInvalid)
	}
	u, err := p.usage(e)
	if err != nil {
		return u, fmt.Errorf("sa/xfrm: usage of child %s of %s: %w", c.Name, c.Conn, err)
	}
	return u, nil
}

// usage counts what a child carried.
type usage struct{ sa.Usage }

func (u *usage) add(m *nl.XfrmUsersaInfo, out bool) {
	if out {
		u.BytesOut, u.PacketsOut = m.Curlft.Bytes, m.Curlft.Packets
		return
	}
	u.BytesIn, u.PacketsIn = m.Curlft.Bytes, m.Curlft.Packets
}

// usage returns what a child has carried, and an error when an SA of it is lost.
func (p *Plugin) usage(e *entry) (sa.Usage, error) {
	total, lost := e.last, false
	for _, h := range halves(&e.Child) {
		have, err := p.kernel.getSA(h)
		if err != nil {
			return total.Usage, meaning(err)
		}
		if lost = lost || have == nil; have != nil {
			total.add(have.XfrmUsersaInfo, h.out)
		}
	}
	if lost && e.last == (usage{}) {
		return total.Usage, fmt.Errorf("the kernel lost an SA: %w", sdk.ErrUnavailable)
	}
	return total.Usage, nil
}

// List implements sa.Plugin: the children that the kernel has, without keys; an empty owner means every one. What it had and
// lost is listed too, so that nobody installs it again: Watch tells of it.
func (p *Plugin) List(ctx context.Context, owner string) ([]sa.Child, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.ready(); err != nil {
		return nil, fmt.Errorf("sa/xfrm: list: %w", err)
	}
	var out []sa.Child
	for _, e := range p.journal.entries {
		if (owner == "" || e.Child.Owner == owner) && (e.Live || p.holds(e)) {
			out = append(out, e.Child)
		}
	}
	return out, nil
}

func init() { nl.EnableErrorMessageReporting = true } // errors then carry the kernel's own text
