package wire2

import (
	"fmt"

	"github.com/parley-ike/parley/core/wire"
)

// nameOf returns names[v], or prefix and number for a value without a name here.
func nameOf[T ~uint8 | ~uint16](names map[T]string, prefix string, v T) string {
	if name, ok := names[v]; ok {
		return name
	}
	return fmt.Sprintf("%s_%d", prefix, v)
}

// ExchangeName returns the IANA name of an exchange type.
func ExchangeName(t wire.ExchangeType) string { return nameOf(exchangeNames, "EXCHANGE", t) }

var exchangeNames = map[wire.ExchangeType]string{
	IKESAInit:     "IKE_SA_INIT",
	IKEAuth:       "IKE_AUTH",
	CreateChildSA: "CREATE_CHILD_SA",
	Informational: "INFORMATIONAL",
	38:            "IKE_SESSION_RESUME", // RFC 5723
	43:            "IKE_INTERMEDIATE",   // RFC 9242
	44:            "IKE_FOLLOWUP_KE",    // RFC 9370
}

// PayloadName returns the notation of a payload type (RFC 7296 section 3.2).
func PayloadName(t wire.PayloadType) string { return nameOf(payloadNames, "PAYLOAD", t) }

var payloadNames = map[wire.PayloadType]string{
	TypeNone:     "NONE",
	TypeSA:       "SA",
	TypeKE:       "KE",
	TypeIDi:      "IDi",
	TypeIDr:      "IDr",
	TypeCert:     "CERT",
	TypeCertReq:  "CERTREQ",
	TypeAuth:     "AUTH",
	TypeNonce:    "NONCE", // Ni or Nr by the sender
	TypeNotify:   "N",
	TypeDelete:   "D",
	TypeVendorID: "V",
	TypeTSi:      "TSi",
	TypeTSr:      "TSr",
	TypeSK:       "SK",
	TypeCP:       "CP",
	TypeEAP:      "EAP",
	TypeSKF:      "SKF",
}

// String returns the IANA name.
func (p ProtocolID) String() string { return nameOf(protocolNames, "PROTOCOL", p) }

var protocolNames = map[ProtocolID]string{ProtoNone: "NONE", ProtoIKE: "IKE", ProtoAH: "AH", ProtoESP: "ESP"}

// String returns the short IANA name; types 6 to 12 are from RFC 9370.
func (t TransformType) String() string { return nameOf(transformNames, "TRANSFORM", t) }

var transformNames = map[TransformType]string{
	TransformENCR:  "ENCR",
	TransformPRF:   "PRF",
	TransformINTEG: "INTEG",
	TransformKE:    "KE",
	TransformESN:   "ESN",
	6:              "ADDKE1",
	7:              "ADDKE2",
	8:              "ADDKE3",
	9:              "ADDKE4",
	10:             "ADDKE5",
	11:             "ADDKE6",
	12:             "ADDKE7",
}

// String returns the IANA name.
func (t IDType) String() string { return nameOf(idNames, "ID", t) }

var idNames = map[IDType]string{
	IDIPv4Addr:   "ID_IPV4_ADDR",
	IDFQDN:       "ID_FQDN",
	IDRFC822Addr: "ID_RFC822_ADDR",
	IDIPv6Addr:   "ID_IPV6_ADDR",
	IDDERASN1DN:  "ID_DER_ASN1_DN",
	IDDERASN1GN:  "ID_DER_ASN1_GN",
	IDKeyID:      "ID_KEY_ID",
	12:           "ID_FC_NAME", // RFC 4595
	IDNull:       "ID_NULL",
}

// String returns the IANA name.
func (m AuthMethod) String() string { return nameOf(authNames, "AUTH_METHOD", m) }

var authNames = map[AuthMethod]string{
	AuthRSASignature:     "RSA Digital Signature",
	AuthSharedKeyMIC:     "Shared Key Message Integrity Code",
	AuthDSSSignature:     "DSS Digital Signature",
	AuthECDSA256:         "ECDSA with SHA-256 on the P-256 curve",
	AuthECDSA384:         "ECDSA with SHA-384 on the P-384 curve",
	AuthECDSA521:         "ECDSA with SHA-512 on the P-521 curve",
	12:                   "Generic Secure Password Authentication Method", // RFC 6467
	AuthNull:             "NULL Authentication",
	AuthDigitalSignature: "Digital Signature",
}

// String returns the IANA name.
func (t TSType) String() string { return nameOf(tsNames, "TS", t) }

var tsNames = map[TSType]string{
	TSIPv4AddrRange: "TS_IPV4_ADDR_RANGE",
	TSIPv6AddrRange: "TS_IPV6_ADDR_RANGE",
	9:               "TS_FC_ADDR_RANGE", // RFC 4595
	10:              "TS_SECLABEL",      // RFC 9478
}
