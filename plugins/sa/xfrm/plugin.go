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
	"reflect"
	"sync"

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
	Owner    string `json:"owner"`     // the daemon whose children these are; Install refuses others when it is set
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
	cfg     Config
	encap   []int
	mu      sync.Mutex // guards what follows
	kernel  *kernel
	opening error
	journal *journal
}

var _ sa.Plugin = (*Plugin)(nil)

// New checks the configuration and takes the sockets over. A kernel without XFRM is told by Probe.
func New(cfg Config, sockets Sockets) (*Plugin, error) {
	if cfg.StateDir == "" {
		cfg.StateDir = defaultStateDir
	}
	p := &Plugin{cfg: cfg}
	for _, f := range sockets.Encap {
		if err := p.AddEncap(f); err != nil {
			p.Close()
			return nil, err
		}
	}
	p.kernel, p.opening = openKernel()
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
	for _, fd := range p.encap {
		_ = unix.Close(fd)
	}
	p.encap = nil
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
	return ReqIDBase | (id^id>>reqIDBits)&reqIDMask
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
func (p *Plugin) AllocateSPI(_ context.Context, local, remote netip.Addr) (uint32, error) {
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

// Install implements sa.Plugin.
func (p *Plugin) Install(_ context.Context, c sa.Child) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.install(&c); err != nil {
		return fmt.Errorf("sa/xfrm: installing child %s of %s (SPI %08x in, %08x out): %w", c.Name, c.Conn, c.SPIIn, c.SPIOut, err)
	}
	return nil
}

func (p *Plugin) install(c *sa.Child) error {
	if err := p.check(c); err != nil {
		return err
	}
	selectors, err := policies(c)
	if err != nil {
		return err
	}
	if err := p.ready(); err != nil {
		return err
	}
	if c.Encap {
		if err := p.encapsulate(); err != nil {
			return err
		}
	}
	e := newEntry(*c)
	old, known := p.journal.entries[c.UID]
	if known && reflect.DeepEqual(old, e) && p.holds(c) {
		return p.point(c, selectors, dirIn, dirFwd, dirOut) // the same again; its policies are made sure of
	}
	if known && !reflect.DeepEqual(old, e) {
		if err := p.kernel.dropSAs(&old.Child); err != nil { // its policies stay: they block until the new SAs are there
			return err
		}
	}
	if err := p.journal.put(e); err != nil {
		return err
	}
	if err := p.bring(c, selectors); err != nil {
		return errors.Join(err, p.take(e))
	}
	if known {
		return p.cleanPolicies(&old.Child)
	}
	return nil
}

// bring makes everything in the order that leaks nothing.
func (p *Plugin) bring(c *sa.Child, selectors []traffic) error {
	if err := p.kernel.putSA(c, inbound(c)); err != nil {
		return fmt.Errorf("inbound SA: %w", meaning(err))
	}
	if err := p.point(c, selectors, dirIn, dirFwd); err != nil {
		return err
	}
	if err := p.kernel.putSA(c, outbound(c)); err != nil {
		return fmt.Errorf("outbound SA: %w", meaning(err))
	}
	return p.point(c, selectors, dirOut)
}

// point makes policies of these directions lead to the child.
func (p *Plugin) point(c *sa.Child, selectors []traffic, dirs ...uint8) error {
	for _, dir := range dirs {
		for _, t := range selectors {
			if err := p.kernel.putPolicy(c, t, dir); err != nil {
				return fmt.Errorf("policy %v to %v: %w", t.local, t.remote, meaning(err))
			}
		}
	}
	return nil
}

// holds tells whether the kernel still has both SAs.
func (p *Plugin) holds(c *sa.Child) bool {
	for _, h := range []half{inbound(c), outbound(c)} {
		if m, ok, err := p.kernel.getSA(h); err != nil || !ok || m.Reqid != reqID(c) {
			return false
		}
	}
	return true
}

func (p *Plugin) check(c *sa.Child) error {
	switch {
	case p.cfg.Owner != "" && c.Owner != p.cfg.Owner:
		return fmt.Errorf("its owner is %q, this plugin serves %q: %w", c.Owner, p.cfg.Owner, sdk.ErrInvalid)
	case c.SPIIn < minSPI || c.SPIOut < minSPI:
		return fmt.Errorf("an SPI below 256 (RFC 4303 section 2.1): %w", sdk.ErrInvalid)
	case !c.Local.IsValid() || c.Local.BitLen() != c.Remote.BitLen():
		return fmt.Errorf("outer addresses %v and %v are not two of one family: %w", c.Local, c.Remote, sdk.ErrInvalid)
	case c.ReplayWindow > maxReplayWindow:
		return fmt.Errorf("replay window of %d packets; at most %d: %w", c.ReplayWindow, maxReplayWindow, sdk.ErrUnsupported)
	case c.Encap && (c.LocalPort == 0 || c.RemotePort == 0):
		return fmt.Errorf("UDP encapsulation without ports: %w", sdk.ErrInvalid)
	}
	_, err := transforms(c, c.EncrOut, c.IntegOut)
	return err
}

// Remove implements sa.Plugin.
func (p *Plugin) Remove(_ context.Context, c sa.Child) (sa.Usage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.ready(); err != nil {
		return sa.Usage{}, fmt.Errorf("sa/xfrm: removing child %s of %s: %w", c.Name, c.Conn, err)
	}
	e, ok := p.journal.entries[c.UID]
	if !ok {
		return sa.Usage{}, nil
	}
	usage, _ := p.kernel.usage(&e.Child)
	if err := p.take(e); err != nil {
		return usage, fmt.Errorf("sa/xfrm: removing child %s of %s: %w", c.Name, c.Conn, err)
	}
	return usage, nil
}

// take undoes bring in the other order. Policies that another child shares are pointed to it.
func (p *Plugin) take(e entry) error {
	rest := p.journal.entries
	delete(rest, e.Child.UID)
	err := p.cleanPolicies(&e.Child)
	if err == nil {
		err = p.kernel.dropSAs(&e.Child)
	}
	if err != nil {
		rest[e.Child.UID] = e // for another try
		return err
	}
	return p.journal.save()
}

// cleanPolicies removes the policies of a child that no child in the journal needs.
func (p *Plugin) cleanPolicies(gone *sa.Child) error {
	selectors, err := policies(gone)
	if err != nil {
		return nil // it never had any
	}
	needed := map[traffic]*sa.Child{}
	for _, e := range p.journal.entries {
		others, _ := policies(&e.Child)
		for _, t := range others {
			needed[t] = &e.Child
		}
	}
	for _, dir := range []uint8{dirOut, dirFwd, dirIn} {
		for _, t := range selectors {
			var err error
			if other := needed[t]; other != nil {
				err = p.kernel.putPolicy(other, t, dir)
			} else {
				err = p.kernel.dropPolicy(t, dir)
			}
			if err != nil {
				return fmt.Errorf("policy %v to %v: %w", t.local, t.remote, meaning(err))
			}
		}
	}
	return nil
}

func (k *kernel) dropSAs(c *sa.Child) error {
	for _, h := range []half{outbound(c), inbound(c)} {
		if err := k.dropSA(h); err != nil {
			return fmt.Errorf("SA %08x: %w", h.spi, meaning(err))
		}
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
	u, err := p.kernel.usage(&e.Child)
	if err != nil {
		return u, fmt.Errorf("sa/xfrm: usage of child %s of %s: %w", c.Name, c.Conn, meaning(err))
	}
	return u, nil
}

func (k *kernel) usage(c *sa.Child) (u sa.Usage, err error) {
	in, okIn, err := k.getSA(inbound(c))
	if err != nil {
		return u, err
	}
	out, okOut, err := k.getSA(outbound(c))
	if err != nil {
		return u, err
	}
	if !okIn || !okOut {
		return u, fmt.Errorf("the kernel lost an SA: %w", sdk.ErrUnavailable)
	}
	return sa.Usage{BytesIn: in.Curlft.Bytes, BytesOut: out.Curlft.Bytes, PacketsIn: in.Curlft.Packets, PacketsOut: out.Curlft.Packets}, nil
}

// List implements sa.Plugin: the children in the journal whose SAs the kernel has, without keys; an empty owner means every one.
func (p *Plugin) List(_ context.Context, owner string) ([]sa.Child, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.ready(); err != nil {
		return nil, fmt.Errorf("sa/xfrm: list: %w", err)
	}
	var out []sa.Child
	for _, e := range p.journal.entries {
		if (owner == "" || e.Child.Owner == owner) && p.holds(&e.Child) {
			out = append(out, e.Child)
		}
	}
	return out, nil
}

func init() { nl.EnableErrorMessageReporting = true } // errors then carry the kernel's own text
