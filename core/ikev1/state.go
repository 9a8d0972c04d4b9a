package ikev1

// State says what an SA is doing.
type State uint8

// States, in the order in which an SA lives through them.
const (
	Idle           State = iota // nothing has happened
	Preparing                   // a key exchange plugin makes our public value
	Proposed                    // initiator: the first message is on its way
	Answered                    // responder: the first message is answered
	Exchanging                  // initiator: our key exchange value is on its way
	Agreeing                    // plugins compute the shared secret and SKEYID
	HalfOpen                    // responder: the keys are there, the peer must prove itself
	Signing                     // an authenticator makes our proof
	Identifying                 // initiator: our identity and proof are on their way
	Verifying                   // the peer's proof is checked, and whether there is a place for the SA
	Authenticating              // phase 1 is over, and a user has to prove who they are (XAUTH)
	Configuring                 // addresses are asked for or given (mode configuration)
	Established                 // both sides are authenticated, and quick modes may begin
	Rekeyed                     // another ISAKMP SA took its place; it ends soon
	Closing                     // children are being removed; the last message is kept for repetition
	Closed                      // nothing will happen any more
)

var stateNames = [...]string{"idle", "preparing", "proposed", "answered", "exchanging", "agreeing", "half-open", "signing",
	"identifying", "verifying", "authenticating", "configuring", "established", "rekeyed", "closing", "closed"}

// String returns the name for people.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// secured reports whether phase 1 is over: both sides have its keys and have proved themselves.
func (s State) secured() bool { return s >= Authenticating }

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
