// Package interop tests real parleyd processes, in network namespaces that the tests make, against what we did not write
// and against what goes wrong.
//
//	address_test.go     inner addresses, given and asked for, with strongSwan and between two parleyd
//	pool_test.go        a pool that is exhausted; our own virtual address carries packets
//	strongswan_test.go  Debian's strongSwan as the peer: both roles, suites, families, deletes
//	guest_test.go       in a guest kernel, on its own ESP: the demonstration
//	guest_peers_test.go in a guest kernel: the scenarios of scenario_test.go with the peers of peer_*_test.go; table in README.md
//	guest_pair_test.go  in a guest kernel: two parleyd, what only its ESP shows
//	certificate_test.go certificates and public keys: two parleyd, strongSwan, and what parley explain says
//	xauth_test.go       extended and hybrid authentication of IKEv1 with strongSwan, and what parley explain says
//	vpnc_test.go        Debian's vpnc as our client: XAUTH, mode configuration with Unity's attributes
//	rsaenc_test.go      RSA encryption of IKEv1 between two parleyd, and what parley explain says
//	pair_test.go        two parleyd: families inside and outside, both begin, SIGKILL of a daemon
//	nat_test.go         through a NAT, and forced encapsulation
//	explain_test.go     what `parley explain` says of each way to fail, at both ends
//	hostile_test.go     datagrams of an enemy
//	plugin_test.go      plugins that die, hang, or are none
//	crash_test.go       a plugin killed during each exchange
//	outage_test.go      an address that vanishes, an interface that goes down
//	keep_test.go        what is done when the peer is dead; retries with growing pauses
//	trap_test.go        the first packet brings the tunnel up
//	faults_test.go      mistakes, missing privileges and devices, a full disk
//	journal_test.go     recorded SAs replay
//	dissect_test.go     Wireshark reads our messages
//	ikescan_test.go     a scanner gets answers of IKEv1 and leaves nothing
//	scenario_ikev1_test.go  the rows about IKEv1, with strongSwan without a guest, too; two parleyd by IKEv1
//	scenario_distrust_test.go  the rows about certificates of peers that do not convince us
//
// Whatever is broken on purpose, a tunnel beside it must go on to carry packets, as ESP and nothing in clear, and no process
// may be left in a namespace at the end. A peer or a privilege that cannot be had is a loud skip with the reason. Every wait is
// for a condition. The programs are those that make build makes; PARLEY_BIN names another folder, PARLEY_CACHE where Debian's
// packages are unpacked.
package interop
