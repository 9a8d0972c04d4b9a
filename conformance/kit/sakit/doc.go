// Package sakit is the conformance suite of SA backends, of the contract in sdk/sa. One suite is for all of them: what a backend does not
// claim in its probe is skipped with the reason. A vendor runs it from a test:
//
//	func TestConformance(t *testing.T) { sakit.Run(t, sakit.Fixture{Plugin: mine.New()}) }
//
// or, against the file that is shipped, with "parley-conform sa --plugin FILE", which adds what only a process shows: the order of
// calls that do not wait for each other, and what is left when it is killed.
//
// Promises: as package kit. Children belong to owners of the suite's own, have inner addresses of RFC 2544's range (198.18.0.0/15) and
// are gone when a check ends.
//
// Limits: no packet is sent, so that neither limits nor counters nor the order in which SAs and policies reach the data plane are
// seen; the tests of the first-party backends in a guest kernel show those.
package sakit
