// Package wire reads and writes what ISAKMP (RFC 2408) and IKEv2 (RFC 7296) messages have in common: the 28-octet
// header and the chain of generic payloads. It knows lengths, not meaning; packages wire1 and wire2 add the payloads.
//
// Promises: no input makes it panic; nothing is allocated because a message claims to be long; slices that it returns
// are parts of the input, cut with their capacity, so that appending to one cannot reach its neighbour. Values are not
// safe for concurrent use.
//
// Limits: it judges neither versions nor flags nor SPIs, because the two protocols differ there.
package wire
