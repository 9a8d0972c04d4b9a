package userspace

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/parley-ike/parley/sdk"
)

// plane is the running data path: device, sockets, routes, goroutines.
type plane struct {
	p      *Plugin
	dev    tun.Device
	router *router
	mtu    int        // of the device
	raw    [2]*socket // IPv4, IPv6; nil until a child needs them
	wait   sync.WaitGroup
	settle *time.Timer // cleans up what an earlier life left
	gone   atomic.Bool // the device was taken away from under us
}

func newPlane(p *Plugin) (*plane, error) {
	nl, err := netlink.NewHandle()
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	pl := &plane{p: p, mtu: defaultMTU}
	if p.cfg.MTU != 0 {
		pl.mtu = p.cfg.MTU
	}
	dev, link, err := openTUN(p.cfg.Device, pl.mtu, nl)
	if err != nil {
		nl.Close()
		return nil, err
	}
	pl.dev = dev
	if pl.router, err = newRouter(nl, link); err != nil {
		_ = dev.Close()
		nl.Close()
		return nil, err
	}
	pl.settle = time.AfterFunc(settleTime+time.Second, p.cleanUp)
	pl.wait.Go(newOutbound(pl).run)
	return pl, nil
}

// alive tells whether the device is still there; when somebody deleted it, only a new life of the plugin makes another.
func (pl *plane) alive() error {
	if pl.gone.Load() {
		return fmt.Errorf("TUN device %s was deleted by somebody; restart the plugin: %w", pl.p.cfg.Device, sdk.ErrUnavailable)
	}
	return nil
}

func (pl *plane) listen(s *socket) { pl.wait.Go(newInboundLoop(pl, s).run) }

// socketFor finds the socket that a child sends through.
func (pl *plane) socketFor(c *child, encap []*socket) (*socket, error) {
	if !c.Encap {
		return pl.rawSocket(c.Local.Is6())
	}
	var found *socket
	for _, s := range encap {
		if s.six != c.Local.Is6() || s.local.Port() != c.LocalPort {
			continue
		}
		if s.local.Addr() == c.Local {
			return s, nil
		}
		if s.local.Addr().IsUnspecified() {
			found = s
		}
	}
	if found == nil {
		return nil, fmt.Errorf("UDP encapsulation from %v: the daemon handed no socket on that address over", netip.AddrPortFrom(c.Local, c.LocalPort))
	}
	return found, nil
}

func (pl *plane) rawSocket(six bool) (*socket, error) {
	i := 0
	if six {
		i = 1
	}
	if pl.raw[i] == nil {
		s, err := openRaw(six)
		if err != nil {
			return nil, err
		}
		pl.raw[i] = s
		pl.listen(s)
	}
	return pl.raw[i], nil
}

// fit returns the largest inner packet for a child, and widens or narrows the device to the largest of all.
func (pl *plane) fit(c *child, configured int) int {
	n := min(c.fit(pl.router.pathMTU(c.Remote)), MaxMTU)
	if configured != 0 {
		return min(n, configured)
	}
	if want := max(n, ipv6MinMTU); want > pl.mtu || len(pl.p.children) == 0 {
		if pl.router.nl.LinkSetMTU(pl.router.link, want) == nil {
			pl.mtu = want
		}
	}
	return n
}

func (pl *plane) route(children []*child) error { return pl.router.apply(children) }

// close ends the goroutines and waits for them. The sockets of the daemon are the plugin's to close, but their readers must end
// first, so their reads are cut short here.
func (pl *plane) close() {
	pl.settle.Stop()
	_ = pl.dev.Close()
	for _, s := range pl.raw {
		if s != nil {
			s.close()
		}
	}
	for _, s := range pl.p.encap {
		s.close()
	}
	pl.wait.Wait()
	pl.router.nl.Close()
}

// Stats counts the packets that did not pass, by reason.
type Stats struct {
	NoPolicy, Trapped, TooBig, Exhausted, SendFailed    atomic.Uint64 // outbound
	Malformed, UnknownSPI, Replayed, Forged             atomic.Uint64 // inbound
	Dummy, NotIP, OutsideSelectors, Congestion, Refused atomic.Uint64
}

func (s *Stats) all() map[string]uint64 {
	return map[string]uint64{
		"no_policy": s.NoPolicy.Load(), "trapped": s.Trapped.Load(), "too_big": s.TooBig.Load(), "exhausted": s.Exhausted.Load(), "send_failed": s.SendFailed.Load(),
		"malformed": s.Malformed.Load(), "unknown_spi": s.UnknownSPI.Load(), "replayed": s.Replayed.Load(), "forged": s.Forged.Load(),
		"dummy": s.Dummy.Load(), "not_ip": s.NotIP.Load(), "outside_selectors": s.OutsideSelectors.Load(),
		"congestion": s.Congestion.Load(), "refused_by_device": s.Refused.Load(),
	}
}
