// Package ikev2 is the protocol machine of IKEv2 (RFC 7296): one SA value per IKE SA, initiator or responder.
//
// An SA consumes one input at a time through Step and appends effects (package core/machine). It opens no socket, reads
// no clock, starts no goroutine and keeps no package state, so that the same inputs give the same effects, bit for bit.
// It is not safe for concurrent use.
//
// How to read it. An exchange is a file: init_*.go, auth_*.go, informational.go, createchild.go. A message that is new,
// in the window and authentic meets a row of the tables in table.go before a handler sees it; handlers therefore start
// from complete messages. What waits for plugins is a small value (initX, authI, authR) whose methods are the
// continuations of its calls. Everything slow leaves as a call (call.go) and every wait has an end (State.deadline).
//
// Promises:
//   - A response, once sent, is repeated with the same octets and never built again (RFC 7296 section 2.1); only where the peer
//     shows that large datagrams do not arrive is the same response cut into smaller fragments (RFC 7383).
//   - Requests in the peer's window are worked on one after the other, in the order in which they came: none overtakes one that
//     waits for a plugin. Each response in the window is kept.
//   - Fragments are authenticated before they are kept, and bounded in number and octets.
//   - IKE_AUTH is answered only after the SA backend confirmed the child SA, or refused it.
//   - Closing removes by key every child that might have been installed, and ends with Done.
//   - No unauthenticated error ends an SA: error notifies in IKE_SA_INIT are remembered for the explanation while
//     retransmission goes on for Limits.RefusalGrace (RFC 7296 section 2.21.1). A whole forged answer to IKE_SA_INIT does
//     end it; who sends one has seen our SPI (section 2.4 would permit to follow several answers).
//   - Each SA ends in exactly one of the events IKEFailed and IKEDeleted, each child that came up in one ChildDeleted; a
//     responder's SA whose peer must start again with another group has none.
//   - A datagram that is not authentic costs a counter.
//
// Secrets. Step takes over the secrets in a Reply and wipes them after use: who records inputs does so before Step.
// Ops that leave carry copies of their own, which belong to the receiver.
//
// An SA does not see others. Whether there are any of the same peer it asks its driver (unique.go), and gives way to one
// when it is told so.
//
// Inner addresses (RFC 7296 section 2.19) are asked for in IKE_AUTH, given there or before the first child, and last as long as the SA
// and those that it is rekeyed to. DNSSEC trust anchors (RFC 8598) are neither told
// nor asked for.
//
// Limits: no EAP. Of our CREATE_CHILD_SA exchanges there is one at a time. SINGLE_PAIR_REQUIRED is a refusal: we know no packet to ask
// for. A new address of a peer behind a NAT is followed for IKE messages; the SA backend is not told. An SPI whose allocation
// was never answered, or whose return a backend refused, is the backend's to forget.
package ikev2
