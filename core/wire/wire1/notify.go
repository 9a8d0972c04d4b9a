package wire1

import (
	"encoding/binary"

	"github.com/parley-ike/parley/core/wire"
)

// Type returns TypeNotify.
func (Notify) Type() wire.PayloadType { return TypeNotify }

func parseNotify(r *wire.Reader) Notify {
	// DOI (4), Protocol-ID (1), SPI Size (1), Notify Message Type (2), SPI, Notification Data: RFC 2408 section 3.14.
	// Whatever the SPI of an ISAKMP notify is, it is ignored (RFC2408-3.14-1), so its size is not checked.
	n := Notify{DOI: r.U32(), Protocol: ProtocolID(r.U8())}
	spiSize := int(r.U8())
	n.Kind = NotifyType(r.U16())
	n.SPI = r.Bytes(spiSize)
	n.Data = r.Rest()
	return n
}

func (n Notify) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, n.DOI)
	b = append(b, byte(n.Protocol), byte(len(n.SPI)))
	b = binary.BigEndian.AppendUint16(b, uint16(n.Kind))
	return append(append(b, n.SPI...), n.Data...)
}

// GetNotify returns the first notify of a type.
func GetNotify(ps []Payload, kind NotifyType) (Notify, bool) {
	for _, n := range All[Notify](ps) {
		if n.Kind == kind {
			return n, true
		}
	}
	return Notify{}, false
}

// NotifyType is the type of a Notification payload: errors below 16384, status from there (RFC 2408 section 3.14.1).
type NotifyType uint16

// Error notifies (RFC 2408 section 3.14.1).
const (
	InvalidPayloadType      NotifyType = 1
	DOINotSupported         NotifyType = 2
	SituationNotSupported   NotifyType = 3
	InvalidCookie           NotifyType = 4
	InvalidMajorVersion     NotifyType = 5
	InvalidMinorVersion     NotifyType = 6
	InvalidExchangeType     NotifyType = 7
	InvalidFlags            NotifyType = 8
	InvalidMessageID        NotifyType = 9
	InvalidProtocolID       NotifyType = 10
	InvalidSPI              NotifyType = 11
	InvalidTransformID      NotifyType = 12
	AttributesNotSupported  NotifyType = 13
	NoProposalChosen        NotifyType = 14
	BadProposalSyntax       NotifyType = 15
	PayloadMalformed        NotifyType = 16
	InvalidKeyInformation   NotifyType = 17
	InvalidIDInformation    NotifyType = 18
	InvalidCertEncoding     NotifyType = 19
	InvalidCertificate      NotifyType = 20
	CertTypeUnsupported     NotifyType = 21
	InvalidCertAuthority    NotifyType = 22
	InvalidHashInformation  NotifyType = 23
	AuthenticationFailed    NotifyType = 24
	InvalidSignature        NotifyType = 25
	AddressNotification     NotifyType = 26
	NotifySALifetime        NotifyType = 27
	CertificateUnavailable  NotifyType = 28
	UnsupportedExchangeType NotifyType = 29
	UnequalPayloadLengths   NotifyType = 30
)

// Status notifies (RFC 2408 section 3.14.1, RFC 2407 section 4.6.3; the last three are private: RFC 3706 section 5.3, and
// Cisco's load balancing).
const (
	Connected         NotifyType = 16384
	ResponderLifetime NotifyType = 24576
	ReplayStatus      NotifyType = 24577
	InitialContact    NotifyType = 24578
	RUThere           NotifyType = 36136
	RUThereAck        NotifyType = 36137
	UnityLoadBalance  NotifyType = 40501
	firstStatus       NotifyType = 16384
)

// IsError reports whether the notify tells of an error (RFC 2408 section 3.14.1).
func (t NotifyType) IsError() bool { return t < firstStatus }

// String returns the RFC's name, or NOTIFY_ and the number of a type without one here.
func (t NotifyType) String() string { return nameOf(notifyNames, "NOTIFY", t) }

var notifyNames = map[NotifyType]string{
	InvalidPayloadType:      "INVALID-PAYLOAD-TYPE",
	DOINotSupported:         "DOI-NOT-SUPPORTED",
	SituationNotSupported:   "SITUATION-NOT-SUPPORTED",
	InvalidCookie:           "INVALID-COOKIE",
	InvalidMajorVersion:     "INVALID-MAJOR-VERSION",
	InvalidMinorVersion:     "INVALID-MINOR-VERSION",
	InvalidExchangeType:     "INVALID-EXCHANGE-TYPE",
	InvalidFlags:            "INVALID-FLAGS",
	InvalidMessageID:        "INVALID-MESSAGE-ID",
	InvalidProtocolID:       "INVALID-PROTOCOL-ID",
	InvalidSPI:              "INVALID-SPI",
	InvalidTransformID:      "INVALID-TRANSFORM-ID",
	AttributesNotSupported:  "ATTRIBUTES-NOT-SUPPORTED",
	NoProposalChosen:        "NO-PROPOSAL-CHOSEN",
	BadProposalSyntax:       "BAD-PROPOSAL-SYNTAX",
	PayloadMalformed:        "PAYLOAD-MALFORMED",
	InvalidKeyInformation:   "INVALID-KEY-INFORMATION",
	InvalidIDInformation:    "INVALID-ID-INFORMATION",
	InvalidCertEncoding:     "INVALID-CERT-ENCODING",
	InvalidCertificate:      "INVALID-CERTIFICATE",
	CertTypeUnsupported:     "CERT-TYPE-UNSUPPORTED",
	InvalidCertAuthority:    "INVALID-CERT-AUTHORITY",
	InvalidHashInformation:  "INVALID-HASH-INFORMATION",
	AuthenticationFailed:    "AUTHENTICATION-FAILED",
	InvalidSignature:        "INVALID-SIGNATURE",
	AddressNotification:     "ADDRESS-NOTIFICATION",
	NotifySALifetime:        "NOTIFY-SA-LIFETIME",
	CertificateUnavailable:  "CERTIFICATE-UNAVAILABLE",
	UnsupportedExchangeType: "UNSUPPORTED-EXCHANGE-TYPE",
	UnequalPayloadLengths:   "UNEQUAL-PAYLOAD-LENGTHS",
	Connected:               "CONNECTED",
	ResponderLifetime:       "RESPONDER-LIFETIME",
	ReplayStatus:            "REPLAY-STATUS",
	InitialContact:          "INITIAL-CONTACT",
	RUThere:                 "R-U-THERE",
	RUThereAck:              "R-U-THERE-ACK",
	UnityLoadBalance:        "UNITY-LOAD-BALANCE",
}
