// Package userspace is an SA backend that carries ESP itself: inner packets come from and go to a TUN device, ESP packets
// travel over a raw socket (protocol 50) or in UDP (RFC 3948) over sockets that the daemon handed over. It serves
// machines whose kernel cannot do ESP; it does tunnel mode with IPv4 and IPv6 inside and outside.
//
// # Promises
//
//   - No sequence number, and so no nonce of AES-GCM or ChaCha20-Poly1305, is ever used twice under one key, even when the
//     process is killed at any instant and the same child is installed again: the counter is in a file that is mapped
//     shared, and it moves before a packet is sealed. The anti-replay window lies beside it, so that a restart opens no
//     door for replays either. When the counter cannot be found or kept, Install fails.
//   - Install makes the inbound SA, then the outbound one, then the routes; Remove goes the other way; a child that is installed
//     again under its UID with other keys or addresses replaces the old one in one step.
//   - Update does so too, and the child keeps its numbers and its age. A child that is held back receives and does not send.
//   - Inbound packets pass when their SPI is known, their number is fresh, their ICV right and their addresses, protocol
//     and ports are within the child's selectors (RFC 4301 section 5.2), in this order; all else is dropped and counted.
//   - Outbound packets take the child with the most specific selectors that match them; among equals the newest one. What
//     matches nothing is dropped, never sent in clear.
//   - The data path allocates nothing per packet.
//
// # Choices
//
// The TUN device is persistent: it outlives this process, so that routes stay and nothing leaks in clear while the plugin is
// restarted. Close(true) removes it. State lies in Config.StateDir, which must live as long as the daemon's keys do (a
// directory under /run is right).
//
// Routes: the prefixes of the remote selectors lead into the TUN device in the main table, with the highest priority that
// an own prefix can have. A route that is already there for the very same prefix is not replaced: Install fails and names
// it. The default route is written as its two halves, so that the machine's own default route stays. When a remote selector covers
// the peer's outer address, that address gets a host route by the old next hop: unlike a policy rule with a mark, this
// also serves the daemon's IKE sockets, which bear no mark; the price is that a change of the old next hop is seen only at
// the next Install.
//
// Inner addresses that a peer assigned (RFC 7296 section 2.19) are the device's as long as a child has them, and the source of the
// routes to what that child reaches.
//
// Sizes: the device's MTU, and the mtu of each route, is the path's MTU minus the child's overhead, so that one inner packet
// makes one outer packet. DF is copied from an inner IPv4 header to an outer one; an inner IPv6 packet counts as DF. When the
// kernel refuses an outer packet as too big, the child's MTU shrinks for ten minutes and the sender of an inner DF packet is told by
// an ICMP message through the TUN device (RFC 4301 section 8.2); without DF the kernel fragments the outer packet.
//
// Headers: DSCP and ECN are copied outwards, ECN inwards as RFC 6040 says; the inner TTL is decremented by the kernel that
// forwards into the TUN device, the outer one is the kernel's default.
//
// # Limits
//
// Linux only. Packets in clear that arrive from outside with addresses of a remote selector are the firewall's task: a
// TUN device cannot see them (RFC 4301 section 5.2 would drop them). Fragments without ports match only selectors of all
// ports (RFC 4301 section 7). A peer that moves behind a NAT (RFC 7296 section 2.23)
// is told of; the core decides. Transport mode,
// IPCOMP and AH are not done. One goroutine per direction and socket: about one core each way.
package userspace
