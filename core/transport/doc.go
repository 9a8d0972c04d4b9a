// Package transport carries IKE messages over UDP: ports 500 and 4500, IPv4 and IPv6, in batches.
//
// Promises. A received Packet names the local address that it was sent to, and an answer with that Local leaves from
// it, also on a machine with many addresses and wildcard sockets. On port 4500 the non-ESP marker (RFC 3948
// section 2.2) is added and stripped here and NAT keepalives (section 2.3) are swallowed, so that nobody above knows of
// either. Packet.Data is memory of its own. A Sender belongs to one goroutine; any number of Senders, and everything
// else, may be used at the same time.
//
// ESP in UDP. ESP and IKE share port 4500 (RFC 7296 section 2.23). Behind each socket on 4500 stands a second one on the
// same address, for an SA backend: both form one SO_REUSEPORT group, in which a classic BPF program looks at the first
// four octets. Zero, the non-ESP marker, and anything shorter goes to us, the rest to the second socket. EncapFiles
// hands those out. The kernel's XFRM backend sets UDP_ENCAP on its descriptor; a userspace backend reads and writes it.
// While nobody reads them, packets fill the kernel's buffer of that socket and are then dropped there: IKE never
// suffers. Without Linux there is no second socket, and ESP in UDP is counted and dropped.
//
// Fragmentation. IKE messages may exceed the path MTU, and must then arrive in IP fragments, so DF is never set
// (IP_PMTUDISC_DONT; for IPv6 the kernel fragments to the path MTU it knows). The encapsulation sockets start with the
// same setting; a backend that wants DF sets it on its descriptor.
//
// Policies. On Linux each socket gets a bypass policy in both directions (IP_XFRM_POLICY), so that IKE is not caught by
// the IPsec policies that it negotiates. That needs CAP_NET_ADMIN; without it Warnings says so and everything else works.
//
// Limits. No TCP encapsulation (RFC 9329) yet. UDP checksums of ESP in UDP are the backend's and the kernel's concern.
package transport
