// Package peer is the test side's own IKEv2: enough of it to talk to a daemon, and to lie to it.
//
// It shares no code with the daemon under test, so that a misreading of an RFC in the one is not hidden by the same misreading in the
// other: header, payloads, key schedule and protection are written from the RFC texts on the standard library alone. A
// Message is what the sender wants to say; every field that a sender may get wrong, lengths included, can be set wrong.
//
//	wire.go     header and payloads, and what is wrong with the form of a message
//	payload.go  bodies of payloads, both ways
//	suite.go    algorithms, key schedule
//	seal.go     the Encrypted payload and the Encrypted Fragment payload
//	sa.go       one IKE SA from the side of the peer: SPIs, keys, message IDs, AUTH
//	socket.go   UDP 500 and 4500 of one address
//
// Limits: pre-shared keys only; AES-CBC-256 with HMAC-SHA2-256 or AES-GCM-256; X25519, P-256 and MODP-2048. It is for
// tests: its keys are not wiped.
package peer
