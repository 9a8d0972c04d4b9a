package ikev2

// State says what an SA is doing.
type State uint8

// States, in the order in which an SA lives through them.
const (
	Idle        State = iota // nothing has happened
	Preparing                // initiator: a key exchange plugin makes our public value
	InitSent                 // initiator: IKE_SA_INIT is on its way
	Agreeing                 // a key exchange plugin computes the shared secret
	HalfOpen                 // responder: IKE_SA_INIT is answered, IKE_AUTH must follow
	Signing                  // initiator: an authenticator makes our AUTH payload
	AuthSent                 // initiator: IKE_AUTH is on its way
	Verifying                // an authenticator checks the peer's AUTH payload
	Installing               // an SA backend installs the first child
	Established              // both sides are authenticated
	Pending                  // the peer made it by rekeying while our own rekeying is out: it is not known yet which of the two stays
	Rekeyed                  // another IKE SA took its place; the peer deletes this one
	Deleting                 // we asked the peer to end the SA
	Closing                  // children are being removed; the last response is kept for repetition
	Closed                   // nothing will happen any more
)

var stateNames = [...]string{"idle", "preparing", "init sent", "agreeing", "half-open", "signing", "auth sent", "verifying",
	"installing", "established", "pending", "rekeyed", "deleting", "closing", "closed"}

// String returns the name for people.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// states is a set of states.
type states uint16

func in(list ...State) states {
	var set states
	for _, s := range list {
		set |= 1 << s
	}
	return set
}

func (set states) has(s State) bool { return set&(1<<s) != 0 }

// stage names the exchange that an SA in state s is busy with.
func (s State) stage() string {
	switch {
	case s <= Agreeing:
		return "IKE_SA_INIT"
	case s <= Installing:
		return "IKE_AUTH"
	}
	return "INFORMATIONAL"
}
