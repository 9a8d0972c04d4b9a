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
	UnacceptableAddresses      NotifyType = 40 // RFC 4555
	UnexpectedNATDetected      NotifyType = 41 // RFC 4555
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
	MOBIKESupported           NotifyType = 16396 // RFC 4555, as the six below
	AdditionalIP4Address      NotifyType = 16397
	AdditionalIP6Address      NotifyType = 16398
	NoAdditionalAddresses     NotifyType = 16399
	UpdateSAAddresses         NotifyType = 16400
	Cookie2                   NotifyType = 16401
	NoNATsAllowed             NotifyType = 16402
	AuthLifetime              NotifyType = 16403 // RFC 4478
	RedirectSupported         NotifyType = 16406 // RFC 5685, as the two below
	Redirect                  NotifyType = 16407
	RedirectedFrom            NotifyType = 16408
	EAPOnlyAuthentication     NotifyType = 16417
	ChildlessIKEv2Supported   NotifyType = 16418
	IKEv2FragmentationSupport NotifyType = 16430
	SignatureHashAlgorithms   NotifyType = 16431
	firstStatus               NotifyType = 16384
)

// IsError reports whether the notify tells of an error. Unknown errors end the exchange as failed, unknown status
// notifies are ignored (RFC 7296 section 3.10.1).
func (t NotifyType) IsError() bool { return t < firstStatus }

// String returns the IANA name, or NOTIFY_ and the number of a type without one here.
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
	AdditionalIP4Address:       "ADDITIONAL_IP4_ADDRESS",
	AdditionalIP6Address:       "ADDITIONAL_IP6_ADDRESS",
	NoAdditionalAddresses:      "NO_ADDITIONAL_ADDRESSES",
	UpdateSAAddresses:          "UPDATE_SA_ADDRESSES",
	Cookie2:                    "COOKIE2",
	NoNATsAllowed:              "NO_NATS_ALLOWED",
	UnacceptableAddresses:      "UNACCEPTABLE_ADDRESSES",
	UnexpectedNATDetected:      "UNEXPECTED_NAT_DETECTED",
	AuthLifetime:               "AUTH_LIFETIME",
	RedirectSupported:          "REDIRECT_SUPPORTED",
	Redirect:                   "REDIRECT",
	RedirectedFrom:             "REDIRECTED_FROM",
	EAPOnlyAuthentication:      "EAP_ONLY_AUTHENTICATION",
	ChildlessIKEv2Supported:    "CHILDLESS_IKEV2_SUPPORTED",
	IKEv2FragmentationSupport:  "IKEV2_FRAGMENTATION_SUPPORTED",
	SignatureHashAlgorithms:    "SIGNATURE_HASH_ALGORITHMS",

	// Registered since, so that logs can name what peers send.
	42:    "USE_ASSIGNED_HoA",                    // RFC 5026
	47:    "STATE_NOT_FOUND",                     // RFC 9370
	48:    "TS_MAX_QUEUE",                        // RFC 9611
	16404: "MULTIPLE_AUTH_SUPPORTED",             // RFC 4739
	16405: "ANOTHER_AUTH_FOLLOWS",                // RFC 4739
	16409: "TICKET_LT_OPAQUE",                    // RFC 5723
	16410: "TICKET_REQUEST",                      // RFC 5723
	16411: "TICKET_ACK",                          // RFC 5723
	16412: "TICKET_NACK",                         // RFC 5723
	16413: "TICKET_OPAQUE",                       // RFC 5723
	16414: "LINK_ID",                             // RFC 5739
	16415: "USE_WESP_MODE",                       // RFC 5840
	16419: "QUICK_CRASH_DETECTION",               // RFC 6290
	16420: "IKEV2_MESSAGE_ID_SYNC_SUPPORTED",     // RFC 6311
	16421: "IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED", // RFC 6311
	16422: "IKEV2_MESSAGE_ID_SYNC",               // RFC 6311
	16423: "IPSEC_REPLAY_COUNTER_SYNC",           // RFC 6311
	16424: "SECURE_PASSWORD_METHODS",             // RFC 6467
	16425: "PSK_PERSIST",                         // RFC 6631
	16426: "PSK_CONFIRM",                         // RFC 6631
	16427: "ERX_SUPPORTED",                       // RFC 6867
	16432: "CLONE_IKE_SA_SUPPORTED",              // RFC 7791
	16433: "CLONE_IKE_SA",                        // RFC 7791
	16434: "PUZZLE",                              // RFC 8019
	16435: "USE_PPK",                             // RFC 8784
	16436: "PPK_IDENTITY",                        // RFC 8784
	16437: "NO_PPK_AUTH",                         // RFC 8784
	16438: "INTERMEDIATE_EXCHANGE_SUPPORTED",     // RFC 9242
	16439: "IP4_ALLOWED",                         // RFC 8983
	16440: "IP6_ALLOWED",                         // RFC 8983
	16441: "ADDITIONAL_KEY_EXCHANGE",             // RFC 9370
	16442: "USE_AGGFRAG",                         // RFC 9347
	16443: "SUPPORTED_AUTH_METHODS",              // RFC 9593
	16444: "SA_RESOURCE_INFO",                    // RFC 9611
}
