package sdk

// Prompt is implemented by plugins of any kind whose every operation takes some microseconds and waits for nothing: no
// device, no network, no other process, no lock that is held across such a wait. It changes nothing that an operation
// does; package serve then performs operations one after the other where requests are read, because to hand one over to
// another goroutine costs more than it does itself. An operation that breaks the promise delays all others. The promise does
// not hold for sa.Plugin's List and for Sign, Decrypt and Trust of credential stores, which get a goroutine in any case.
type Prompt interface {
	// Prompt makes the promise; it is never called.
	Prompt()
}
