// Package serve turns implementations of the plugin contracts into a plugin process. A plugin is one file:
//
//	func main() {
//		serve.Main(serve.Info{Name: "acme-ke", Version: "1.2.0", Vendor: "ACME"}, serve.KE("acme", &exchange{}))
//	}
//
// The process can be run by hand with the argument "describe", which prints its manifest as JSON.
//
// What an implementation may rely on: requests with the same non-zero key come one after the other, all others at the
// same time; a call's context ends when nobody waits for the answer any more; a panic fails one call and not the
// process; an error that wraps one of the sdk package's tells the daemon what to do, any other is an internal failure.
// The octets of a request are wiped when its operation is over: what an implementation keeps it copies, but for the keys of
// an SA backend's child, which are its own.
// Optional interfaces of an implementation: Configurer, Drainer, sdk.Canary, auth.Authenticator; and for speed sdk.Prompt
// and auth.Questioner, with which no goroutine is needed for a request.
//
// What happens to the process: standard output goes to standard error from the very start, so that a print cannot break
// the handshake; log/slog writes records that the daemon understands; core dumps are off; the process ends when its
// daemon does. Package serve works on Linux.
package serve
