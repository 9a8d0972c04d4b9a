package event

// WeakAlgorithm says: an SA was established on what is known to be weak. It is told once for each SA.
type WeakAlgorithm struct {
	Scope  string   `json:"scope"`  // "ike" or "child"
	What   []string `json:"what"`   // "IKEv1", "aggressive mode with a pre-shared key", "3des"
	Reason string   `json:"reason"` // what is wrong with it, and what to do
}
