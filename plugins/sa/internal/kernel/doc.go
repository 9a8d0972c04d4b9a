// Package kernel is what SA backends on a kernel's own IPsec have in common, whatever interface they speak: which entries are ours,
// in which order they are made, changed and deleted, what a restart must know, and when what is told.
//
// A backend is a Backend with a Driver. The Driver speaks one interface (XFRM's netlink, PF_KEY) about one SA or one policy at a
// time; the Backend decides which. It promises:
//
//   - Install makes the inbound SA, the inbound policies, the outbound SA and the outbound policies in this order, and Remove goes
//     the other way, so that there is no moment at which a protected packet finds no policy but has an SA to arrive on.
//   - A policy goes with the last child that needs it, and leads to the youngest that is not held back.
//   - A journal (mode 0600, no keys) is written before the kernel is changed.
//   - What vanished from the kernel is never made again with its keys: nobody knows which sequence numbers were used.
//
// Methods of Backend are safe for concurrent use and call the Driver one call at a time.
package kernel
