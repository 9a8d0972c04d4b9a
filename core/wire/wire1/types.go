package wire1

import "github.com/parley-ike/parley/core/wire"

// Exchange types (RFC 2408 section 3.1, RFC 2409 appendix A; 6 from draft-dukes-ike-mode-cfg-02).
const (
	Base          wire.ExchangeType = 1
	MainMode      wire.ExchangeType = 2 // "identity protection"
	AuthOnly      wire.ExchangeType = 3
	Aggressive    wire.ExchangeType = 4
	Informational wire.ExchangeType = 5
	Transaction   wire.ExchangeType = 6
	QuickMode     wire.ExchangeType = 32
	NewGroupMode  wire.ExchangeType = 33
)

// Flags of a header (RFC 2408 section 3.1).
const (
	FlagEncryption wire.Flags = 0x01 // all after the header is encrypted
	FlagCommit     wire.Flags = 0x02 // wait for CONNECTED before using the SA
	FlagAuthOnly   wire.Flags = 0x04 // authenticated, not encrypted
)

// Payload types (RFC 2408 section 3.1; 14 from draft-dukes-ike-mode-cfg-02; 20 and 21 from RFC 3947; 130 and 131 from its
// drafts 00 to 03; 132 is Microsoft's and Cisco's).
const (
	TypeNone       wire.PayloadType = 0
	TypeSA         wire.PayloadType = 1
	TypeProposal   wire.PayloadType = 2 // inside SA only
	TypeTransform  wire.PayloadType = 3 // inside a proposal only
	TypeKE         wire.PayloadType = 4
	TypeID         wire.PayloadType = 5
	TypeCert       wire.PayloadType = 6
	TypeCertReq    wire.PayloadType = 7
	TypeHash       wire.PayloadType = 8
	TypeSig        wire.PayloadType = 9
	TypeNonce      wire.PayloadType = 10
	TypeNotify     wire.PayloadType = 11
	TypeDelete     wire.PayloadType = 12
	TypeVendorID   wire.PayloadType = 13
	TypeConfig     wire.PayloadType = 14
	TypeNATD       wire.PayloadType = 20
	TypeNATOA      wire.PayloadType = 21
	TypeNATDDraft  wire.PayloadType = 130
	TypeNATOADraft wire.PayloadType = 131
	TypeFragment   wire.PayloadType = 132
)

// Payload is one payload of a message. Decoded payloads own their memory.
type Payload interface {
	// Type returns the payload's number.
	Type() wire.PayloadType
	// append adds the payload's body, without its generic header.
	append(b []byte) []byte
}

// Message is a header and what follows it: payloads in clear, or the ciphertext of an encrypted message.
type Message struct {
	Header   wire.Header
	Payloads []Payload
	Cipher   []byte // when FlagEncryption is set; Header.NextPayload is then the type of the first payload inside
}

// ProtocolID says whose SA a proposal, notify or delete is about (RFC 2407 section 4.4.1).
type ProtocolID uint8

// Protocols (RFC 2407 section 4.4.1).
const (
	ProtoNone   ProtocolID = 0
	ProtoISAKMP ProtocolID = 1
	ProtoAH     ProtocolID = 2
	ProtoESP    ProtocolID = 3
	ProtoIPCOMP ProtocolID = 4
)

// Domains of interpretation (RFC 2408 appendix A.2, RFC 2407 section 4.2).
const (
	DOIGeneric uint32 = 0 // ISAKMP itself: notifies of peers that have no DOI at hand
	DOIIPsec   uint32 = 1
)

// Situations, a bitmap (RFC 2407 section 4.2).
const (
	SituationIdentityOnly uint32 = 1
	SituationSecrecy      uint32 = 2
	SituationIntegrity    uint32 = 4
)

// Attribute is a data attribute (RFC 2408 section 3.3). TV attributes (the AF bit) carry Value; TLV attributes carry Data.
type Attribute struct {
	Type  uint16 // without the AF bit
	TV    bool
	Value uint16
	Data  []byte
}

// Transform is one transform of a proposal (RFC 2408 section 3.6). ID is KeyIKE in phase 1; in phase 2 it is of the
// proposal's protocol.
type Transform struct {
	Number     uint8
	ID         uint8
	Attributes []Attribute
}

// Proposal is one proposal of an SA payload (RFC 2408 section 3.5). Proposals of one number are to be taken together.
type Proposal struct {
	Number     uint8
	Protocol   ProtocolID
	SPI        []byte // 4 octets for AH and ESP, 2 or 4 for IPCOMP; for ISAKMP ignored
	Transforms []Transform
}

// SA is the Security Association payload (RFC 2408 section 3.4, RFC 2407 section 4.6.1). Another DOI, or a situation other
// than SituationIdentityOnly, is not taken apart: Proposals is then nil and Opaque has what follows the fields known.
type SA struct {
	DOI       uint32
	Situation uint32 // DOIIPsec only
	Proposals []Proposal
	Opaque    []byte
}

// KE is the Key Exchange payload (RFC 2408 section 3.7).
type KE struct{ Data []byte }

// ID is the Identification payload (RFC 2408 section 3.8, RFC 2407 section 4.6.2).
type ID struct {
	IDType   IDType
	Protocol uint8 // IP protocol, 0 for any
	Port     uint16
	Data     []byte
}

// Cert is the Certificate payload (RFC 2408 section 3.9).
type Cert struct {
	Encoding CertEncoding
	Data     []byte
}

// CertReq is the Certificate Request payload (RFC 2408 section 3.10). Authority is a distinguished name in DER for the
// encodings of X.509; empty means any.
type CertReq struct {
	Encoding  CertEncoding
	Authority []byte
}

// Hash is the Hash payload (RFC 2408 section 3.11).
type Hash struct{ Data []byte }

// Sig is the Signature payload (RFC 2408 section 3.12).
type Sig struct{ Data []byte }

// Nonce is the Nonce payload (RFC 2408 section 3.13).
type Nonce struct{ Data []byte }

// Notify is the Notification payload (RFC 2408 section 3.14).
type Notify struct {
	DOI      uint32
	Protocol ProtocolID
	SPI      []byte // both cookies for ISAKMP, or nothing
	Kind     NotifyType
	Data     []byte
}

// Delete is the Delete payload (RFC 2408 section 3.15). SPIs is a run of SPISize octets each: 16 for ISAKMP, both cookies.
type Delete struct {
	DOI      uint32
	Protocol ProtocolID
	SPISize  uint8
	SPIs     [][]byte
}

// VendorID is the Vendor ID payload (RFC 2408 section 3.16).
type VendorID struct{ Data []byte }

// Config is the Attributes payload of transaction exchanges (draft-dukes-ike-mode-cfg-02 section 3.2), which carries mode
// configuration and XAUTH.
type Config struct {
	Kind       ConfigKind
	Identifier uint16 // the same in a request and its reply
	Attributes []Attribute
}

// NATD is the NAT-D payload: a hash of cookies, address and port (RFC 3947 section 3.2). Draft chooses the number that the
// drafts before the RFC have.
type NATD struct {
	Draft bool
	Hash  []byte
}

// NATOA is the NAT-OA payload: an original address (RFC 3947 section 5.2). Draft is as in NATD.
type NATOA struct {
	Draft  bool
	IDType IDType // IDIPv4Addr or IDIPv6Addr
	Data   []byte
}

// Fragment is a part of a message that was too long, header included (Microsoft's [MS-IKEE] section 2.2.6; Cisco's is the
// same). Number counts from 1.
type Fragment struct {
	ID     uint16 // the same in all fragments of a message
	Number uint8
	Last   bool
	Data   []byte
}

// Unknown is a payload of a type that this package does not know.
type Unknown struct {
	Number wire.PayloadType
	Body   []byte
}
