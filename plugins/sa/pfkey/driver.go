package pfkey

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/plugins/sa/pfkey/pfkeyv2"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

// Reqids of ours: one for reserved SPIs, then those of children. Linux takes no larger ones in policies.
const (
	ReqIDBase = 0x2000
	reqIDMax  = 0x3fff
)

func ours(reqid uint32) bool { return reqid >= ReqIDBase && reqid <= reqIDMax }

const minSPI = 256 // RFC 4303 section 2.1

// maxFamily is how many children of one reqid a MIGRATE may move before ours: rekeying leaves two, collisions some more.
const maxFamily = 16

// driver speaks PF_KEY with the kernel of the network namespace where it was opened.
type driver struct {
	*socket
	algorithms []sa.Algorithm // that can be used, as the kernel said
	policies   map[policy]uint32
	learnt     bool // what policies of ours the kernel has
}

var (
	_ kernel.Driver  = (*driver)(nil)
	_ kernel.Shunter = (*driver)(nil)
	_ kernel.Handler = (*driver)(nil)
)

// NewReqID implements kernel.Driver.
func (d *driver) NewReqID(wish uint32, taken func(uint32) bool) (uint32, error) {
	const n = reqIDMax - ReqIDBase
	for i := range uint32(n) {
		if id := ReqIDBase + 1 + (wish%n+i)%n; !taken(id) {
			return id, nil
		}
	}
	return 0, fmt.Errorf("all %d reqids are in use; use sa/xfrm: %w", n, sdk.ErrUnavailable)
}

func host(a netip.Addr) *pfkeyv2.Address {
	return &pfkeyv2.Address{Prefix: netip.PrefixFrom(a, a.BitLen())}
}

// name is a message about an SA that is named by its addresses and SPI.
func name(t pfkeyv2.Type, h kernel.Half) *pfkeyv2.Message {
	return &pfkeyv2.Message{Type: t, ESP: true, SA: &pfkeyv2.SA{SPI: h.SPI}, Src: host(h.Src), Dst: host(h.Dst)}
}

// association is a message with all of an SA.
func (d *driver) association(t pfkeyv2.Type, c *sa.Child, h kernel.Half) *pfkeyv2.Message {
	m := name(t, h)
	m.SA = &pfkeyv2.SA{SPI: h.SPI, Window: min(h.Window, d.dialect.MaxWindow), State: pfkeyv2.Mature,
		Auth: d.dialect.Integrities[c.Integ].ID, Encrypt: d.dialect.Ciphers[c.Encr].ID, Flags: flags(&c.Handling)}
	m.SA2 = &pfkeyv2.SA2{Mode: mode(c), ReqID: c.ReqID}
	m.Soft, m.Hard = limits(c, h.Out)
	m.AuthKey, m.EncrKey = h.Integ, h.Encr
	if c.Encap {
		m.NAT = &pfkeyv2.NAT{SrcPort: h.SrcPort, DstPort: h.DstPort}
	}
	if inner := c.LocalTS[0].Start; inner.BitLen() != h.Src.BitLen() { // Linux takes the family of what is inside from there
		m.Proxy = &pfkeyv2.Address{Prefix: netip.PrefixFrom(zero(inner), 0)}
	}
	return m
}

func zero(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func mode(c *sa.Child) pfkeyv2.Mode {
	if c.Mode == sa.Transport {
		return pfkeyv2.ModeTransport
	}
	return pfkeyv2.ModeTunnel
}

// limits are those of a child's SA in one direction; the kernel wants both or none.
func limits(c *sa.Child, out bool) (soft, hard *pfkeyv2.Lifetime) {
	limit := func(v sa.Volume, last uint32) *pfkeyv2.Lifetime {
		packets := uint32(0) // no limit, as what is beyond the field
		if v.Packets <= 1<<32-1 {
			packets = uint32(v.Packets)
		}
		if out && (packets == 0 || packets > last) {
			packets = last
		}
		return &pfkeyv2.Lifetime{Allocations: packets, Bytes: v.Bytes}
	}
	return limit(c.Soft, kernel.SoftNumber), limit(c.Hard, kernel.HardNumber)
}

// get reads an SA, nil when there is none.
func (d *driver) get(h kernel.Half) (*pfkeyv2.Message, error) {
	m, err := d.ask(name(pfkeyv2.Get, h))
	if errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	return m, err
}

// GetSA implements kernel.Driver.
func (d *driver) GetSA(c *sa.Child, h kernel.Half) (*kernel.State, error) {
	m, err := d.get(h)
	if err != nil || m == nil || reqidOf(m) != c.ReqID || m.SA == nil || m.SA.State == pfkeyv2.Larval {
		return nil, err
	}
	return stateOf(m), nil
}

func reqidOf(m *pfkeyv2.Message) uint32 {
	if m.SA2 == nil {
		return 0
	}
	return m.SA2.ReqID
}

func stateOf(m *pfkeyv2.Message) *kernel.State {
	s := &kernel.State{ReqID: reqidOf(m)}
	if m.Current != nil {
		s.Bytes, s.Packets = m.Current.Bytes, uint64(m.Current.Allocations)
	}
	return s
}

// ListSAs implements kernel.Driver.
func (d *driver) ListSAs() (map[kernel.Place]*kernel.State, error) {
	all := map[kernel.Place]*kernel.State{}
	err := d.dump(&pfkeyv2.Message{Type: pfkeyv2.Dump, ESP: true}, func(m *pfkeyv2.Message) {
		if m.SA != nil && m.Dst != nil {
			all[placeOf(m)] = stateOf(m)
		}
	})
	return all, err
}

func placeOf(m *pfkeyv2.Message) kernel.Place {
	return kernel.Place{Dst: m.Dst.Prefix.Addr(), SPI: m.SA.SPI}
}

// PutSA implements kernel.Driver. Numbers cannot be given to an SA.
func (d *driver) PutSA(c *sa.Child, h kernel.Half, from *kernel.State) error {
	have, err := d.get(h)
	switch {
	case err != nil:
		return err
	case have != nil && reqidOf(have) != c.ReqID && reqidOf(have) != ReqIDBase:
		return fmt.Errorf("an SA of another program with SPI %08x to %v is in the way: %w", h.SPI, h.Dst, unix.EEXIST)
	case have != nil:
		_, err = d.ask(d.association(pfkeyv2.Update, c, h))
		return err
	case from != nil:
		return fmt.Errorf("its sequence numbers and window cannot be given to a new SA; a new child with fresh keys is needed: %w", sdk.ErrUnsupported)
	}
	_, err = d.ask(d.association(pfkeyv2.Add, c, h))
	return err
}

// DropSA implements kernel.Driver.
func (d *driver) DropSA(c *sa.Child, h kernel.Half) error {
	have, err := d.get(h)
	if err != nil || have == nil || reqidOf(have) != c.ReqID && reqidOf(have) != ReqIDBase {
		return err
	}
	return d.delete(h)
}

func (d *driver) delete(h kernel.Half) error {
	if _, err := d.ask(name(pfkeyv2.Delete, h)); !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// MoveSA implements kernel.Driver. A MIGRATE moves one SA of those with the reqid and addresses of a policy, and the policy with it; so
// it is repeated until it was ours. Those that it moves before are to move as well: their addresses are the same IKE SA's.
func (d *driver) MoveSA(from, to *sa.Child, out bool, t kernel.Traffic) error {
	was, h := kernel.Direction(from, out), kernel.Direction(to, out)
	have, err := d.GetSA(from, was)
	switch {
	case err != nil:
		return err
	case have == nil || was.Src == h.Src && was.Dst == h.Dst && from.Encap == to.Encap:
		return d.PutSA(to, h, nil)
	case from.Encap != to.Encap || from.Mode == sa.Transport:
		return fmt.Errorf("PF_KEY moves no SA to or from UDP encapsulation, and none in transport mode; a new child is needed: %w", sdk.ErrUnsupported)
	}
	dir := uint8(kernel.DirIn)
	if out {
		dir = kernel.DirOut
	}
	for range maxFamily {
		if err := d.PutPolicy(from, t, dir); err != nil {
			return err
		}
		if err := d.migrate(migration(from, to, t, dir)); err != nil {
			return fmt.Errorf("moving it from %v to %v to %v to %v: %w", was.Src, was.Dst, h.Src, h.Dst, err)
		}
		if moved, err := d.GetSA(to, h); err != nil || moved != nil {
			return errors.Join(err, d.PutSA(to, h, nil)) // ports and limits
		}
	}
	return fmt.Errorf("the kernel moved %d other SAs with reqid %#x: %w", maxFamily, from.ReqID, sdk.ErrUnavailable)
}

// Reserve implements kernel.Driver; the kernel keeps the reservation for net.core.xfrm_acq_expires seconds.
func (d *driver) Reserve(local, remote netip.Addr) (uint32, error) {
	m, err := d.ask(&pfkeyv2.Message{Type: pfkeyv2.GetSPI, ESP: true, SA2: &pfkeyv2.SA2{Mode: pfkeyv2.ModeTunnel, ReqID: ReqIDBase},
		Src: host(remote), Dst: host(local), Range: &pfkeyv2.SPIRange{Min: minSPI, Max: 1<<32 - 1}})
	if err != nil {
		return 0, err
	}
	if m.SA == nil || m.SA.SPI < minSPI {
		return 0, errors.New("the kernel's answer has no SPI")
	}
	return m.SA.SPI, nil
}

// Free implements kernel.Driver. An SA that has the SPI stays: its reqid is that of a child.
func (d *driver) Free(local, remote netip.Addr, spi uint32) error {
	h := kernel.Half{Src: remote, Dst: local, SPI: spi}
	m, err := d.get(h)
	if err != nil || m == nil || reqidOf(m) != ReqIDBase {
		return err
	}
	return d.delete(h)
}

// Meaning implements kernel.Driver.
func (d *driver) Meaning(err error) error { return meaning(err) }
