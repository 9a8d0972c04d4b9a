// Package ikev1 is the protocol machine of IKEv1 (RFC 2407, 2408, 2409): one SA value per ISAKMP SA, initiator or responder, with the
// IPsec SAs that were made by it.
//
// It is the sister of package ikev2 and works alike: an SA consumes one input at a time through Step and appends effects (package
// core/machine). It opens no socket, reads no clock, starts no goroutine and keeps no package state, so that the same inputs give the
// same effects, bit for bit. It is not safe for concurrent use.
//
// How to read it. An exchange is a file: main_*.go and aggressive.go are phase 1, with what they have in common in phase1.go and
// proof.go; extend.go says what follows it: transactions (transaction.go), which carry mode configuration (modecfg*.go, unity.go);
// quick*.go is quick mode; informational.go and dpd.go the rest. exchange.go is what all exchanges share: repetition, and the chain of IVs. A message of phase 1 meets a row of table.go before a handler sees it, one of quick mode a row of quick.go. What waits
// for plugins is a small value (phase1, quick) whose methods are the continuations of its calls. Everything slow leaves as a call
// (call.go), and every wait has an end. xauth*.go is extended authentication, between phase 1 and the first quick mode.
//
// Promises:
//   - A message that was taken before is answered by the same octets as then; the running IV moves on only with a message that makes
//     sense (RFC 2408 section 5.1, RFC 2409 section 10).
//   - A stranger costs one answer for each message: before the peer has proved itself a responder repeats nothing by itself.
//   - Nothing in clear is believed. An error notify in clear, or a message that does not decrypt, is remembered for the explanation
//     while phase 1 goes on for Limits.RefusalGrace; after phase 1 it is counted. Informational messages count only under the hash of
//     an established SA. One may be an old one again: that the peer lives, or is elsewhere, only its numbers of dead peer detection show.
//   - No quick mode begins or is answered before XAUTH and mode configuration are over, where the connection has them before.
//   - A message ID of the peer's serves for one quick mode or transaction only. What is needed to remember them is bounded.
//   - A responder of quick mode has the inbound SA installed before it answers, and sends by the outbound one after the third message.
//   - Closing removes by key every child that might have been installed, gives inner addresses back, and ends with Done. Each SA ends in exactly one of the events
//     IKEFailed and IKEDeleted, each child that came up in one ChildDeleted.
//
// Secrets. Step takes over the secrets in a Reply and wipes them after use: who records inputs does so before Step. Ops that leave
// carry copies of their own, which belong to the receiver.
//
// Users. An SA with a user is not established before the user has proved who they are: until then nothing but XAUTH is answered, and a
// wrong password is answered after a pause. The pause is of one SA: who begins many guesses faster, and a credential store that counts has
// to stop that. There is the generic kind of XAUTH alone, with a name and a password; a side has one user and one password.
//
// Choices. With several selectors a child is several pairs of IPsec SAs, because IKEv1 has one selector of each side in a quick mode, and
// cannot narrow: a responder takes what lies within its own. Lifetimes are those of the side that has the shorter. Of two SAs for the
// same traffic the one that was made last sends.
//
// Limits: no AH, no IPComp, no private groups (new group mode is refused), no extended sequence numbers. A whole forged second message
// of aggressive mode ends the attempt; who sends one has seen our cookie. No fragment begins an
// SA, because nobody knows then that the other side takes them. As initiator only RSA signatures
// are offered; ECDSA is answered. unique = "keep" refuses an ISAKMP SA that is to replace another, which looks like any other one.
package ikev1
