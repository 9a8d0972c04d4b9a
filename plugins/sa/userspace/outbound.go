package userspace

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/parley-ike/parley/plugins/sa/userspace/esp"
)

const (
	// tooBigPerSecond bounds the ICMP errors that we send (RFC 4443 section 2.4 asks for a bound).
	tooBigPerSecond = 100
	// pmtuLife is how long a smaller path MTU is believed (RFC 8201 section 4: about ten minutes).
	pmtuLife = 10 * time.Minute
)

// outbound takes inner packets from the device, seals them and sends them. It is one goroutine.
type outbound struct {
	pl     *plane
	bufs   [][]byte
	sizes  []int
	sealed [][]byte // waiting to be sent as one
	run    func()

	// What all of sealed have in common.
	child *child
	tos   uint8
	df    bool

	// The last packet's flow, the view and the child found: segments of one read are mostly of one flow.
	table *table
	last  flow
	found *child

	icmp   []byte
	second int64
	icmps  int
}

func newOutbound(pl *plane) *outbound {
	const size = esp.MaxHeadroom + MaxMTU + esp.MaxTailroom
	o := &outbound{pl: pl, sizes: make([]int, batchSize), sealed: make([][]byte, 0, batchSize), icmp: make([]byte, offset+ipv6MinMTU)}
	memory := make([]byte, batchSize*size)
	for i := range batchSize {
		o.bufs = append(o.bufs, memory[i*size:(i+1)*size:(i+1)*size])
	}
	o.run = o.loop
	return o
}

func (o *outbound) loop() {
	defer o.pl.gone.Store(true)
	for {
		n, err := o.pl.dev.Read(o.bufs, o.sizes, esp.MaxHeadroom)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil && !errors.Is(err, tun.ErrTooManySegments) {
			o.pl.p.stats.Malformed.Add(1)
			if permanent(err) {
				return
			}
			continue
		}
		for i := range n {
			o.packet(o.bufs[i], o.sizes[i])
		}
		o.flush()
	}
}

// permanent tells an error that every further read will give; without the device there is nothing to do.
func permanent(err error) bool {
	return errors.Is(err, unix.EBADF) || errors.Is(err, unix.EBADFD) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EIO)
}

// packet seals one inner packet of n octets behind the headroom of buf.
func (o *outbound) packet(buf []byte, n int) {
	stats := &o.pl.p.stats
	inner := buf[esp.MaxHeadroom:][:n]
	f, length, ok := parseInner(inner)
	if !ok || length != n {
		stats.Malformed.Add(1)
		return
	}
	c := o.lookup(&f)
	switch {
	case c == nil:
		stats.NoPolicy.Add(1)
		return
	case c.trap != nil:
		stats.Trapped.Add(1)
		c.trap.caught(inner, &f, o.pl.p.Tell)
		return
	case f.df && n > c.limit(&f):
		o.refuse(inner, &f, c)
		return
	}
	df := f.df && n <= int(c.mtu.Load()) // what IPv6 may send in any case is fragmented outside if it must
	if c != o.child || f.tos != o.tos || df != o.df {
		o.flush()
		o.child, o.tos, o.df = c, f.tos, df
	}
	seq, ok := c.number(o.pl.p.Tell)
	if !ok || !c.spend(&c.slot.bytesOut, &c.slot.packetsOut, n, o.pl.p.Tell) {
		stats.Exhausted.Add(1)
		return
	}
	next := uint8(protoIPv4)
	if f.src.Is6() {
		next = protoIPv6
	}
	o.sealed = append(o.sealed, c.out.Seal(buf, esp.MaxHeadroom, c.pad(buf[esp.MaxHeadroom:], n), seq, next))
}

// pad lengthens an inner packet of n octets to what the child's traffic flow confidentiality asks for, as far as the path allows,
// and returns its length (RFC 4303 section 2.7: zeros behind a packet that tells its own length).
func (c *child) pad(buf []byte, n int) int {
	to := min(int(c.TFC), int(c.mtu.Load()))
	if to <= n {
		return n
	}
	clear(buf[n:to])
	return to
}

func (o *outbound) lookup(f *flow) *child {
	t := o.pl.p.table.Load()
	if t != o.table || *f != o.last {
		o.table, o.last, o.found = t, *f, t.find(f)
	}
	return o.found
}

// flush sends what is sealed.
func (o *outbound) flush() {
	if len(o.sealed) == 0 {
		return
	}
	c := o.child
	failed, err := c.socket.send(o.sealed, &c.peer, c.Local, o.tos, o.df)
	if failed > 0 {
		o.pl.p.stats.SendFailed.Add(uint64(failed))
	}
	if errors.Is(err, syscall.EMSGSIZE) {
		o.shrink(c)
	}
	o.sealed = o.sealed[:0]
}

// shrink learns the path's MTU after the kernel refused a packet (RFC 4301 section 8.2.1).
func (o *outbound) shrink(c *child) {
	n := int32(c.fit(o.pl.router.pathMTU(c.Remote)))
	if n <= 0 || n >= c.mtu.Load() {
		return
	}
	c.mtu.Store(n)
	time.AfterFunc(pmtuLife, func() { c.mtu.Store(int32(c.full)) })
}

// refuse drops an inner packet and tells its sender what fits.
func (o *outbound) refuse(inner []byte, f *flow, c *child) {
	o.pl.p.stats.TooBig.Add(1)
	if now := time.Now().Unix(); now != o.second {
		o.second, o.icmps = now, 0
	}
	if o.icmps++; o.icmps > tooBigPerSecond {
		return
	}
	if b := tooBig(o.icmp[offset:], inner, f, c.limit(f)); b != nil {
		_, _ = o.pl.dev.Write([][]byte{o.icmp[:offset+len(b)]}, offset)
	}
}
