// Package pool gives inner addresses to peers (RFC 7296 section 2.19) from the pools of the configuration, and remembers who
// had which.
//
// How to read it. An Allocator decides, has no clock and no file, and is for one goroutine. A store keeps its decisions in a
// file. A Service joins both behind the calls of the protocol machines.
//
// Promises:
//   - An address has one identity. Several IKE SAs of an identity have different addresses, except when one succeeds
//     another: it says so, or it asks for the other's address from the same place. Then both hold the address until the
//     last of them gives it back.
//   - After it was given back, an address stays with its identity for the pool's Keep, through restarts, as long as the
//     pool has others to give: a pool that runs out takes the one that has rested longest.
//   - A lease is in the file before the peer is told of it. When the file cannot be written, leases are given all the same,
//     the operator is told once, and the file is written anew as soon as that is possible.
//   - Whatever cannot be read of a damaged file is left behind under another name; what can be read counts.
//
// Limits: 262,144 addresses of a family are remembered in a pool, those in use and those kept. A daemon's IKE SAs do not
// outlive it, so that after a start all leases are kept ones.
package pool
