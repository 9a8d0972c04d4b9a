// Package pfkey is an SA backend on a kernel's own IPsec, by PF_KEY (RFC 2367) with the extensions of KAME and Linux. It is for kernels
// without XFRM's netlink interface; where there is that, sa/xfrm can do more.
//
// It promises all that package kernel promises, and:
//
//   - Probe tells what the kernel said when it was asked to REGISTER, less what nobody could talk to: HMAC-SHA2-256 is cut to 96 bits by
//     Linux, where RFC 4868 means 128. There are no combined-mode ciphers and no extended sequence numbers. The daemon proposes only what
//     is left.
//   - PF_KEY has no tag for an owner. Ours are SAs that the journal knows and that bear the reqid it knows, and policies whose reqid is of
//     a range of ours (ReqIDBase); what is in our way and another's is an error.
//   - The outbound policy names a family of children by its reqid, and of these the kernel sends on the youngest.
//   - To another address an SA moves by MIGRATE, with its numbers and window. While the kernel copies it, the old one may still send: some
//     numbers can come twice, which costs packets (the peer drops them as replays) and with CBC no secret.
//   - Linux drops what a PF_KEY socket's buffer cannot hold without a word, so the kernel is compared with the journal from time to time.
//
// Its limits, on Linux: the selectors of a child are of one address family; replay windows have 32 packets at most; at most 8191 children
// with policies of their own; the message about a packet that met a trap does not say which packet; a child cannot change to or from UDP
// encapsulation, nor move in transport mode, and is made anew then. The dialects of other kernels are in package pfkeyv2; there is no
// backend on those kernels yet, because routes and addresses are made by netlink.
package pfkey
