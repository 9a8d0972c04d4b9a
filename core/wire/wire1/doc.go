// Package wire1 decodes and encodes IKEv1 messages: the payloads of ISAKMP (RFC 2408 section 3), of the IPsec DOI (RFC
// 2407 section 4.6), of NAT traversal (RFC 3947 and the drafts before it), the Attributes payload of mode configuration
// and XAUTH, and fragments as Microsoft and Cisco send them. Parse, ParsePayloads and Message.Append are the ways through
// it; each payload has its own file. Numbers and names of the DOI and of RFC 2409 are in doi.go and ike.go.
//
// Promises:
//   - No input makes it panic, and nothing is allocated because a message claims a size: see limits.go.
//   - What is decoded encodes to the very same octets, padding apart. A hash of RFC 2409 covers payloads as they were
//     sent; because of this promise it can be computed from Body and AppendPayloads. RESERVED fields that are not zero are
//     therefore refused (RFC 2408 section 2.5.2), and wrongly decrypted messages seldom get past that.
//   - Unknown payloads, attributes, notifies, identities and DOIs survive decoding and encoding.
//   - Decoded payloads share one copy of the message, which nobody else writes to. Empty fields decode to nil.
//   - An Error names offset, payload and rule, and what to tell the peer, if anything.
//
// Limits: this is syntax. Cookies, message IDs, the order of payloads, the number of transforms in an answer, and whether
// an identity has the length of an address are for the packages above to judge. With public key encryption (RFC 2409
// sections 5.2 and 5.3) the bodies of ID, NONCE, KE and CERT payloads are ciphertext: Body gives it back as it came.
package wire1
