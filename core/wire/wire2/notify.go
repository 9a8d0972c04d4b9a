package wire2

import (
	"encoding/binary"
	"fmt"

	"github.com/parley-ike/parley/core/wire"
)

// Type returns TypeNotify.
func (Notify) Type() wire.PayloadType { return TypeNotify }

func parseNotify(r *wire.Reader) Notify {
	// Protocol ID (1), SPI Size (1), Notify Message Type (2), SPI, Notification Data: RFC 7296 section 3.10. Which
	// protocols and SPI sizes go with a type is not checked: peers vary, and Protocol ID is to be ignored without an
	// SPI.
	n := Notify{Protocol: ProtocolID(r.U8())}
	spiSize := int(r.U8())
	n.Kind = NotifyType(r.U16())
	n.SPI = r.Bytes(spiSize)
	n.Data = r.Rest()
	return n
}

func (n Notify) append(b []byte) []byte {
	b = append(b, byte(n.Protocol), byte(len(n.SPI)))
	b = binary.BigEndian.AppendUint16(b, uint16(n.Kind))
	b = append(b, n.SPI...)
	return append(b, n.Data...)
}

// GetNotify returns the first notify of a type.
func GetNotify(ps []Payload, kind NotifyType) (Notify, bool) {
	for _, p := range ps {
		if n, ok := p.(Notify); ok && n.Kind == kind {
			return n, true
		}
	}
	return Notify{}, false
}

// NotifyType is the type of a Notify payload: errors below 16384, status from there (RFC 7296 section 3.10.1).
type NotifyType uint16

// Error notifies (RFC 7296 section 3.10.1 and the IANA registry).
const (
	UnsupportedCriticalPayload NotifyType = 1
	InvalidIKESPI              NotifyType = 4
	InvalidMajorVersion        NotifyType = 5
	InvalidSyntax              NotifyType = 7
	InvalidMessageID           NotifyType = 9
	InvalidSPI                 NotifyType = 11
	NoProposalChosen           NotifyType = 14
	InvalidKEPayload           NotifyType = 17
	AuthenticationFailed       NotifyType = 24
	SinglePairRequired         NotifyType = 34
	NoAdditionalSAs            NotifyType = 35
	InternalAddressFailure     NotifyType = 36
	FailedCPRequired           NotifyType = 37
	TSUnacceptable             NotifyType = 38
	InvalidSelectors           NotifyType = 39
	TemporaryFailure           NotifyType = 43
	ChildSANotFound            NotifyType = 44
)

// Status notifies (RFC 7296 section 3.10.1 and the IANA registry).
const (
	InitialContact            NotifyType = 16384
	SetWindowSize             NotifyType = 16385
	AdditionalTSPossible      NotifyType = 16386
	IPCOMPSupported           NotifyType = 16387
	NATDetectionSourceIP      NotifyType = 16388
	NATDetectionDestinationIP NotifyType = 16389
	Cookie                    NotifyType = 16390
	UseTransportMode          NotifyType = 16391
	HTTPCertLookupSupported   NotifyType = 16392
	RekeySA                   NotifyType = 16393
	ESPTFCPaddingNotSupported NotifyType = 16394
	NonFirstFragmentsAlso     NotifyType = 16395
	MOBIKESupported           NotifyType = 16396
	EAPOnlyAuthentication     NotifyType = 16417
	ChildlessIKEv2Supported   NotifyType = 16418
	IKEv2FragmentationSupport NotifyType = 16430
	SignatureHashAlgorithms   NotifyType = 16431
	firstStatus               NotifyType = 16384
)

// IsError reports whether the notify tells of an error. Unknown errors end the exchange as failed, unknown status
// notifies are ignored (RFC 7296 section 3.10.1).
func (t NotifyType) IsError() bool { return t < firstStatus }

// String returns the IANA name, or the number of a type without one here.
func (t NotifyType) String() string {
	if name, ok := notifyNames[t]; ok {
		return name
	}
	return fmt.Sprintf("NOTIFY_%d", uint16(t))
}

var notifyNames = map[NotifyType]string{
	UnsupportedCriticalPayload: "UNSUPPORTED_CRITICAL_PAYLOAD",
	InvalidIKESPI:              "INVALID_IKE_SPI",
	InvalidMajorVersion:        "INVALID_MAJOR_VERSION",
	InvalidSyntax:              "INVALID_SYNTAX",
	InvalidMessageID:           "INVALID_MESSAGE_ID",
	InvalidSPI:                 "INVALID_SPI",
	NoProposalChosen:           "NO_PROPOSAL_CHOSEN",
	InvalidKEPayload:           "INVALID_KE_PAYLOAD",
	AuthenticationFailed:       "AUTHENTICATION_FAILED",
	SinglePairRequired:         "SINGLE_PAIR_REQUIRED",
	NoAdditionalSAs:            "NO_ADDITIONAL_SAS",
	InternalAddressFailure:     "INTERNAL_ADDRESS_FAILURE",
	FailedCPRequired:           "FAILED_CP_REQUIRED",
	TSUnacceptable:             "TS_UNACCEPTABLE",
	InvalidSelectors:           "INVALID_SELECTORS",
	TemporaryFailure:           "TEMPORARY_FAILURE",
	ChildSANotFound:            "CHILD_SA_NOT_FOUND",
	InitialContact:             "INITIAL_CONTACT",
	SetWindowSize:              "SET_WINDOW_SIZE",
	AdditionalTSPossible:       "ADDITIONAL_TS_POSSIBLE",
	IPCOMPSupported:            "IPCOMP_SUPPORTED",
	NATDetectionSourceIP:       "NAT_DETECTION_SOURCE_IP",
	NATDetectionDestinationIP:  "NAT_DETECTION_DESTINATION_IP",
	Cookie:                     "COOKIE",
	UseTransportMode:           "USE_TRANSPORT_MODE",
	HTTPCertLookupSupported:    "HTTP_CERT_LOOKUP_SUPPORTED",
	RekeySA:                    "REKEY_SA",
	ESPTFCPaddingNotSupported:  "ESP_TFC_PADDING_NOT_SUPPORTED",
	NonFirstFragmentsAlso:      "NON_FIRST_FRAGMENTS_ALSO",
	MOBIKESupported:            "MOBIKE_SUPPORTED",
	EAPOnlyAuthentication:      "EAP_ONLY_AUTHENTICATION",
	ChildlessIKEv2Supported:    "CHILDLESS_IKEV2_SUPPORTED",
	IKEv2FragmentationSupport:  "IKEV2_FRAGMENTATION_SUPPORTED",
	SignatureHashAlgorithms:    "SIGNATURE_HASH_ALGORITHMS",
}
