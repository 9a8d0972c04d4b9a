// Package bench measures what handshakes and rekeyings cost: CPU for each and side, how many there are in a second, and the memory
// and the idle CPU time of established IKE SAs.
//
// A measurement runs two gateways, the initiator and the responder, which are processes of their own on two loopback
// addresses. Each is made of what parleyd is made of (transport, engine, bus) without a log, a mirror or a journal, with
// the limits on half-open SAs lifted, and with the plugins ke, auth, cred and sa/memory either linked into the process or
// in four processes behind core/pluginhost. A handshake is IKE_SA_INIT and IKE_AUTH with one child SA; SAs stay.
//
// CPU time is that of the gateway and of its plugin processes, user and system, from the kernel's clock of each process.
// On a shared machine it is the trustworthy figure, though neighbours that compete for caches raise it; handshakes per
// second are a lower bound. Figures are medians of rounds in which the two placements of plugins take turns.
//
// A rekeying (rekeys.go) is CREATE_CHILD_SA and the exchange that deletes what was replaced, on SAs that take turns. What was
// replaced is kept for a moment only: leftovers of rekeyings that in life are hours apart would be what is measured.
//
// A flood (flood.go) is first messages from forged addresses, as fast as asked; its cost is the CPU time of the responder, user and
// system, for each demand for a cookie that it sent, with all that it spent on messages that it dropped.
//
// Limits: one connection and one pair of addresses serve all SAs, so that lookups in large configurations are not in the
// figures; both gateways share the machine, so that rates are those of both together. Package bench works on Linux.
package bench
