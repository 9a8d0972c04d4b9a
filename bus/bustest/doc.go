// Package bustest helps tests to say which events they expect on a bus.
//
//	b := bustest.New(t)
//	events := bustest.Watch(t, b)
//	... what is under test publishes on b ...
//	bustest.Expect(t, events, bustest.Type[event.IKEEstablished](), bustest.Type(func(e event.ChildEstablished) error { ... }))
//
// Waiting is for at most Patience. In a testing/synctest bubble that is virtual time: it costs nothing, and an absence
// (ExpectExactly, ExpectNone) is proven, for time moves on only when every goroutine waits. Outside a bubble an absence is only
// made likely by waiting for Quiet.
package bustest
