package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Exchange types (RFC 7296 section 3.1).
const (
	IKESAInit     = 34
	IKEAuth       = 35
	CreateChildSA = 36
	Informational = 37
)

// Flags of the IKE header (RFC 7296 section 3.1).
const (
	FlagInitiator = 0x08
	FlagVersion   = 0x10
	FlagResponse  = 0x20
)

// Payload types (RFC 7296 section 3.2, RFC 7383 section 2.5).
const (
	TypeSA      = 33
	TypeKE      = 34
	TypeIDi     = 35
	TypeIDr     = 36
	TypeCert    = 37
	TypeCertReq = 38
	TypeAuth    = 39
	TypeNonce   = 40
	TypeNotify  = 41
	TypeDelete  = 42
	TypeVendor  = 43
	TypeTSi     = 44
	TypeTSr     = 45
	TypeSK      = 46
	TypeCP      = 47
	TypeEAP     = 48
	TypeSKF     = 53
)

const (
	headerLen  = 28
	genericLen = 4

	// Version2 is major version 2, minor version 0.
	Version2 = 0x20
	// Critical is the critical bit of the generic payload header.
	Critical = 0x80
)

// Payload is a payload as octets.
type Payload struct {
	Type  uint8
	Flags uint8 // the critical bit, and the reserved bits
	Body  []byte
	Lie   *uint16 // instead of the Payload Length, when it is to be wrong
}

// Message is an IKE message.
type Message struct {
	SPIi, SPIr uint64
	Version    uint8 // 0: Version2
	Exchange   uint8
	Flags      uint8
	ID         uint32
	Payloads   []Payload
	Lie        *uint32 // instead of the Length, when it is to be wrong
}

// Lie returns a pointer to a value for the fields of that name.
func Lie[T uint16 | uint32](v T) *T { return &v }

// Response reports whether the message says that it is one.
func (m Message) Response() bool { return m.Flags&FlagResponse != 0 }

// First returns the first payload of a type; the second result is false when there is none.
func (m Message) First(kind uint8) (Payload, bool) {
	for _, p := range m.Payloads {
		if p.Type == kind {
			return p, true
		}
	}
	return Payload{}, false
}

// Body returns the body of the first payload of a type, nil for none.
func (m Message) Body(kind uint8) []byte {
	p, _ := m.First(kind)
	return p.Body
}

// String lists what a failing test wants to see of a message.
func (m Message) String() string {
	s := fmt.Sprintf("exchange %d flags %#02x id %d:", m.Exchange, m.Flags, m.ID)
	for _, p := range m.Payloads {
		s += " " + p.String()
	}
	return s
}

// String names a payload, a notify with its type.
func (p Payload) String() string {
	names := map[uint8]string{TypeSA: "SA", TypeKE: "KE", TypeIDi: "IDi", TypeIDr: "IDr", TypeCert: "CERT", TypeCertReq: "CERTREQ",
		TypeAuth: "AUTH", TypeNonce: "Nonce", TypeDelete: "D", TypeVendor: "V", TypeTSi: "TSi", TypeTSr: "TSr", TypeSK: "SK",
		TypeCP: "CP", TypeEAP: "EAP", TypeSKF: "SKF"}
	if n, err := ParseNotify(p.Body); p.Type == TypeNotify && err == nil {
		return fmt.Sprintf("N(%d)", n.Kind)
	}
	if name := names[p.Type]; name != "" {
		return name
	}
	return fmt.Sprintf("payload %d", p.Type)
}

// Encode returns the message in clear.
func (m Message) Encode() []byte {
	return m.seal(next(m.Payloads), chain(m.Payloads, 0))
}

// seal puts the header before a body and writes the length.
func (m Message) seal(first uint8, body []byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, m.SPIi)
	b = binary.BigEndian.AppendUint64(b, m.SPIr)
	version := m.Version
	if version == 0 {
		version = Version2
	}
	b = append(b, first, version, m.Exchange, m.Flags)
	b = binary.BigEndian.AppendUint32(b, m.ID)
	length := uint32(headerLen + len(body))
	if m.Lie != nil {
		length = *m.Lie
	}
	b = binary.BigEndian.AppendUint32(b, length)
	return append(b, body...)
}

// next is the Next Payload field in front of payloads.
func next(ps []Payload) uint8 {
	if len(ps) == 0 {
		return 0
	}
	return ps[0].Type
}

// chain encodes payloads; last is the Next Payload field of the last one.
func chain(ps []Payload, last uint8) (b []byte) {
	for i, p := range ps {
		following := last
		if i+1 < len(ps) {
			following = ps[i+1].Type
		}
		length := uint16(genericLen + len(p.Body))
		if p.Lie != nil {
			length = *p.Lie
		}
		b = append(b, following, p.Flags)
		b = binary.BigEndian.AppendUint16(b, length)
		b = append(b, p.Body...)
	}
	return b
}

// Header reads the header alone, without judging it.
func Header(b []byte) (Message, error) {
	if len(b) < headerLen {
		return Message{}, errors.New("peer: the message is shorter than a header")
	}
	return Message{SPIi: binary.BigEndian.Uint64(b), SPIr: binary.BigEndian.Uint64(b[8:]), Version: b[17], Exchange: b[18],
		Flags: b[19], ID: binary.BigEndian.Uint32(b[20:])}, nil
}

// Decode reads a message in clear: an Encrypted payload stays as it is.
func Decode(b []byte) (Message, error) {
	m, err := Header(b)
	if err != nil {
		return m, err
	}
	if length := binary.BigEndian.Uint32(b[24:]); int(length) != len(b) {
		return m, fmt.Errorf("peer: the length field says %d, the datagram has %d octets", length, len(b))
	}
	m.Payloads, err = parseChain(b[16], b[headerLen:])
	return m, err
}

// parseChain reads payloads up to the end; an Encrypted payload must be the last, its Next Payload field is about its inside.
func parseChain(kind uint8, b []byte) (ps []Payload, err error) {
	for kind != 0 {
		if len(b) < genericLen {
			return ps, fmt.Errorf("peer: payload %d is cut off", kind)
		}
		length := int(binary.BigEndian.Uint16(b[2:]))
		if length < genericLen || length > len(b) {
			return ps, fmt.Errorf("peer: payload %d says its length is %d, %d octets are left", kind, length, len(b))
		}
		ps = append(ps, Payload{Type: kind, Flags: b[1], Body: b[genericLen:length]})
		if kind == TypeSK || kind == TypeSKF {
			if length != len(b) {
				return ps, errors.New("peer: something follows the Encrypted payload")
			}
			return ps, nil
		}
		kind, b = b[0], b[length:]
	}
	if len(b) != 0 {
		return ps, fmt.Errorf("peer: %d octets follow the last payload", len(b))
	}
	return ps, nil
}

// Faults lists what is wrong with the form of a message that a correct sender sent, in clear or opened: versions, flags, reserved
// and critical bits (RFC 7296 sections 2.5, 3.1 and 3.2), and those of each payload.
func (m Message) Faults() (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if m.Version != Version2 {
		fault("version %#02x", m.Version)
	}
	if m.Flags&^(FlagInitiator|FlagResponse) != 0 {
		fault("flags %#02x: the version flag or reserved ones are set", m.Flags)
	}
	if m.SPIi == 0 {
		fault("the initiator's SPI is zero")
	}
	if m.Exchange < IKESAInit || m.Exchange > Informational {
		fault("exchange type %d", m.Exchange)
	}
	for _, p := range m.Payloads {
		if p.Flags != 0 {
			fault("%v: critical or reserved bits %#02x", p, p.Flags)
		}
		for _, f := range p.faults() {
			fault("%v: %s", p, f)
		}
	}
	return faults
}
