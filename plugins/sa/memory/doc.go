// Package memory is an SA backend without a data plane: it keeps what it is told and moves no packet. It serves tests,
// simulations and load, and shows what an SA backend has to promise.
//
// Promises: descriptions are checked as a kernel would (key sizes, SPIs, addresses), so that a wrong one is seen early.
// An installation costs microseconds and about a kilobyte. Keys are wiped at the removal.
//
// Limits: usage is always zero. SPIs count up from a random start, which suffices where no packet can be forged.
package memory
