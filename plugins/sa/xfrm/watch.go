package xfrm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/sdk/sa"
)

// Multicast groups of XFRM (linux/xfrm.h, enum xfrm_nlgroups). SAs that come and go have a socket of their own: thousands of them
// must not push what matters out of its buffer.
const (
	groupAcquire = 1
	groupExpire  = 2
	groupSA      = 3
	groupMapping = 8
)

// Sizes of messages and of the buffer for them, in octets.
const (
	sizeofUserExpire  = nl.SizeofXfrmUsersaInfo + 8
	sizeofUserMapping = 64
	sizeofUsersaID    = 24
	listenBuffer      = 8 << 20 // some ten thousand messages
	messageBuffer     = 1 << 16
)

// listen opens the sockets on which the kernel tells events.
func listen() (files []*os.File, err error) {
	for _, groups := range [][]uint{{groupAcquire, groupExpire, groupMapping}, {groupSA}} {
		f, err := subscribe(groups)
		if err != nil {
			for _, f := range files {
				_ = f.Close()
			}
			return nil, fmt.Errorf("events of the kernel: %w", err)
		}
		files = append(files, f)
	}
	return files, nil
}

func subscribe(groups []uint) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_XFRM)
	if err != nil {
		return nil, err
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, listenBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, listenBuffer)
	}
	at := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	for _, g := range groups {
		at.Groups |= 1 << (g - 1)
	}
	if err := unix.Bind(fd, at); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "xfrm-events"), nil
}

// Watch implements sa.Watcher.
func (p *Plugin) Watch(ctx context.Context, tell func(sa.Event)) error {
	for _, f := range p.listeners {
		_ = f.SetReadDeadline(time.Time{})
		go p.read(ctx, f)
		defer context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })()
	}
	go p.Resync()
	return p.Feed.Watch(ctx, tell)
}

// read handles what the kernel tells until ctx ends. When it tells more than the buffer holds (ENOBUFS), what was missed is found
// by comparing.
func (p *Plugin) read(ctx context.Context, f *os.File) {
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, messageBuffer)
	for ctx.Err() == nil {
		n, from, errno := receive(conn, buf)
		switch {
		case errors.Is(errno, unix.ENOBUFS):
			p.ResyncSoon()
		case errno != nil:
			return // closed, or the end of the watch
		case from == 0: // the kernel, and nobody else
			msgs, err := syscall.ParseNetlinkMessage(buf[:n])
			for _, m := range msgs {
				p.heard(m)
			}
			if err != nil {
				p.ResyncSoon()
			}
		}
	}
}

func receive(conn syscall.RawConn, buf []byte) (n int, from uint32, err error) {
	var inner error
	err = conn.Read(func(fd uintptr) bool {
		var at unix.Sockaddr
		n, at, inner = unix.Recvfrom(int(fd), buf, 0)
		if netlink, ok := at.(*unix.SockaddrNetlink); ok {
			from = netlink.Pid
		}
		return !errors.Is(inner, unix.EAGAIN)
	})
	return n, from, errors.Join(err, inner)
}

// heard handles one message of the kernel.
func (p *Plugin) heard(m syscall.NetlinkMessage) {
	switch nl.XfrmMsgType(m.Header.Type) {
	case nl.XFRM_MSG_ACQUIRE:
		p.acquired(m.Data)
	case nl.XFRM_MSG_EXPIRE:
		p.expired(m.Data)
	case nl.XFRM_MSG_MAPPING:
		p.mapped(m.Data)
	case nl.XFRM_MSG_DELSA:
		if m.Header.Pid != p.kernel.pid {
			p.deleted(m.Data)
		}
	case nl.XFRM_MSG_FLUSHSA:
		p.Resync()
	}
}

// expired handles struct xfrm_user_expire.
func (p *Plugin) expired(b []byte) {
	if len(b) < sizeofUserExpire {
		return
	}
	m := nl.DeserializeXfrmUsersaInfo(b)
	if m.Id.Proto == unix.IPPROTO_ESP {
		p.Expired(placeOf(m.Id.Daddr, m.Family, m.Id.Spi), b[nl.SizeofXfrmUsersaInfo] != 0, (&state{XfrmUsersaInfo: m}).plain())
	}
}

// mapped handles struct xfrm_user_mapping: authentic ESP in UDP came from elsewhere.
func (p *Plugin) mapped(b []byte) {
	if len(b) < sizeofUserMapping {
		return
	}
	id := nl.DeserializeXfrmUsersaId(b)
	var from nl.XfrmAddress
	copy(from[:], b[sizeofUsersaID+4+16:])
	p.Mapped(placeOf(id.Daddr, id.Family, id.Spi), netip.AddrPortFrom(addressOf(from, id.Family), binary.BigEndian.Uint16(b[62:])))
}

// deleted handles struct xfrm_usersa_id: another program deleted an SA.
func (p *Plugin) deleted(b []byte) {
	if len(b) < sizeofUsersaID {
		return
	}
	id := nl.DeserializeXfrmUsersaId(b)
	p.Deleted(placeOf(id.Daddr, id.Family, id.Spi))
}

func placeOf(dst nl.XfrmAddress, family uint16, spi uint32) kernel.Place {
	return kernel.Place{Dst: addressOf(dst, family), SPI: nl.Swap32(spi)}
}

func addressOf(a nl.XfrmAddress, family uint16) netip.Addr {
	if family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(a[:4]))
	}
	return netip.AddrFrom16(a)
}
