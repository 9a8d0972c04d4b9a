// Package interop tests parleyd with what we did not write: Debian's strongSwan as a real peer, in network namespaces that
// the tests make. A peer that cannot be had is a loud skip with the reason.
package interop
