package pfkeyv2

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Sizes, in octets. Lengths in a message count words of eight octets.
const (
	word       = 8
	headerSize = 16
	// MaxMessage is the most that a message's length can say.
	MaxMessage = (1<<16 - 1) * word
	version    = 2
)

// Levels of requests (KAME): any SA that fits, or one with the reqid.
const (
	levelRequire = 2
	levelUnique  = 3
)

const (
	protoESP = 50
	natESP   = 2 // UDP_ENCAP_ESPINUDP (RFC 3948)
)

// encoder appends to a message; the first error stays.
type encoder struct {
	*Dialect
	b   []byte
	err error
}

func (e *encoder) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf("pfkeyv2: "+format, args...)
	}
}

func (e *encoder) u8(all ...uint8) { e.b = append(e.b, all...) }
func (e *encoder) u16(n uint16)    { e.b = e.Order.(binary.AppendByteOrder).AppendUint16(e.b, n) }
func (e *encoder) u32(n uint32)    { e.b = e.Order.(binary.AppendByteOrder).AppendUint32(e.b, n) }
func (e *encoder) u64(n uint64)    { e.b = e.Order.(binary.AppendByteOrder).AppendUint64(e.b, n) }
func (e *encoder) be16(n uint16)   { e.b = binary.BigEndian.AppendUint16(e.b, n) }

func (e *encoder) pad(from int) {
	for (len(e.b)-from)%word != 0 {
		e.b = append(e.b, 0)
	}
}

// ext writes an extension (RFC 2367 section 2.3): length in words, type, and what body writes, padded.
func (e *encoder) ext(x extension, body func()) {
	n := e.extNumber(x)
	if n == 0 {
		e.fail("extension %d of %s: %w", x, e.Name, ErrDialect)
		return
	}
	at := len(e.b)
	e.u16(0)
	e.u16(n)
	body()
	e.pad(at)
	e.Order.PutUint16(e.b[at:], uint16((len(e.b)-at)/word))
}

// Append writes a message behind b. The keys that it holds are in the result, too: wipe it.
func (d *Dialect) Append(b []byte, m *Message) ([]byte, error) {
	number := d.number(m.Type)
	if number == 0 {
		return b, fmt.Errorf("pfkeyv2: message type %d of %s: %w", m.Type, d.Name, ErrDialect)
	}
	e, at := &encoder{Dialect: d, b: b}, len(b)
	e.u8(version, number, m.Errno, e.saType(m))
	e.u16(0)
	e.u16(0)
	e.u32(m.Seq)
	e.u32(m.PID)
	e.association(m)
	e.addresses(m)
	e.policy(m)
	if n := len(e.b) - at; n > MaxMessage {
		e.fail("a message of %d octets; at most %d", n, MaxMessage)
	}
	d.Order.PutUint16(e.b[at+4:], uint16((len(e.b)-at)/word))
	if e.err != nil {
		clear(e.b[at:])
		return b, e.err
	}
	return e.b, nil
}

func (e *encoder) saType(m *Message) uint8 {
	if m.ESP {
		return e.esp
	}
	return 0
}

// association writes what is about an SA, but for its addresses.
func (e *encoder) association(m *Message) {
	if m.SA != nil {
		e.sa(m)
	}
	if m.SA2 != nil && !e.flows {
		e.ext(extSA2, func() {
			e.u8(uint8(m.SA2.Mode), 0)
			e.u16(0)
			e.u32(0)
			e.u32(m.SA2.ReqID)
		})
	}
	for x, l := range e.lifetimes(m) {
		if l != nil {
			e.ext(extCurrent+extension(x), func() { e.u32(l.Allocations); e.u64(l.Bytes); e.u64(l.AddTime); e.u64(l.UseTime) })
		}
	}
	e.key(extAuthKey, m.AuthKey)
	e.key(extEncrKey, m.EncrKey)
	if m.Range != nil {
		e.ext(extRange, func() { e.u32(m.Range.Min); e.u32(m.Range.Max); e.u32(0) })
	}
	e.algorithms(extAuths, m.Auths)
	e.algorithms(extCiphers, m.Ciphers)
	if m.NAT != nil {
		e.natT(m)
	}
}

func (e *encoder) lifetimes(m *Message) []*Lifetime { return []*Lifetime{m.Current, m.Hard, m.Soft} }

func (e *encoder) sa(m *Message) {
	flags := m.SA.Flags
	if e.nat == natUDPEncap && m.NAT != nil {
		flags |= openBSDUDPEncap
	}
	if e.flows && m.SA2 != nil && m.SA2.Mode == ModeTunnel {
		flags |= openBSDTunnel
	}
	if e.nat == natInSA && m.NAT != nil {
		flags |= darwinNATT
	}
	window := (m.SA.Window + e.windowUnit - 1) / e.windowUnit
	e.ext(extSA, func() {
		e.b = binary.BigEndian.AppendUint32(e.b, m.SA.SPI)
		e.u8(uint8(min(window, 255)), m.SA.State, m.SA.Auth, m.SA.Encrypt)
		e.u32(flags)
		if e.nat == natInSA && m.NAT != nil {
			e.be16(m.NAT.DstPort)
			e.u32(0)
			e.be16(m.NAT.SrcPort)
		}
	})
	switch {
	case window <= 255:
	case e.extNumber(extWindow) != 0:
		e.ext(extWindow, func() { e.u32(window) })
	default:
		e.fail("a replay window of %d packets in %s: %w", m.SA.Window, e.Name, ErrDialect)
	}
}

func (e *encoder) key(x extension, key []byte) {
	if len(key) == 0 {
		return
	}
	if len(key) > MaxKey {
		e.fail("a key of %d octets; at most %d", len(key), MaxKey)
		return
	}
	e.ext(x, func() { e.u16(uint16(len(key) * 8)); e.u16(0); e.b = append(e.b, key...) })
}

func (e *encoder) algorithms(x extension, all []Algorithm) {
	if len(all) == 0 {
		return
	}
	e.ext(x, func() {
		e.u32(0)
		for _, a := range all {
			e.u8(a.ID, a.IVLen)
			e.u16(a.MinBits)
			e.u16(a.MaxBits)
			e.u16(0)
		}
	})
}

func (e *encoder) natT(m *Message) {
	switch e.nat {
	case natExtensions:
		e.ext(extNATType, func() { e.u8(natESP, 0, 0, 0) })
		e.ext(extNATSrc, func() { e.be16(m.NAT.SrcPort); e.u16(0) })
		e.ext(extNATDst, func() { e.be16(m.NAT.DstPort); e.u16(0) })
	case natUDPEncap:
		e.ext(extUDPEncap, func() { e.be16(m.NAT.DstPort); e.u16(0) })
	case natInSA:
		if m.SA == nil {
			e.fail("UDP encapsulation without an SA in %s: %w", e.Name, ErrDialect)
		}
	}
}

// addresses writes the addresses of an SA, or the selector of a policy.
func (e *encoder) addresses(m *Message) {
	if e.flows && m.Policy != nil {
		return
	}
	e.address(extSrc, m.Src)
	e.address(extDst, m.Dst)
	e.address(extProxy, m.Proxy)
	e.address(extNewSrc, m.NewSrc)
	e.address(extNewDst, m.NewDst)
}

func (e *encoder) address(x extension, a *Address) {
	if a == nil {
		return
	}
	e.ext(x, func() {
		if e.flows {
			e.u32(0)
		} else {
			e.u8(a.Proto, uint8(a.Prefix.Bits()), 0, 0)
		}
		e.sockaddr(a.Prefix.Addr(), a.Port)
	})
}

const (
	sockaddrIn  = 16
	sockaddrIn6 = 28
	afInet      = 2
)

// sockaddr writes struct sockaddr_in or sockaddr_in6.
func (e *encoder) sockaddr(a netip.Addr, port uint16) {
	size, family := uint8(sockaddrIn), uint16(afInet)
	switch {
	case !a.IsValid():
		e.fail("an address is missing")
		return
	case !a.Is4():
		size, family = sockaddrIn6, e.inet6
	}
	if e.lengthByte {
		e.u8(size, uint8(family))
	} else {
		e.u16(family)
	}
	e.be16(port)
	if a.Is4() {
		e.b = append(append(e.b, a.AsSlice()...), make([]byte, 8)...)
		return
	}
	e.u32(0)
	e.b = append(append(e.b, a.AsSlice()...), 0, 0, 0, 0)
}

// policy writes KAME's policy extension: a list of requests follows in it, each with its length in octets.
func (e *encoder) policy(m *Message) {
	p := m.Policy
	if p == nil {
		return
	}
	if e.flows {
		e.flow(m)
		return
	}
	if p.Dir == DirFwd && !e.Forward {
		e.fail("a policy for forwarded packets in %s: %w", e.Name, ErrDialect)
	}
	if len(p.Requests) > MaxRequests {
		e.fail("a policy with %d requests; at most %d", len(p.Requests), MaxRequests)
		return
	}
	e.ext(extPolicy, func() {
		e.u16(uint16(p.Action))
		e.u8(uint8(p.Dir), 0)
		e.u32(p.ID)
		e.u32(p.Priority)
		for _, r := range p.Requests {
			e.request(r)
		}
	})
}

func (e *encoder) request(r Request) {
	if r.ReqID > e.MaxReqID {
		e.fail("reqid %#x in a policy of %s; at most %#x: %w", r.ReqID, e.Name, e.MaxReqID, ErrDialect)
		return
	}
	level := uint8(levelRequire)
	if r.ReqID != 0 {
		level = levelUnique
	}
	at := len(e.b)
	e.u16(0)
	e.u16(protoESP)
	e.u8(uint8(r.Mode), level)
	if e.wideReqID {
		e.u16(0)
		e.u32(r.ReqID)
		e.u32(0)
	} else {
		e.u16(uint16(r.ReqID))
	}
	if r.Src.IsValid() || r.Dst.IsValid() {
		e.sockaddr(r.Src, 0)
		e.sockaddr(r.Dst, 0)
	}
	e.pad(at)
	e.Order.PutUint16(e.b[at:], uint16(len(e.b)-at))
}
