package pfkeyv2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/parley-ike/parley/sdk/secret"
)

// Limits of what is read. They bound what a message can hold beyond its own length, which bounds the rest.
const (
	// MaxKey is the longest key, in octets: eight times the longest in use.
	MaxKey = 512
	// MaxRequests is how many requests a policy has: Linux allows 6 (XFRM_MAX_DEPTH).
	MaxRequests = 16
	// maxExtensions is how many extensions a message has: each at most once, and there are fewer kinds.
	maxExtensions = 64
)

// ErrShort is wrapped by errors about messages that end too early.
var ErrShort = errors.New("cut short")

// decoder holds what is spread over several extensions.
type decoder struct {
	*Dialect
	m                *Message
	seen             map[uint16]bool
	srcMask, dstMask netip.Addr
	flow             [2]*Address // its selector
	proto            uint8
}

// Parse reads one message, which is all of b. Keys in it are copies: wipe both.
func (d *Dialect) Parse(b []byte) (*Message, error) {
	if len(b) < headerSize {
		return nil, fmt.Errorf("pfkeyv2: a message of %d octets: %w", len(b), ErrShort)
	}
	if n := int(d.Order.Uint16(b[4:])) * word; b[0] != version || n != len(b) {
		return nil, fmt.Errorf("pfkeyv2: version %d with %d octets, where %d came: %w", b[0], n, len(b), ErrShort)
	}
	m := &Message{Type: d.typeOf(b[1]), Errno: b[2], ESP: b[3] == d.esp, Seq: d.Order.Uint32(b[8:]), PID: d.Order.Uint32(b[12:])}
	if m.Type == 0 {
		return nil, fmt.Errorf("pfkeyv2: message type %d of %s: %w", b[1], d.Name, ErrDialect)
	}
	p := &decoder{Dialect: d, m: m, seen: map[uint16]bool{}}
	if err := p.extensions(b[headerSize:]); err != nil {
		return nil, err
	}
	return m, p.finish()
}

func (p *decoder) extensions(b []byte) error {
	for len(b) > 0 {
		if len(b) < word {
			return fmt.Errorf("pfkeyv2: %d octets where an extension begins: %w", len(b), ErrShort)
		}
		size, number := int(p.Order.Uint16(b))*word, p.Order.Uint16(b[2:])
		if size == 0 || size > len(b) {
			return fmt.Errorf("pfkeyv2: extension %d claims %d of %d octets: %w", number, size, len(b), ErrShort)
		}
		if p.seen[number] || len(p.seen) == maxExtensions { // RFC 2367 section 2.3
			return fmt.Errorf("pfkeyv2: extension %d comes twice, or there are more than %d", number, maxExtensions)
		}
		p.seen[number] = true
		if err := p.extension(p.extOf(number), b[4:size]); err != nil {
			return fmt.Errorf("pfkeyv2: extension %d of %d octets: %w", number, size, err)
		}
		b = b[size:]
	}
	return nil
}

// sizes are how many octets extensions of fixed parts have behind their first four.
var sizes = map[extension]int{extSA: 12, extCurrent: 28, extHard: 28, extSoft: 28, extSrc: 12, extDst: 12, extProxy: 12, extAuthKey: 4,
	extEncrKey: 4, extAuths: 4, extCiphers: 4, extRange: 12, extPolicy: 12, extSA2: 12, extNATType: 4, extNATSrc: 4, extNATDst: 4,
	extNewSrc: 12, extNewDst: 12, extWindow: 4, extSrcMask: 12, extDstMask: 12, extProtocol: 4, extFlowType: 4, extSrcFlow: 12,
	extDstFlow: 12, extUDPEncap: 4}

func (p *decoder) extension(x extension, b []byte) (err error) {
	if len(b) < sizes[x] {
		return ErrShort
	}
	m := p.m
	switch x {
	case extSA:
		p.sa(b)
	case extCurrent:
		m.Current = p.lifetime(b)
	case extHard:
		m.Hard = p.lifetime(b)
	case extSoft:
		m.Soft = p.lifetime(b)
	case extAuthKey:
		m.AuthKey, err = p.key(b)
	case extEncrKey:
		m.EncrKey, err = p.key(b)
	case extAuths:
		m.Auths = p.algorithms(b[4:])
	case extCiphers:
		m.Ciphers = p.algorithms(b[4:])
	case extRange:
		m.Range = &SPIRange{p.Order.Uint32(b), p.Order.Uint32(b[4:])}
	case extSA2:
		m.SA2 = &SA2{Mode(b[0]), p.Order.Uint32(b[8:])}
	case extWindow:
		if m.SA == nil {
			m.SA = &SA{}
		}
		m.SA.Window = p.Order.Uint32(b) * p.windowUnit
	case extPolicy:
		err = p.policy(b)
	case extNATSrc:
		p.nat().SrcPort = binary.BigEndian.Uint16(b)
	case extNATDst, extUDPEncap:
		p.nat().DstPort = binary.BigEndian.Uint16(b)
	default:
		err = p.address(x, b)
	}
	return err
}

func (p *decoder) nat() *NAT {
	if p.m.NAT == nil {
		p.m.NAT = &NAT{}
	}
	return p.m.NAT
}

func (p *decoder) sa(b []byte) {
	window := uint32(b[4]) * p.windowUnit
	if p.m.SA != nil { // the larger field came before
		window = p.m.SA.Window
	}
	p.m.SA = &SA{SPI: binary.BigEndian.Uint32(b), Window: window, State: b[5], Auth: b[6], Encrypt: b[7], Flags: p.Order.Uint32(b[8:])}
	if p.Dialect.nat == natInSA && p.m.SA.Flags&darwinNATT != 0 && len(b) >= 20 {
		p.m.NAT = &NAT{DstPort: binary.BigEndian.Uint16(b[12:]), SrcPort: binary.BigEndian.Uint16(b[18:])}
	}
}

func (p *decoder) lifetime(b []byte) *Lifetime {
	return &Lifetime{p.Order.Uint32(b), p.Order.Uint64(b[4:]), p.Order.Uint64(b[12:]), p.Order.Uint64(b[20:])}
}

func (p *decoder) key(b []byte) (secret.Bytes, error) {
	n := (int(p.Order.Uint16(b)) + 7) / 8
	if n > MaxKey || n > len(b)-4 {
		return nil, fmt.Errorf("a key of %d octets: %w", n, ErrShort)
	}
	return secret.Bytes(b[4 : 4+n]).Clone(), nil
}

func (p *decoder) algorithms(b []byte) (all []Algorithm) {
	for ; len(b) >= word; b = b[word:] {
		all = append(all, Algorithm{b[0], b[1], p.Order.Uint16(b[2:]), p.Order.Uint16(b[4:])})
	}
	return all
}

// address reads every extension that holds a socket address, and those of flows.
func (p *decoder) address(x extension, b []byte) error {
	m := p.m
	switch x {
	case extProtocol:
		p.proto = b[0]
		return nil
	case extFlowType:
		action, ok := map[uint8]Action{flowDeny: Discard, flowBypass: None, flowRequire: IPsec}[b[0]]
		if !ok {
			return fmt.Errorf("flow type %d: %w", b[0], ErrDialect)
		}
		m.Policy = &Policy{Action: action, Dir: Direction(b[1])}
		return nil
	}
	where := map[extension]**Address{extSrc: &m.Src, extDst: &m.Dst, extProxy: &m.Proxy, extNewSrc: &m.NewSrc, extNewDst: &m.NewDst}[x]
	masks := map[extension]*netip.Addr{extSrcMask: &p.srcMask, extDstMask: &p.dstMask}[x]
	flowSides := map[extension]int{extSrcFlow: 0, extDstFlow: 1}
	side, isFlow := flowSides[x]
	if where == nil && masks == nil && !isFlow {
		return nil // not known: passed over
	}
	addr, port, _, err := p.sockaddr(b[4:])
	if err != nil {
		return err
	}
	bits := addr.BitLen()
	if !p.flows {
		if bits = int(b[1]); bits > addr.BitLen() {
			return fmt.Errorf("a prefix of %d bits for %v", bits, addr)
		}
	}
	a := &Address{Prefix: netip.PrefixFrom(addr, bits), Port: port}
	if !p.flows {
		a.Proto = b[0]
	}
	switch {
	case masks != nil:
		*masks = addr
	case isFlow:
		p.flow[side] = a
	default:
		*where = a
	}
	return nil
}

// sockaddr reads struct sockaddr_in or sockaddr_in6 and returns how long it was.
func (p *decoder) sockaddr(b []byte) (a netip.Addr, port uint16, size int, err error) {
	if len(b) < sockaddrIn {
		return a, 0, 0, ErrShort
	}
	family := p.Order.Uint16(b)
	if p.lengthByte {
		family = uint16(b[1])
	}
	port = binary.BigEndian.Uint16(b[2:])
	switch {
	case family == afInet:
		return netip.AddrFrom4([4]byte(b[4:8])), port, sockaddrIn, nil
	case family == p.inet6 && len(b) >= sockaddrIn6:
		return netip.AddrFrom16([16]byte(b[8:24])), port, sockaddrIn6, nil
	case family == p.inet6:
		return a, 0, 0, ErrShort
	}
	return a, 0, 0, fmt.Errorf("address family %d: %w", family, ErrDialect)
}

func (p *decoder) policy(b []byte) error {
	if p.flows {
		return nil // another extension with this name
	}
	p.m.Policy = &Policy{Action: Action(p.Order.Uint16(b)), Dir: Direction(b[2]), ID: p.Order.Uint32(b[4:]), Priority: p.Order.Uint32(b[8:])}
	for b = b[12:]; len(b) > 0; {
		r, size, err := p.request(b)
		if err != nil {
			return err
		}
		if len(p.m.Policy.Requests) == MaxRequests {
			return fmt.Errorf("more than %d requests", MaxRequests)
		}
		p.m.Policy.Requests = append(p.m.Policy.Requests, r)
		b = b[size:]
	}
	return nil
}

func (p *decoder) request(b []byte) (r Request, size int, err error) {
	head := 8
	if p.wideReqID {
		head = 16
	}
	if len(b) < head {
		return r, 0, ErrShort
	}
	if size = int(p.Order.Uint16(b)); size < head || size > len(b) {
		return r, 0, fmt.Errorf("a request claims %d of %d octets: %w", size, len(b), ErrShort)
	}
	r.Mode, r.ReqID = Mode(b[4]), uint32(p.Order.Uint16(b[6:]))
	if p.wideReqID {
		r.ReqID = p.Order.Uint32(b[8:])
	}
	if size-head < 2*sockaddrIn { // transport mode
		return r, size, nil
	}
	var n int
	if r.Src, _, n, err = p.sockaddr(b[head:size]); err == nil {
		r.Dst, _, _, err = p.sockaddr(b[head+n : size])
	}
	return r, size, err
}

// finish makes a policy of what a flow is spread over.
func (p *decoder) finish() error {
	m := p.m
	if !p.flows || m.Policy == nil {
		return nil
	}
	if m.Src != nil && m.Dst != nil {
		m.Policy.Requests = []Request{{Mode: ModeTunnel, Src: m.Src.Prefix.Addr(), Dst: m.Dst.Prefix.Addr()}}
	}
	m.Src, m.Dst = p.flow[0], p.flow[1]
	for _, side := range []struct {
		a    *Address
		mask netip.Addr
	}{{m.Src, p.srcMask}, {m.Dst, p.dstMask}} {
		if side.a == nil || side.mask.BitLen() != side.a.Prefix.Addr().BitLen() {
			return fmt.Errorf("pfkeyv2: a flow without an address and its mask: %w", ErrShort)
		}
		bits, err := prefixLen(side.mask)
		if err != nil {
			return err
		}
		side.a.Proto, side.a.Prefix = p.proto, netip.PrefixFrom(side.a.Prefix.Addr(), bits)
	}
	return nil
}
