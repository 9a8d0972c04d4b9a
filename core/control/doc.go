// Package control is the daemon's control API: gRPC on a unix socket, and the explanation of what happened to a
// connection.
//
// Promises.
//   - Only root, the daemon's own user and members of the socket's group are served, by the credentials that the kernel
//     gives for the peer (SO_PEERCRED), whatever the permissions of the folder are. Everybody else is refused with a reason.
//   - Every request is told as event.ControlRequested: who, what, on what, with which result.
//   - History keeps, in bounded memory, the last events of the node and the story of the last attempts of every
//     connection. An answer takes account of everything that was published before it was asked for.
//   - What a peer chose is made harmless for terminals before it reaches a sentence.
//   - A slow reader of Events loses events, and is told of the gap; it slows nobody.
//
// Explain derives its verdict from the events of one attempt and from nothing else, so that the same story always gets the
// same answer. The verdict's code is stable; its sentences are for people.
//
// Limits. What happened before the daemon's start is not known. Of an attempt with very many events, some in the middle are
// left out, and how many is told. A peer that answers AUTHENTICATION_FAILED, NO_PROPOSAL_CHOSEN or TS_UNACCEPTABLE does not
// say why (RFC 7296 sections 2.21 and 3.10.1), so that the explanation names all it can be.
package control
