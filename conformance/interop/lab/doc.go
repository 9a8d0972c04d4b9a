// Package lab makes small networks for tests and demonstrations: network namespaces joined by a veth pair, processes in
// them, pings and captures, and real third-party daemons from Debian's packages. It needs CAP_SYS_ADMIN and
// CAP_NET_ADMIN (root, or a user namespace). Everything that it makes it removes again.
package lab
