// Package wire2 decodes and encodes IKEv2 messages: every payload of RFC 7296 sections 3.3 to 3.16 and the Encrypted
// Fragment payload of RFC 7383. Parse and Message.Append are the two ways through it; each payload has its own file.
//
// Promises:
//   - No input makes Parse panic, and nothing is allocated because a message claims a size: see limits.go.
//   - Unknown payloads, transforms, attributes, notifies, traffic selectors and configuration attributes survive
//     decoding and encoding octet for octet. So do the RESERVED octets of ID and AUTH. Other RESERVED fields are ignored
//     on receipt and sent as zero, as is the critical bit of known payloads (RFC 7296 sections 2.5 and 3.2).
//   - Decoded payloads share one copy of the message, which nobody else writes to. Empty fields decode to nil.
//   - An Error names offset, payload and rule, and what to tell the peer, if anything.
//
// Limits: this is syntax. That proposals are numbered from 1 (macOS 14 starts a rekey at 3), that a transform has one
// attribute of a type, that an address identity has the length of an address, that a selector's end is not before its
// start, what an unknown critical payload means, and whose SPI is in the header are for the packages above to judge.
// Append encodes what it is given and reports nothing: what exceeds the limits comes out as a message that Parse refuses.
package wire2
