package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Notify message types (RFC 7296 section 3.10.1 and the RFCs that add to it).
const (
	UnsupportedCriticalPayload = 1
	InvalidIKESPI              = 4
	InvalidMajorVersion        = 5
	InvalidSyntax              = 7
	InvalidMessageID           = 9
	InvalidSPI                 = 11
	NoProposalChosen           = 14
	InvalidKEPayload           = 17
	AuthenticationFailed       = 24
	SinglePairRequired         = 34
	NoAdditionalSAs            = 35
	InternalAddressFailure     = 36
	FailedCPRequired           = 37
	TSUnacceptable             = 38
	InvalidSelectors           = 39
	UnacceptableAddresses      = 40
	UnexpectedNATDetected      = 41
	TemporaryFailure           = 43
	ChildSANotFound            = 44
	FirstStatus                = 16384
	InitialContact             = 16384
	SetWindowSize              = 16385
	AdditionalTSPossible       = 16386
	IPCompSupported            = 16387
	NATDetectionSource         = 16388
	NATDetectionDestination    = 16389
	Cookie                     = 16390
	UseTransportMode           = 16391
	RekeySA                    = 16393
	MOBIKESupported            = 16396
	AdditionalIP4Address       = 16397
	AdditionalIP6Address       = 16398
	NoAdditionalAddresses      = 16399
	UpdateSAAddresses          = 16400
	Cookie2                    = 16401
	NoNATsAllowed              = 16402
	ESPTFCPaddingNotSupported  = 16394
	NonFirstFragmentsAlso      = 16395
	AuthLifetime               = 16403
	RedirectSupported          = 16406
	Redirect                   = 16407
	RedirectedFrom             = 16408
	ChildlessSupported         = 16418
	FragmentationSupported     = 16430
)

// Protocols (RFC 7296 section 3.3.1).
const (
	ProtoIKE = 1
	ProtoAH  = 2
	ProtoESP = 3
)

// Transform types (RFC 7296 section 3.3.2).
const (
	ENCR  = 1
	PRF   = 2
	INTEG = 3
	KE    = 4
	ESN   = 5
)

// Transform is one algorithm of a proposal.
type Transform struct {
	Type    uint8
	ID      uint16
	KeyBits uint16 // 0: no Key Length attribute
	Attrs   []byte // instead of the Key Length attribute, octets of attributes
}

// Proposal is one proposal of an SA payload.
type Proposal struct {
	Number     uint8
	Protocol   uint8
	SPI        []byte
	Transforms []Transform
	Reserved   uint8   // what the RFC wants zero, in it and its transforms
	LieCount   *uint16 // instead of the number of transforms
}

// Of returns the transforms of a type.
func (p Proposal) Of(kind uint8) (list []Transform) {
	for _, t := range p.Transforms {
		if t.Type == kind {
			list = append(list, t)
		}
	}
	return list
}

// Has reports whether the proposal has a transform.
func (p Proposal) Has(t Transform) bool {
	return slices.ContainsFunc(p.Transforms, func(o Transform) bool {
		return o.Type == t.Type && o.ID == t.ID && o.KeyBits == t.KeyBits
	})
}

// SAPayload returns an SA payload (RFC 7296 section 3.3).
func SAPayload(ps ...Proposal) Payload {
	var b []byte
	for i, p := range ps {
		more := byte(2)
		if i == len(ps)-1 {
			more = 0
		}
		b = append(b, p.encode(more)...)
	}
	return Payload{Type: TypeSA, Body: b}
}

func (p Proposal) encode(more byte) []byte {
	var ts []byte
	for i, t := range p.Transforms {
		last := byte(3)
		if i == len(p.Transforms)-1 {
			last = 0
		}
		ts = append(ts, t.encode(last, p.Reserved)...)
	}
	count := uint8(len(p.Transforms))
	if p.LieCount != nil {
		count = uint8(*p.LieCount)
	}
	b := []byte{more, p.Reserved}
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(p.SPI)+len(ts)))
	b = append(b, p.Number, p.Protocol, uint8(len(p.SPI)), count)
	return slices.Concat(b, p.SPI, ts)
}

func (t Transform) encode(last, reserved byte) []byte {
	attrs := t.Attrs
	if t.KeyBits != 0 {
		attrs = binary.BigEndian.AppendUint16([]byte{0x80, 14}, t.KeyBits)
	}
	b := []byte{last, reserved}
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(attrs)))
	b = append(b, t.Type, reserved)
	b = binary.BigEndian.AppendUint16(b, t.ID)
	return append(b, attrs...)
}

// ParseSA reads the body of an SA payload, strictly.
func ParseSA(b []byte) (ps []Proposal, err error) {
	for len(b) > 0 {
		if len(b) < 8 {
			return ps, errors.New("peer: a proposal is cut off")
		}
		length, spi := int(binary.BigEndian.Uint16(b[2:])), int(b[6])
		if length < 8+spi || length > len(b) {
			return ps, fmt.Errorf("peer: a proposal says its length is %d of %d", length, len(b))
		}
		if more := length < len(b); more != (b[0] == 2) || !more && b[0] != 0 || b[1] != 0 {
			return ps, fmt.Errorf("peer: a proposal begins with %x", b[:2])
		}
		p := Proposal{Number: b[4], Protocol: b[5], SPI: b[8 : 8+spi]}
		if p.Transforms, err = parseTransforms(b[8+spi:length], int(b[7])); err != nil {
			return ps, err
		}
		ps, b = append(ps, p), b[length:]
	}
	return ps, nil
}

func parseTransforms(b []byte, count int) (ts []Transform, err error) {
	for len(b) > 0 {
		if len(b) < 8 {
			return ts, errors.New("peer: a transform is cut off")
		}
		length := int(binary.BigEndian.Uint16(b[2:]))
		if length < 8 || length > len(b) {
			return ts, fmt.Errorf("peer: a transform says its length is %d of %d", length, len(b))
		}
		if more := length < len(b); more != (b[0] == 3) || !more && b[0] != 0 || b[1] != 0 || b[5] != 0 {
			return ts, fmt.Errorf("peer: a transform begins with %x", b[:6])
		}
		t := Transform{Type: b[4], ID: binary.BigEndian.Uint16(b[6:])}
		if attrs := b[8:length]; len(attrs) == 4 && attrs[0] == 0x80 && attrs[1] == 14 {
			t.KeyBits = binary.BigEndian.Uint16(attrs[2:])
		} else {
			t.Attrs = attrs
		}
		ts, b = append(ts, t), b[length:]
	}
	if len(ts) != count {
		return ts, fmt.Errorf("peer: a proposal counts %d transforms and has %d", count, len(ts))
	}
	return ts, nil
}

// KEPayload returns a KE payload (RFC 7296 section 3.4).
func KEPayload(method uint16, public []byte) Payload {
	return Payload{Type: TypeKE, Body: append(binary.BigEndian.AppendUint16(nil, method), append([]byte{0, 0}, public...)...)}
}

// NoncePayload returns a Nonce payload.
func NoncePayload(data []byte) Payload { return Payload{Type: TypeNonce, Body: data} }

// Identification types (RFC 7296 section 3.5).
const (
	IDIPv4   = 1
	IDFQDN   = 2
	IDRFC822 = 3
	IDIPv6   = 5
	IDKeyID  = 11
)

// IDPayload returns an IDi or IDr payload.
func IDPayload(payload, kind uint8, data string) Payload {
	return Payload{Type: payload, Body: append([]byte{kind, 0, 0, 0}, data...)}
}

// AuthPayload returns an AUTH payload; method 2 is the pre-shared key.
func AuthPayload(method uint8, data []byte) Payload {
	return Payload{Type: TypeAuth, Body: append([]byte{method, 0, 0, 0}, data...)}
}

// Notify is the body of a Notify payload.
type Notify struct {
	Protocol uint8
	SPI      []byte
	Kind     uint16
	Data     []byte
}

// Payload returns the Notify payload (RFC 7296 section 3.10).
func (n Notify) Payload() Payload {
	b := binary.BigEndian.AppendUint16([]byte{n.Protocol, uint8(len(n.SPI))}, n.Kind)
	return Payload{Type: TypeNotify, Body: slices.Concat(b, n.SPI, n.Data)}
}

// NotifyPayload returns a Notify payload without SPI.
func NotifyPayload(kind uint16, data ...byte) Payload {
	return Notify{Kind: kind, Data: data}.Payload()
}

// ParseNotify reads the body of a Notify payload.
func ParseNotify(b []byte) (Notify, error) {
	if len(b) < 4 || len(b) < 4+int(b[1]) {
		return Notify{}, errors.New("peer: a notify is cut off")
	}
	spi := 4 + int(b[1])
	return Notify{Protocol: b[0], SPI: b[4:spi], Kind: binary.BigEndian.Uint16(b[2:]), Data: b[spi:]}, nil
}

// Notifies returns the notifies of a message.
func (m Message) Notifies() (list []Notify) {
	for _, p := range m.Payloads {
		if n, err := ParseNotify(p.Body); p.Type == TypeNotify && err == nil {
			list = append(list, n)
		}
	}
	return list
}

// Notify returns the first notify of a kind.
func (m Message) Notify(kind uint16) (Notify, bool) {
	for _, n := range m.Notifies() {
		if n.Kind == kind {
			return n, true
		}
	}
	return Notify{}, false
}

// Errors returns the types of the error notifies of a message.
func (m Message) Errors() (kinds []uint16) {
	for _, n := range m.Notifies() {
		if n.Kind < FirstStatus {
			kinds = append(kinds, n.Kind)
		}
	}
	return kinds
}

// DeletePayload returns a Delete payload for the IKE SA (no SPIs) or for child SAs (RFC 7296 section 3.11).
func DeletePayload(protocol uint8, spis ...[]byte) Payload {
	size := uint8(0)
	if len(spis) > 0 {
		size = uint8(len(spis[0]))
	}
	b := binary.BigEndian.AppendUint16([]byte{protocol, size}, uint16(len(spis)))
	return Payload{Type: TypeDelete, Body: append(b, slices.Concat(spis...)...)}
}

// Deletes returns the SPIs that Delete payloads of a protocol name; the second result tells whether there is any such
// payload.
func (m Message) Deletes(protocol uint8) (spis [][]byte, any bool) {
	for _, p := range m.Payloads {
		if p.Type != TypeDelete || len(p.Body) < 4 || p.Body[0] != protocol {
			continue
		}
		any = true
		if size := int(p.Body[1]); size > 0 {
			spis = slices.AppendSeq(spis, slices.Chunk(p.Body[4:], size))
		}
	}
	return spis, any
}

// Selector is a traffic selector (RFC 7296 section 3.13.1).
type Selector struct {
	Protocol           uint8
	StartPort, EndPort uint16
	Start, End         netip.Addr
}

// Net returns the selector of a network, for all protocols and ports.
func Net(prefix string) Selector {
	p := netip.MustParsePrefix(prefix)
	last := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(last); i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	end, _ := netip.AddrFromSlice(last)
	return Selector{EndPort: 65535, Start: p.Addr(), End: end}
}

// TSPayload returns a TSi or TSr payload.
func TSPayload(payload uint8, all ...Selector) Payload {
	b := []byte{uint8(len(all)), 0, 0, 0}
	for _, s := range all {
		kind, size := byte(7), uint16(16)
		if s.Start.Is6() {
			kind, size = 8, 40
		}
		b = binary.BigEndian.AppendUint16(append(b, kind, s.Protocol), size)
		b = binary.BigEndian.AppendUint16(b, s.StartPort)
		b = binary.BigEndian.AppendUint16(b, s.EndPort)
		b = append(append(b, s.Start.AsSlice()...), s.End.AsSlice()...)
	}
	return Payload{Type: payload, Body: b}
}

// ParseTS reads the body of a TS payload, strictly.
func ParseTS(b []byte) (list []Selector, err error) {
	if len(b) < 4 || b[1] != 0 || b[2] != 0 || b[3] != 0 {
		return nil, errors.New("peer: a TS payload is cut off, or its reserved octets are not zero")
	}
	count := int(b[0])
	for b = b[4:]; len(b) > 0; {
		size := map[byte]int{7: 4, 8: 16}[b[0]]
		if size == 0 || len(b) < 8+2*size || int(binary.BigEndian.Uint16(b[2:])) != 8+2*size {
			return list, fmt.Errorf("peer: a selector is malformed: %x", b)
		}
		s := Selector{Protocol: b[1], StartPort: binary.BigEndian.Uint16(b[4:]), EndPort: binary.BigEndian.Uint16(b[6:])}
		s.Start, _ = netip.AddrFromSlice(b[8 : 8+size])
		s.End, _ = netip.AddrFromSlice(b[8+size : 8+2*size])
		list, b = append(list, s), b[8+2*size:]
	}
	if len(list) != count {
		return list, fmt.Errorf("peer: a TS payload counts %d selectors and has %d", count, len(list))
	}
	return list, nil
}

// Configuration payload types and attributes (RFC 7296 section 3.15).
const (
	CFGRequest = 1
	CFGReply   = 2
	CFGSet     = 3
	CFGAck     = 4

	InternalIP4Address  = 1
	InternalIP4Netmask  = 2
	InternalIP4DNS      = 3
	ApplicationVersion  = 7
	InternalIP6Address  = 8
	InternalIP4Subnet   = 13
	SupportedAttributes = 14
)

// Attribute is a configuration attribute.
type Attribute struct {
	Type  uint16 // the highest bit is reserved
	Value []byte
}

// CPPayload returns a Configuration payload.
func CPPayload(kind uint8, attrs ...Attribute) Payload {
	b := []byte{kind, 0, 0, 0}
	for _, a := range attrs {
		b = binary.BigEndian.AppendUint16(b, a.Type)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(a.Value))), a.Value...)
	}
	return Payload{Type: TypeCP, Body: b}
}

// ParseCP reads the body of a Configuration payload, strictly.
func ParseCP(b []byte) (kind uint8, attrs []Attribute, err error) {
	if len(b) < 4 || b[1] != 0 || b[2] != 0 || b[3] != 0 {
		return 0, nil, errors.New("peer: a CP payload is cut off, or its reserved octets are not zero")
	}
	kind = b[0]
	for b = b[4:]; len(b) > 0; {
		if len(b) < 4 || len(b) < 4+int(binary.BigEndian.Uint16(b[2:])) {
			return kind, attrs, errors.New("peer: an attribute is cut off")
		}
		end := 4 + int(binary.BigEndian.Uint16(b[2:]))
		a := Attribute{binary.BigEndian.Uint16(b), b[4:end]}
		if a.Type&0x8000 != 0 {
			return kind, attrs, errors.New("peer: the reserved bit of an attribute is set")
		}
		attrs, b = append(attrs, a), b[end:]
	}
	return kind, attrs, nil
}

// faults lists what is wrong with the form of a payload that a correct sender sent.
func (p Payload) faults() []string {
	reserved := func(at ...int) []string {
		for _, i := range at {
			if i >= len(p.Body) {
				return []string{"it is cut off"}
			}
			if p.Body[i] != 0 {
				return []string{"reserved octets are not zero"}
			}
		}
		return nil
	}
	var err error
	switch p.Type {
	case TypeSA:
		_, err = ParseSA(p.Body)
	case TypeKE:
		return reserved(2, 3)
	case TypeIDi, TypeIDr, TypeAuth:
		return reserved(1, 2, 3)
	case TypeNonce:
		if len(p.Body) < 16 || len(p.Body) > 256 {
			err = fmt.Errorf("a nonce of %d octets", len(p.Body))
		}
	case TypeNotify:
		err = notifyFault(p.Body)
	case TypeDelete:
		err = deleteFault(p.Body)
	case TypeTSi, TypeTSr:
		_, err = ParseTS(p.Body)
	case TypeCP:
		_, _, err = ParseCP(p.Body)
	}
	if err != nil {
		return []string{err.Error()}
	}
	return nil
}

// notifyFault checks protocol and SPI (RFC 7296 section 3.10): both or none, and four octets, as only those of child SAs
// are named.
func notifyFault(b []byte) error {
	n, err := ParseNotify(b)
	switch {
	case err != nil:
		return err
	case len(n.SPI) == 0 && n.Protocol != 0:
		return fmt.Errorf("protocol %d without an SPI", n.Protocol)
	case len(n.SPI) != 0 && (len(n.SPI) != 4 || n.Protocol != ProtoESP && n.Protocol != ProtoAH):
		return fmt.Errorf("an SPI of %d octets of protocol %d", len(n.SPI), n.Protocol)
	}
	return nil
}

// deleteFault checks protocol, SPI size and count (RFC 7296 section 3.11).
func deleteFault(b []byte) error {
	if len(b) < 4 {
		return errors.New("it is cut off")
	}
	size, count := int(b[1]), int(binary.BigEndian.Uint16(b[2:]))
	want := map[byte]int{ProtoIKE: 0, ProtoAH: 4, ProtoESP: 4}
	if s, known := want[b[0]]; !known || s != size || len(b) != 4+size*count || size == 0 && count != 0 || size != 0 && count == 0 {
		return fmt.Errorf("protocol %d, %d SPIs of %d octets in %d", b[0], count, size, len(b)-4)
	}
	return nil
}
