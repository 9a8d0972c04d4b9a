package userspace

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

const (
	// acquirePause is how long a trap is silent after it was told of.
	acquirePause = time.Second
	// heldLife is how long the packet that met a trap waits for the child: what takes longer, its sender has repeated.
	heldLife = 5 * time.Second
)

// trap is a child without SAs: it has routes, and rules that come after all others.
type trap struct {
	sa.Trap
	pseudo *child

	mu   sync.Mutex
	told time.Time
	held []byte // the first packet since then, nil for none
}

func newTrap(s sa.Trap) (*trap, error) {
	c := &child{Child: sa.Child{Conn: s.Conn, Name: s.Name, Local: s.Local, Remote: s.Remote, LocalTS: s.LocalTS, RemoteTS: s.RemoteTS}}
	if s.Action != sa.Acquire {
		return nil, fmt.Errorf("traffic that passes in clear or is dropped; use the xfrm backend: %w", sdk.ErrUnsupported)
	}
	if s.Mode != sa.Tunnel {
		return nil, fmt.Errorf("transport mode; use tunnel mode, or the xfrm backend: %w", sdk.ErrUnsupported)
	}
	var err error
	c.rules, err = makeRules(c)
	t := &trap{Trap: s, pseudo: c}
	c.trap = t
	return t, err
}

// SetTraps implements sa.Trapper.
func (p *Plugin) SetTraps(ctx context.Context, owner string, traps []sa.Trap) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := ctx.Err()
	if err == nil {
		err = p.setTraps(owner, traps)
	}
	if err != nil {
		return fmt.Errorf("sa/userspace: setting %d traps: %w", len(traps), err)
	}
	return nil
}

func (p *Plugin) setTraps(owner string, traps []sa.Trap) error {
	var set []*trap
	for _, s := range traps {
		t, err := newTrap(s)
		if err != nil {
			return fmt.Errorf("child %s of %s: %w", s.Name, s.Conn, err)
		}
		set = append(set, t)
	}
	if len(set) == 0 && p.plane == nil {
		delete(p.traps, owner)
		return nil
	}
	if err := p.start(); err != nil {
		return err
	}
	for _, t := range set {
		t.pseudo.full = p.plane.mtu
	}
	old := p.traps[owner]
	p.traps[owner] = set
	if err := p.plane.route(p.list()); err != nil {
		p.traps[owner] = old
		return errors.Join(err, p.plane.route(p.list()))
	}
	p.publish()
	return nil
}

// caught takes a packet that met the trap: the first one is kept, and told of.
func (t *trap) caught(packet []byte, f *flow, tell func(sa.Event) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if now.Sub(t.told) < acquirePause || !tell(sa.Acquired{Conn: t.Conn, Name: t.Name, Protocol: f.proto,
		Source: netip.AddrPortFrom(f.src, f.srcPort), Destination: netip.AddrPortFrom(f.dst, f.dstPort)}) {
		return
	}
	if t.told = now; t.held == nil {
		t.held = append([]byte(nil), packet...)
	}
}

// release returns the packet that waits, if it is not too old. There is a child now: when that is gone, the trap tells at once.
func (t *trap) release() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	packet, told := t.held, t.told
	t.held, t.told = nil, time.Time{}
	if time.Since(told) > heldLife {
		return nil
	}
	return packet
}

// sendHeld sends the packets again that waited for a child.
func (p *Plugin) sendHeld() {
	table := p.table.Load()
	for _, set := range p.traps {
		for _, t := range set {
			packet := t.peek()
			if packet == nil {
				continue
			}
			if f, _, ok := parseInner(packet); ok && table.find(&f).sends() {
				_ = sendInner(t.release(), &f)
			}
		}
	}
}

func (t *trap) peek() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held
}

// sends tells a child from a trap and from nothing.
func (c *child) sends() bool { return c != nil && c.trap == nil }

// sendInner has the kernel route an inner packet, which leads it into the device once more.
func sendInner(packet []byte, f *flow) error {
	if packet == nil {
		return nil
	}
	family, to := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: as4(f.dst)})
	if f.dst.Is6() {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Addr: f.dst.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW) // the packet has its header
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, packet, 0, to)
}

func as4(a netip.Addr) [4]byte {
	if a.Is4() {
		return a.As4()
	}
	return [4]byte{}
}
