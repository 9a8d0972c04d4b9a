package wire1

import "math"

// Limits of what Parse accepts. Most lie far above what peers send and exist so that one datagram cannot make us
// allocate or compare without bound.
const (
	// MaxMessage is the size of a message in octets, which UDP cannot exceed and TCP encapsulation (RFC 9329) does not.
	MaxMessage = math.MaxUint16
	// MaxPayloads bounds the payloads of a chain. A first message with every vendor ID of a Windows or Cisco client has
	// about 30.
	MaxPayloads = 128
	// MaxProposals bounds the proposals of an SA payload; number and protocol give each its meaning.
	MaxProposals = 64
	// MaxSATransforms bounds the transforms of an SA payload over all its proposals: what proposal choice has to compare.
	// IKEv1 spells out each combination; ike-scan's longest list has some hundreds. One proposal counts to 255 by itself.
	MaxSATransforms = 1024
	// MaxAttributes bounds the attributes of a transform. RFC 2409 appendix A has 16 classes, and lifetimes repeat two.
	MaxAttributes = 32
	// MaxConfigAttributes bounds the attributes of an Attributes payload: split tunnelling may list hundreds of networks.
	MaxConfigAttributes = 512
	// MaxDeleteSPIs bounds the SPIs of a Delete payload. A peer with more SAs can send several payloads.
	MaxDeleteSPIs = 1024

	// MinNonce and MaxNonce bound the size of a nonce in octets (RFC 2409 section 5). The decoder bounds NONCE payloads by
	// MinNonce and MaxEncryptedNonce, because it cannot see whether one is encrypted: Nonce.Plain judges.
	MinNonce = 8
	MaxNonce = 256
	// MaxEncryptedNonce is what RSA with a modulus of 16384 bits, the largest that anyone verifies with, makes of a nonce.
	MaxEncryptedNonce = 2048

	// maxISAKMPSPI is the size of both cookies; up to this size the SPI of an ISAKMP proposal is ignored (RFC 2408 section
	// 3.5).
	maxISAKMPSPI = 16
	// maxPadding is how much follows the last payload of a message in clear: some peers align messages to 4 octets (RFC
	// 2408 section 3.6).
	maxPadding = 3
)
