package wire2

import "math"

// Limits of what Parse accepts. Most lie far above what peers send and exist so that one datagram cannot make us
// allocate or compare without bound.
const (
	// MaxMessage is the size of a message in octets: the length field of TCP encapsulation has 16 bits (RFC 9329
	// section 3), and UDP carries less.
	MaxMessage = math.MaxUint16
	// MaxPayloads bounds the payloads of a chain. An IKE_AUTH request with a long certificate chain and all notifies
	// known today has about 40.
	MaxPayloads = 128
	// MaxProposals bounds the proposals of an SA payload. The longest default list seen has 18; a remote-access client
	// that spells out each combination may send some dozens.
	MaxProposals = 128
	// MaxTransforms bounds the transforms of one proposal, whose count could say 255. All transforms that IANA lists
	// for types 1 to 5 together are fewer than this.
	MaxTransforms = 128
	// MaxSATransforms bounds the transforms of an SA payload over all its proposals: what proposal choice has to compare.
	MaxSATransforms = 1024
	// MaxAttributes bounds the attributes of a transform. One type is defined, Key Length (RFC 7296 section 3.3.5).
	MaxAttributes = 8
	// MaxSelectors bounds the selectors of a TS payload. It is what its count can say (RFC 7296 section 3.13).
	MaxSelectors = math.MaxUint8
	// MaxDeleteSPIs bounds the SPIs of a Delete payload. A peer with more child SAs can send several payloads.
	MaxDeleteSPIs = 1024
	// MaxCPAttributes bounds the attributes of a CP payload: a reply for split tunnelling carries one per subnet and
	// per internal domain (RFC 8598).
	MaxCPAttributes = 512

	// MinNonce and MaxNonce bound the size of nonce data in octets (RFC 7296 section 3.9).
	MinNonce = 16
	MaxNonce = 256
)
