// Package xfrm is an SA backend on the Linux kernel's own IPsec, by its XFRM netlink interface.
//
// It promises:
//
//   - Probe finds out by really trying: it installs and deletes a throw-away SA per algorithm, with an SPI that no SA can have
//     (RFC 4303 section 2.1), and tells what the kernel answered and what that means.
//   - All that package kernel promises: an order that leaks nothing, a journal, nothing made again with keys that were used.
//   - Of children with the same selectors the youngest that is not held back sends: the outbound policy names its SPI. A policy
//     goes with the last child that needs it. Rekeying loses no packet.
//   - Update changes ports in place. To another address it makes the SA anew with the numbers, window and counters of the old one;
//     the outbound number jumps, so that none comes twice whatever the old SA sent meanwhile.
//   - The kernel's entries bear a reqid of a range of our own (ReqIDBase). What does not is another's and is never changed: a
//     policy of another in our place is an error.
//   - A journal in Config.StateDir (mode 0600, no keys) is written before the kernel is changed, so that a restarted plugin knows
//     what is its own. The SAs themselves live in the kernel and carry on.
//   - Watch tells of limits, of sequence numbers that end (the kernel itself would stop without a word), of peers behind a NAT that
//     move, and of SAs that vanished. Those are never made again with their keys: nobody knows which IVs were used. When the kernel
//     tells more than the socket's buffer holds, everything is compared.
//
// Numbers are IANA's throughout; the kernel's names of algorithms do not leave this package.
//
// Inner addresses that a peer assigned (RFC 7296 section 2.19) are given to Config.Interface as long as a child has them. What the
// child reaches gets a route in a table of its own (Config.RouteTable) that names the source, as do children whose selectors take
// another address of this machine than the outer one.
//
// A packet that meets a trap makes the kernel tell of it, once in net.core.xfrm_acq_expires seconds (30) unless a child comes. It is
// dropped, unless net.core.xfrm_larval_drop is 0: then it waits for the child.
//
// A child may be handled in other ways than most (sa.Handling): marks and the numbers of XFRM interfaces are part of its policies; the
// inbound SA gives what it received the mark that the inbound policy wants, so that a VTI needs net.ipv4.conf.DEVICE.disable_policy.
// An interface that a child names is made, routed through and deleted with its last child; the one of another stays. In a network
// namespace of its own the inner side has no other way out. Of policies without SAs an operator's word goes before a child's.
//
// NewOffload is the same on network devices: packet offload, then crypto offload, then software, as far as the child wants and the device
// can, which Placed tells. A device that goes down loses its SAs (the kernel deletes them); the children are made anew on what is there
// then. A child that went on in software stays there until it is rekeyed. When a device takes the SA of a packet offload but refuses
// its policy, the installation fails: a lesser mode must be asked for.
//
// Its limits: TFC padding is asked of the kernel, which pads only packets that do not take its
// segmentation path: with esp4_offload or esp6_offload loaded those in UDP alone. Port ranges other than one port or all, and ICMP
// types, cannot be put into one policy and are refused. A selector that covers the peer's own address would catch IKE and ESP in UDP as
// well, unless the daemon's sockets have a bypass policy of their own (IP_XFRM_POLICY). Byte counters are the kernel's, with its own
// idea of what a packet's length is.
package xfrm
