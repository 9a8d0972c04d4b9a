// Package peer1 is the test side's own IKEv1, as package peer is its IKEv2: enough of it to talk to a daemon, and to lie to it.
//
// Like its sister it shares no code with the daemon under test. Header and generic payload header are those of package peer, because
// both versions have them alike; all else is written from RFC 2407, 2408, 2409, 3706 and 3947.
//
//	wire.go     numbers, and what is wrong with the form of a message
//	payload.go  bodies of payloads, both ways
//	suite.go    algorithms, SKEYID and what follows from it
//	seal.go     encryption with its chain of IVs, and the hashes of phase 2
//
// Limits: pre-shared keys and signatures; AES-CBC-256 with SHA2-256, X25519, P-256 and MODP-2048. It is for tests: its keys are not wiped.
package peer1
