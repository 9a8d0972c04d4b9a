package wire

import "encoding/binary"

// HeaderLen is the size of an ISAKMP and IKE header in octets (RFC 7296 section 3.1).
const HeaderLen = 28

// ExchangeType is the exchange in which a message travels (RFC 7296 section 3.1).
type ExchangeType uint8

// Flags is the flags octet of a header (RFC 7296 section 3.1).
type Flags uint8

// Flags of IKEv2 (RFC 7296 section 3.1).
const (
	FlagInitiator Flags = 0x08 // sent by the original initiator of the IKE SA
	FlagVersion   Flags = 0x10 // the sender can speak a higher major version
	FlagResponse  Flags = 0x20 // a response to the request with the same message ID
)

// PayloadType names a payload (RFC 7296 section 3.2).
type PayloadType uint8

// Header is the fixed header of every ISAKMP and IKE message.
type Header struct {
	InitiatorSPI uint64 // the initiator's cookie in IKEv1
	ResponderSPI uint64 // zero in the first message
	NextPayload  PayloadType
	Major, Minor uint8 // version, 4 bits each
	Exchange     ExchangeType
	Flags        Flags
	MessageID    uint32
	Length       uint32 // octets, header included
}

// errShortHeader is made once: short datagrams are the cheapest flood, and should cost us nothing.
var errShortHeader = &SyntaxError{Rule: "a message has at least the 28 octets of its header (RFC 7296 section 3.1)"}

// ParseHeader reads the header at the start of b. It fails with a *SyntaxError when b is shorter than HeaderLen, and
// checks nothing else: Length and the versions are as sent.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderLen {
		return Header{}, errShortHeader
	}
	// Initiator's SPI (8), Responder's SPI (8), Next Payload (1), Major and Minor Version (4 bits each),
	// Exchange Type (1), Flags (1), Message ID (4), Length (4): RFC 7296 section 3.1.
	return Header{
		InitiatorSPI: binary.BigEndian.Uint64(b),
		ResponderSPI: binary.BigEndian.Uint64(b[8:]),
		NextPayload:  PayloadType(b[16]),
		Major:        b[17] >> 4,
		Minor:        b[17] & 0x0f,
		Exchange:     ExchangeType(b[18]),
		Flags:        Flags(b[19]),
		MessageID:    binary.BigEndian.Uint32(b[20:]),
		Length:       binary.BigEndian.Uint32(b[24:]),
	}, nil
}

// Append adds the header's 28 octets to b, all fields as they are. Of the versions the low 4 bits are sent.
func (h Header) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, h.InitiatorSPI)
	b = binary.BigEndian.AppendUint64(b, h.ResponderSPI)
	b = append(b, byte(h.NextPayload), h.Major<<4|h.Minor&0x0f, byte(h.Exchange), byte(h.Flags))
	b = binary.BigEndian.AppendUint32(b, h.MessageID)
	return binary.BigEndian.AppendUint32(b, h.Length)
}
