package machine

// ErrorKind says what a failed call means for the machine.
type ErrorKind uint8

// Kinds of failure.
const (
	Unavailable  ErrorKind = iota + 1 // the plugin died, is not there or did not answer: ask again
	Overloaded                        // the plugin's window is full: ask again
	Refused                           // authentication failed: final
	NoCredential                      // no key for this identity: final
	Unsupported                       // the plugin cannot do this: final
	Invalid                           // the peer's value is unacceptable (a bad public value): final
	Internal                          // the plugin failed in another way: final
	Exhausted                         // nothing is left to give: final
)

// String returns the kind's name.
func (k ErrorKind) String() string {
	names := [...]string{"", "unavailable", "overloaded", "refused", "no credential", "unsupported", "invalid", "internal", "exhausted"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// Retryable reports whether the same call may succeed later.
func (k ErrorKind) Retryable() bool { return k == Unavailable || k == Overloaded }

// CallError is the failure of a call. Text is for people; it names the plugin and never holds a secret.
type CallError struct {
	Kind ErrorKind
	Text string
}

// Error implements error.
func (e *CallError) Error() string { return e.Kind.String() + ": " + e.Text }
