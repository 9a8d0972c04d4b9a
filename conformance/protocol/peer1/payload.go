package peer1

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// DOI is the IPsec DOI, SituationIdentity its usual situation (RFC 2407 section 4.2).
const (
	DOI               = 1
	SituationIdentity = 1
)

// Protocols (RFC 2407 section 4.4.1).
const (
	ProtoISAKMP = 1
	ProtoAH     = 2
	ProtoESP    = 3
)

// Notify message types (RFC 2408 section 3.14.1, RFC 2407 section 4.6.3, RFC 3706 section 5.3).
const (
	InvalidPayloadType     = 1
	SituationNotSupported  = 3
	InvalidSPI             = 11
	AttributesNotSupported = 13
	NoProposalChosen       = 14
	PayloadMalformed       = 16
	InvalidKeyInformation  = 17
	InvalidIDInformation   = 18
	AuthenticationFailed   = 24
	Connected              = 16384
	ResponderLifetime      = 24576
	ReplayStatus           = 24577
	InitialContact         = 24578
	RUThere                = 36136
	RUThereAck             = 36137
)

// Attribute classes of phase 1 (RFC 2409 appendix A).
const (
	Encryption   = 1
	Hash         = 2
	AuthMethod   = 3
	Group        = 4
	GroupType    = 5
	GroupPrime   = 6
	LifeType     = 11
	LifeDuration = 12
	KeyLength    = 14
)

// Attribute classes of phase 2 (RFC 2407 section 4.5).
const (
	SALifeType     = 1
	SALifeDuration = 2
	SAGroup        = 3
	Encapsulation  = 4
	Integrity      = 5
	SAKeyLength    = 6
)

// Values of Encapsulation (RFC 2407 section 4.5, RFC 3947 section 5.1).
const (
	Tunnel       = 1
	Transport    = 2
	UDPTunnel    = 3
	UDPTransport = 4
)

// Units of lifetimes.
const (
	Seconds   = 1
	Kilobytes = 2
)

// Attribute is a data attribute (RFC 2408 section 3.3): basic with Value, or variable with Data.
type Attribute struct {
	Class uint16
	Value uint16
	Data  []byte // nil: basic
}

// Number returns the number in an attribute, whatever its form.
func (a Attribute) Number() (n uint64) {
	if a.Data == nil {
		return uint64(a.Value)
	}
	for _, c := range a.Data {
		n = n<<8 | uint64(c)
	}
	return n
}

// Transform is one transform of a proposal.
type Transform struct {
	Number, ID uint8
	Attributes []Attribute
}

// Value returns the number in the first attribute of a class; the second result is false when there is none.
func (t Transform) Value(class uint16) (uint64, bool) {
	i := slices.IndexFunc(t.Attributes, func(a Attribute) bool { return a.Class == class })
	if i < 0 {
		return 0, false
	}
	return t.Attributes[i].Number(), true
}

// Proposal is one proposal of an SA payload.
type Proposal struct {
	Number, Protocol uint8
	SPI              []byte
	Transforms       []Transform
}

// SAPayload returns an SA payload for identities only.
func SAPayload(ps ...Proposal) peer.Payload {
	b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, DOI), SituationIdentity)
	for i, p := range ps {
		b = structure(b, more(i, len(ps), TypeProposal), p.body())
	}
	return peer.Payload{Type: TypeSA, Body: b}
}

// more is the Next Payload of the structure with index i of n (RFC 2408 sections 3.5 and 3.6).
func more(i, n int, kind uint8) uint8 {
	if i < n-1 {
		return kind
	}
	return 0
}

// structure appends a body behind its generic header.
func structure(b []byte, next uint8, body []byte) []byte {
	b = binary.BigEndian.AppendUint16(append(b, next, 0), uint16(genericLen+len(body)))
	return append(b, body...)
}

func (p Proposal) body() []byte {
	b := append([]byte{p.Number, p.Protocol, uint8(len(p.SPI)), uint8(len(p.Transforms))}, p.SPI...)
	for i, t := range p.Transforms {
		b = structure(b, more(i, len(p.Transforms), TypeTransform), append([]byte{t.Number, t.ID, 0, 0}, Attributes(t.Attributes)...))
	}
	return b
}

// Attributes encodes data attributes.
func Attributes(list []Attribute) (b []byte) {
	for _, a := range list {
		if a.Data == nil {
			b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, a.Class|0x8000), a.Value)
			continue
		}
		b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, a.Class), uint16(len(a.Data)))
		b = append(b, a.Data...)
	}
	return b
}

// ParseSA reads the body of an SA payload and demands what RFC 2408 sections 3.4 to 3.6 and RFC 2407 section 4.6.1 want of it: DOI and
// situation, lengths and counts that agree, zero in what is reserved, and no Next Payload but the two that there are.
func ParseSA(b []byte) (list []Proposal, err error) {
	if len(b) < 8 || binary.BigEndian.Uint32(b) != DOI || binary.BigEndian.Uint32(b[4:]) != SituationIdentity {
		return nil, errors.New("not the IPsec DOI with SIT_IDENTITY_ONLY")
	}
	err = structures(b[8:], TypeProposal, func(body []byte) error {
		p, err := parseProposal(body)
		list = append(list, p)
		return err
	})
	return list, err
}

// structures reads a chain of proposals or transforms.
func structures(b []byte, kind uint8, each func([]byte) error) error {
	for going := true; going; {
		if len(b) < genericLen || b[1] != 0 || b[0] != 0 && b[0] != kind {
			return fmt.Errorf("the header of a structure of type %d is % x", kind, b[:min(len(b), genericLen)])
		}
		length := int(binary.BigEndian.Uint16(b[2:]))
		if length < genericLen || length > len(b) {
			return fmt.Errorf("a structure of type %d says its length is %d, %d octets are left", kind, length, len(b))
		}
		if err := each(b[genericLen:length]); err != nil {
			return err
		}
		going, b = b[0] != 0, b[length:]
	}
	if len(b) > 0 {
		return fmt.Errorf("%d octets follow the last structure of type %d", len(b), kind)
	}
	return nil
}

func parseProposal(b []byte) (p Proposal, err error) {
	if len(b) < 4 || len(b) < 4+int(b[2]) {
		return p, errors.New("a proposal is cut off")
	}
	p = Proposal{Number: b[0], Protocol: b[1], SPI: b[4 : 4+int(b[2])]}
	err = structures(b[4+int(b[2]):], TypeTransform, func(t []byte) error {
		if len(t) < 4 || t[2] != 0 || t[3] != 0 {
			return errors.New("RESERVED2 of a transform is not zero")
		}
		as, err := ParseAttributes(t[4:])
		p.Transforms = append(p.Transforms, Transform{Number: t[0], ID: t[1], Attributes: as})
		return err
	})
	if err == nil && int(b[3]) != len(p.Transforms) {
		err = fmt.Errorf("a proposal says that it has %d transforms, and has %d", b[3], len(p.Transforms))
	}
	return p, err
}

// ParseAttributes reads data attributes.
func ParseAttributes(b []byte) (list []Attribute, err error) {
	for len(b) > 0 {
		if len(b) < 4 {
			return list, errors.New("an attribute is cut off")
		}
		class, value := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		b = b[4:]
		if class&0x8000 != 0 {
			list = append(list, Attribute{Class: class &^ 0x8000, Value: value})
			continue
		}
		if int(value) > len(b) {
			return list, errors.New("an attribute is cut off")
		}
		list = append(list, Attribute{Class: class, Data: b[:value:value]})
		b = b[value:]
	}
	return list, nil
}

// ID is what an ID payload says (RFC 2407 section 4.6.2).
type ID struct {
	Kind, Protocol uint8
	Port           uint16
	Data           []byte
}

// Identity types (RFC 2407 section 4.6.2.1).
const (
	IDIPv4       = 1
	IDFQDN       = 2
	IDIPv4Subnet = 4
	IDIPv4Range  = 7
)

// Payload returns the ID payload.
func (i ID) Payload() peer.Payload {
	b := binary.BigEndian.AppendUint16([]byte{i.Kind, i.Protocol}, i.Port)
	return peer.Payload{Type: TypeID, Body: append(b, i.Data...)}
}

// ParseID reads the body of an ID payload.
func ParseID(b []byte) (ID, error) {
	if len(b) < 5 {
		return ID{}, errors.New("an ID payload without an identity")
	}
	return ID{Kind: b[0], Protocol: b[1], Port: binary.BigEndian.Uint16(b[2:]), Data: b[4:]}, nil
}

// Subnet is the client identity for a network.
func Subnet(s string) ID {
	p := netip.MustParsePrefix(s)
	mask := ^uint32(0) << (32 - p.Bits())
	return ID{Kind: IDIPv4Subnet, Data: binary.BigEndian.AppendUint32(p.Addr().AsSlice(), mask)}
}

// Notify is a Notification payload (RFC 2408 section 3.14).
type Notify struct {
	DOI      uint32
	Protocol uint8
	SPI      []byte
	Kind     uint16
	Data     []byte
}

// Payload returns the Notification payload.
func (n Notify) Payload() peer.Payload {
	b := append(binary.BigEndian.AppendUint32(nil, n.DOI), n.Protocol, uint8(len(n.SPI)))
	b = binary.BigEndian.AppendUint16(b, n.Kind)
	return peer.Payload{Type: TypeNotify, Body: slices.Concat(b, n.SPI, n.Data)}
}

// ParseNotify reads the body of a Notification payload.
func ParseNotify(b []byte) (n Notify, err error) {
	if len(b) < 8 || len(b) < 8+int(b[5]) {
		return n, errors.New("a Notification payload is cut off")
	}
	end := 8 + int(b[5])
	return Notify{DOI: binary.BigEndian.Uint32(b), Protocol: b[4], SPI: b[8:end], Kind: binary.BigEndian.Uint16(b[6:]), Data: b[end:]}, nil
}

// Delete is a Delete payload (RFC 2408 section 3.15).
type Delete struct {
	DOI      uint32
	Protocol uint8
	SPIs     [][]byte
}

// Payload returns the Delete payload.
func (d Delete) Payload() peer.Payload {
	size := 0
	if len(d.SPIs) > 0 {
		size = len(d.SPIs[0])
	}
	b := append(binary.BigEndian.AppendUint32(nil, d.DOI), d.Protocol, uint8(size))
	b = binary.BigEndian.AppendUint16(b, uint16(len(d.SPIs)))
	return peer.Payload{Type: TypeDelete, Body: append(b, slices.Concat(d.SPIs...)...)}
}

// ParseDelete reads the body of a Delete payload, which must be of the IPsec DOI and have as many SPIs as it says.
func ParseDelete(b []byte) (d Delete, err error) {
	if len(b) < 8 {
		return d, errors.New("a Delete payload is cut off")
	}
	d = Delete{DOI: binary.BigEndian.Uint32(b), Protocol: b[4]}
	size, count := int(b[5]), int(binary.BigEndian.Uint16(b[6:]))
	want := map[uint8]int{ProtoISAKMP: 16, ProtoESP: 4}[d.Protocol]
	if b = b[8:]; d.DOI != DOI || size == 0 || size != want || len(b) != size*count {
		return d, fmt.Errorf("DOI %d, protocol %d, %d SPIs of %d octets in %d octets", d.DOI, d.Protocol, count, size, len(b))
	}
	for spi := range slices.Chunk(b, size) {
		d.SPIs = append(d.SPIs, spi)
	}
	return d, nil
}

// NotifyOf returns the first notify of a type; false when there is none.
func NotifyOf(ps []peer.Payload, kind uint16) (Notify, bool) {
	for _, p := range ps {
		if n, err := ParseNotify(p.Body); p.Type == TypeNotify && err == nil && n.Kind == kind {
			return n, true
		}
	}
	return Notify{}, false
}

// All returns the bodies of the payloads of a type.
func All(ps []peer.Payload, kind uint8) (bodies [][]byte) {
	for _, p := range ps {
		if p.Type == kind {
			bodies = append(bodies, p.Body)
		}
	}
	return bodies
}
