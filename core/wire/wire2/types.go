package wire2

import "github.com/parley-ike/parley/core/wire"

// Exchange types of IKEv2 (RFC 7296 section 3.1).
const (
	IKESAInit     wire.ExchangeType = 34
	IKEAuth       wire.ExchangeType = 35
	CreateChildSA wire.ExchangeType = 36
	Informational wire.ExchangeType = 37
)

// Payload types of IKEv2 (RFC 7296 section 3.2, RFC 7383 section 2.5).
const (
	TypeNone     wire.PayloadType = 0
	TypeSA       wire.PayloadType = 33
	TypeKE       wire.PayloadType = 34
	TypeIDi      wire.PayloadType = 35
	TypeIDr      wire.PayloadType = 36
	TypeCert     wire.PayloadType = 37
	TypeCertReq  wire.PayloadType = 38
	TypeAuth     wire.PayloadType = 39
	TypeNonce    wire.PayloadType = 40
	TypeNotify   wire.PayloadType = 41
	TypeDelete   wire.PayloadType = 42
	TypeVendorID wire.PayloadType = 43
	TypeTSi      wire.PayloadType = 44
	TypeTSr      wire.PayloadType = 45
	TypeSK       wire.PayloadType = 46
	TypeCP       wire.PayloadType = 47
	TypeEAP      wire.PayloadType = 48
	TypeSKF      wire.PayloadType = 53
)

// Payload is one payload of a message. Decoded payloads own their memory.
type Payload interface {
	// Type returns the payload's number.
	Type() wire.PayloadType
	// append adds the payload's body, without its generic header.
	append(b []byte) []byte
}

// Message is a header and the payloads that are visible: for a protected message before it is opened the SK or SKF
// payload alone, afterwards what was inside.
type Message struct {
	Header   wire.Header
	Payloads []Payload
}

// ProtocolID says whose SA a proposal, notify or delete is about (RFC 7296 section 3.3.1).
type ProtocolID uint8

// Protocols (RFC 7296 section 3.3.1). ProtoNone stands in notifies that concern no SA.
const (
	ProtoNone ProtocolID = 0
	ProtoIKE  ProtocolID = 1
	ProtoAH   ProtocolID = 2
	ProtoESP  ProtocolID = 3
)

// TransformType is the role of a transform in a proposal (RFC 7296 section 3.3.2).
type TransformType uint8

// Transform types (RFC 7296 section 3.3.2).
const (
	TransformENCR  TransformType = 1
	TransformPRF   TransformType = 2
	TransformINTEG TransformType = 3
	TransformKE    TransformType = 4 // "Diffie-Hellman group" until RFC 9370
	TransformESN   TransformType = 5
)

// AttrKeyLength is the one transform attribute in use, key length in bits (RFC 7296 section 3.3.5).
const AttrKeyLength = 14

// Attribute is a transform attribute. TV attributes (the AF bit) carry Value; TLV attributes carry Data.
type Attribute struct {
	Type  uint16 // without the AF bit
	TV    bool
	Value uint16
	Data  []byte
}

// Transform is one transform of a proposal (RFC 7296 section 3.3.2).
type Transform struct {
	Type       TransformType
	ID         uint16
	Attributes []Attribute
}

// Proposal is one proposal of an SA payload (RFC 7296 section 3.3.1).
type Proposal struct {
	Number     uint8
	Protocol   ProtocolID
	SPI        []byte // 0, 4 or 8 octets
	Transforms []Transform
}

// SA is the Security Association payload (RFC 7296 section 3.3).
type SA struct{ Proposals []Proposal }

// KE is the Key Exchange payload (RFC 7296 section 3.4). Method is a transform ID of type TransformKE.
type KE struct {
	Method uint16
	Data   []byte
}

// IDType is the kind of an identity (RFC 7296 section 3.5).
type IDType uint8

// Identity types (RFC 7296 section 3.5; ID_NULL from RFC 7619).
const (
	IDIPv4Addr   IDType = 1
	IDFQDN       IDType = 2
	IDRFC822Addr IDType = 3
	IDIPv6Addr   IDType = 5
	IDDERASN1DN  IDType = 9
	IDDERASN1GN  IDType = 10
	IDKeyID      IDType = 11
	IDNull       IDType = 13
)

// IDi and IDr are the Identification payloads (RFC 7296 section 3.5).
type (
	IDi ID
	IDr ID
	// ID is the body that both share. Reserved keeps the three RESERVED octets, because the AUTH computation covers
	// them as sent (RFC 7296 section 2.15, RestOfInitIDPayload).
	ID struct {
		IDType   IDType
		Reserved [3]byte
		Data     []byte
	}
)

// Cert is the Certificate payload (RFC 7296 section 3.6).
type Cert struct {
	Encoding uint8
	Data     []byte
}

// CertReq is the Certificate Request payload (RFC 7296 section 3.7).
type CertReq struct {
	Encoding    uint8
	Authorities []byte
}

// AuthMethod is an authentication method (RFC 7296 section 3.8).
type AuthMethod uint8

// Authentication methods (RFC 7296 section 3.8; 14 from RFC 7427).
const (
	AuthRSASignature     AuthMethod = 1
	AuthSharedKeyMIC     AuthMethod = 2
	AuthDSSSignature     AuthMethod = 3
	AuthECDSA256         AuthMethod = 9
	AuthECDSA384         AuthMethod = 10
	AuthECDSA521         AuthMethod = 11
	AuthNull             AuthMethod = 13
	AuthDigitalSignature AuthMethod = 14
)

// Auth is the Authentication payload (RFC 7296 section 3.8).
type Auth struct {
	Method   AuthMethod
	Reserved [3]byte
	Data     []byte
}

// Nonce is the Nonce payload (RFC 7296 section 3.9): 16 to 256 octets.
type Nonce struct{ Data []byte }

// Notify is the Notify payload (RFC 7296 section 3.10).
type Notify struct {
	Protocol ProtocolID
	SPI      []byte
	Kind     NotifyType
	Data     []byte
}

// Delete is the Delete payload (RFC 7296 section 3.11). SPIs is a run of SPISize octets each.
type Delete struct {
	Protocol ProtocolID
	SPISize  uint8
	SPIs     [][]byte
}

// VendorID is the Vendor ID payload (RFC 7296 section 3.12).
type VendorID struct{ Data []byte }

// TSType is the kind of a traffic selector (RFC 7296 section 3.13.1).
type TSType uint8

// Traffic selector types (RFC 7296 section 3.13.1).
const (
	TSIPv4AddrRange TSType = 7
	TSIPv6AddrRange TSType = 8
)

// TrafficSelector is one selector as it stands on the wire (RFC 7296 section 3.13.1). For an unknown type only Type,
// Protocol (whatever its second octet means) and Unknown are set; Unknown is the selector after its length field.
type TrafficSelector struct {
	Type               TSType
	Protocol           uint8
	StartPort, EndPort uint16
	StartAddr, EndAddr []byte // 4 or 16 octets
	Unknown            []byte
}

// TSi and TSr are the Traffic Selector payloads (RFC 7296 section 3.13).
type (
	TSi struct{ Selectors []TrafficSelector }
	TSr struct{ Selectors []TrafficSelector }
)

// SK is the Encrypted payload before it is opened (RFC 7296 section 3.14): IV, ciphertext and checksum in Body.
// First is the type of the first payload inside.
type SK struct {
	First wire.PayloadType
	Body  []byte
}

// SKF is the Encrypted Fragment payload (RFC 7383 section 2.5).
type SKF struct {
	First         wire.PayloadType // 0 in all fragments but the first
	Number, Total uint16
	Body          []byte
}

// CP is the Configuration payload (RFC 7296 section 3.15).
type CP struct {
	Kind       uint8 // CFGRequest, ...
	Attributes []CPAttribute
}

// CPAttribute is one configuration attribute (RFC 7296 section 3.15.1). Reserved is the R bit.
type CPAttribute struct {
	Reserved bool
	Type     uint16 // 15 bits
	Value    []byte
}

// EAP is the Extensible Authentication Protocol payload (RFC 7296 section 3.16); Message is opaque.
type EAP struct{ Message []byte }

// Unknown is a payload of a type that this package does not know. The machine decides what its critical bit means
// (RFC 7296 section 2.5).
type Unknown struct {
	Number   wire.PayloadType
	Critical bool
	Body     []byte
}
