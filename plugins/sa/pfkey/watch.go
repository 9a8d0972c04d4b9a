package pfkey

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/plugins/sa/pfkey/pfkeyv2"
	"github.com/parley-ike/parley/sdk/sa"
)

// resyncEvery is how often the kernel is compared with the journal: Linux does not say when it dropped a message.
const resyncEvery = 30 * time.Second

// Watch implements sa.Watcher.
func (p *Plugin) Watch(ctx context.Context, tell func(sa.Event)) error {
	if p.listener != nil {
		_ = p.listener.SetReadDeadline(time.Time{})
		go p.read(ctx)
		go p.compare(ctx)
		defer context.AfterFunc(ctx, func() { _ = p.listener.SetReadDeadline(time.Unix(1, 0)) })()
	}
	return p.Feed.Watch(ctx, tell)
}

func (p *Plugin) compare(ctx context.Context) {
	t := time.NewTicker(resyncEvery)
	defer t.Stop()
	for p.Resync(); ; p.Resync() {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// read handles what the kernel tells until ctx ends.
func (p *Plugin) read(ctx context.Context) {
	buf := make([]byte, messageBuffer)
	for ctx.Err() == nil {
		n, err := p.listener.Read(buf)
		switch {
		case errors.Is(err, unix.ENOBUFS): // other kernels say so
			p.ResyncSoon()
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, os.ErrClosed):
			return
		case err != nil:
			p.ResyncSoon()
			return
		default:
			m, err := p.driver.dialect.Parse(buf[:n])
			clear(buf[:n]) // keys
			if err == nil {
				wipe(m)
				p.heard(m)
			}
		}
	}
}

// heard handles one message of the kernel.
func (p *Plugin) heard(m *pfkeyv2.Message) {
	switch {
	case m.Errno != 0:
	case m.Type == pfkeyv2.Acquire && m.Policy != nil:
		if t, ok := p.trapOf(m.Policy.ID); ok { // the message does not say which packet it was
			p.Acquired(t, t.Proto, netip.AddrPort{}, netip.AddrPort{})
		}
	case m.Type == pfkeyv2.Flush:
		p.Resync()
	case m.SA == nil || m.Dst == nil || !m.ESP:
	case m.Type == pfkeyv2.Expire:
		p.Expired(placeOf(m), m.Hard != nil, stateOf(m))
	case m.Type == pfkeyv2.Delete && !p.driver.asked(m):
		p.Deleted(placeOf(m))
	case m.Type == pfkeyv2.NewMapping && m.Src != nil && m.NAT != nil: // from Src to Dst, of the peer both
		if at, ok := p.InboundFrom(m.Src.Prefix.Addr(), m.SA.SPI); ok {
			p.Mapped(at, netip.AddrPortFrom(m.Dst.Prefix.Addr(), m.NAT.DstPort))
		}
	}
}

// trapOf finds a policy of ours by the number that the kernel gave it.
func (p *Plugin) trapOf(id uint32) (t kernel.Traffic, ok bool) {
	p.Locked(func() {
		for x, n := range p.driver.policies {
			if n == id && x.dir == kernel.DirOut {
				t, ok = x.Traffic, true
			}
		}
	})
	return t, ok
}
