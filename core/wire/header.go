package wire

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
