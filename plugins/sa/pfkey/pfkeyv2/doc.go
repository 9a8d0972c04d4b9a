// Package pfkeyv2 is a codec for the messages of PF_KEY version 2 (RFC 2367) and of the extensions that kernels have added: those of
// KAME (policies, mode and reqid of an SA, NAT traversal) in Linux, FreeBSD and Darwin, and those of OpenBSD.
//
// A Message says what is meant. A Dialect says how one kernel writes it: numbers of message types, extensions, algorithms and
// families, the form of socket addresses, of requests in a policy, of replay windows and of UDP encapsulation. What a dialect has no
// way to write is an error that wraps ErrDialect, never left out.
//
// It promises: Parse never panics and never allocates by a length that a message claims; an extension that is not known is passed
// over; one that comes twice is an error (RFC 2367 section 2.3). The package is pure: it knows no socket. The layouts of Linux are
// proven on a Linux kernel; those of FreeBSD, OpenBSD and Darwin are written from their headers and proven by nothing but the
// octets in testdata.
package pfkeyv2
