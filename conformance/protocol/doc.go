// Package protocol tests a daemon against the rules of RFC 7296, RFC 7383 and RFC 4555, and of IKEv1 (RFC 2407, 2408, 2409, 3706, 3947 and
// 3948), with a peer that may lie, replay, omit, mangle and flood.
//
//	peer/          the test side's own IKEv2, which shares no code with the daemon
//	peer1/         the same for IKEv1
//	adapter.go     what a daemon must be able to do to be tested: start with settings, take orders, count its SAs
//	parley.go      the adapter for parleyd, a real process with real plugins
//	charon.go      the adapter for Debian's strongSwan; strongswan.go and .tsv say how the cases ended with it
//	t.go, sa.go    what a case can do: send, receive, demand
//	sa1.go, quick1.go   the same for IKEv1
//	case_*.go      the cases, each with the ids of the requirements that it tests
//	run.go         runs cases, each with an address, a connection and SAs of its own
//	requirements/  the rules, paraphrased, by id
//	reasons.go     why some are not tested
//	report.go      REPORT.md
//
// A case demands what a rule says and nothing else, so that any daemon can be asked. Beside what it is about, every message
// that the daemon sends in it must have the form that RFC 7296 wants. That something is ignored is shown by what the daemon
// does next, where possible, and not by waiting.
//
// A case for what our daemon does not have yet says so (Case.NotYet), one that finds a defect, too (Case.Defect): then it must fail, so that
// the note goes when the defect does. The report counts neither as tested.
//
// Limits: see package peer. What a daemon does with ESP is not looked at; conformance/interop and the SA backends do that.
package protocol
