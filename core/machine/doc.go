// Package machine is the vocabulary that both protocol machines and their drivers share: what goes into a step
// (Input), what comes out (Effect), and the operations asked of plugins (Op). It has no behaviour.
//
// A machine is a value that one goroutine owns. Step(now, input, effects) never waits, reads no clock and performs no
// I/O; given the same inputs it gives the same effects, so that a journal of inputs replays bit for bit. Everything
// slow leaves as a Call and comes back as a Reply under the same Ticket.
package machine
