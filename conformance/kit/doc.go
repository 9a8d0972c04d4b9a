// Package kit holds the conformance suites of the plugin contracts in sdk/ke, sdk/auth and sdk/cred, and what all suites share; the
// suite of sdk/sa is in sakit. A vendor runs them from a test, against the implementation in the same process or against a client of a
// plugin process alike, or with parley-conform against the file that is shipped:
//
//	func TestConformance(t *testing.T) { kit.KE(t, func() ke.Plugin { return mine.New() }) }
//
// Each suite is also a list of named checks (KEChecks and so on) that a program can run without package testing's help.
//
// Promises: every check names the rule that it enforces; a check changes nothing that it does not undo; no error holds
// key material. What a suite needs to know about an implementation (credentials, addresses) comes in a fixture.
//
// Limits: checks look from outside. They cannot see timing, leaks of memory or how secrets are wiped.
package kit
