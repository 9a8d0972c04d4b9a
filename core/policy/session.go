package policy

import (
	"slices"
	"time"

	"github.com/parley-ike/parley/core/wire/wire2"
)

// Session says how the IKE SAs of one peer relate and live.
type Session struct {
	Unique    Unique
	Retry     Retry
	Reauth    time.Duration // how long an authentication is trusted (RFC 4478); 0: as long as the IKE SA lives
	Childless Childless

	FollowRedirects bool       // as a client: go where the gateway sends us (RFC 5685)
	RedirectTo      string     // as a gateway: send clients there, an address or a DNS name; "": serve them
	RedirectAt      RedirectAt // and when
	// RedirectGrace is how long a client that was sent elsewhere may take to move, before we delete its SA (RFC 5685 section 5).
	RedirectGrace time.Duration
}

// DefaultRedirectGrace is far above what a handshake with the other gateway takes.
const DefaultRedirectGrace = 30 * time.Second

// RedirectAt says in which exchange clients are sent elsewhere.
type RedirectAt uint8

// Exchanges for redirects.
const (
	RedirectAuth RedirectAt = iota // when they are authenticated
	RedirectInit                   // at once
)

var redirectWords = []string{"auth", "init"}

// RedirectWords lists the words of the configuration, in the order of the exchanges.
func RedirectWords() []string { return redirectWords }

// String returns the word in the configuration.
func (r RedirectAt) String() string { return nth(redirectWords, r) }

func (s *Session) applyDefaults() {
	if s.Retry == (Retry{}) {
		s.Retry = DefaultRetry()
	}
	setDefault(&s.RedirectGrace, DefaultRedirectGrace)
}

// Unique says what becomes of the other IKE SAs of a connection when a peer makes a new one with the same identities.
type Unique uint8

// Policies of uniqueness.
const (
	UniqueReplace Unique = iota // the new SA takes the place of the others
	UniqueKeep                  // the others stay, and the new one is refused
	UniqueNever                 // they live side by side, and INITIAL_CONTACT is neither sent nor honoured
)

var uniqueWords = []string{"replace", "keep", "never"}

// UniqueWords lists the words of the configuration, in the order of the policies.
func UniqueWords() []string { return uniqueWords }

// String returns the word in the configuration: "replace", "keep" or "never".
func (u Unique) String() string { return nth(uniqueWords, u) }

func nth[T ~uint8](words []string, i T) string {
	if int(i) < len(words) {
		return words[i]
	}
	return "unknown"
}

// Childless says whether IKE_AUTH may make no child SA (RFC 6023).
type Childless uint8

// Policies of childless initiation.
const (
	ChildlessAllow  Childless = iota // peers may; we do without where there is no child to make
	ChildlessNever                   // nobody may
	ChildlessPrefer                  // we do, when the peer can
	ChildlessForce                   // both must
)

var childlessWords = []string{"allow", "never", "prefer", "force"}

// ChildlessWords lists the words of the configuration, in the order of the policies.
func ChildlessWords() []string { return childlessWords }

// String returns the word in the configuration.
func (c Childless) String() string { return nth(childlessWords, c) }

// OnDead says what becomes of a child whose peer is dead.
type OnDead uint8

// Actions when a peer is dead. The default depends on who starts the child.
const (
	DeadDefault OnDead = iota
	DeadClear          // it is gone, until the peer or an operator brings it up
	DeadRestart        // we bring it up again
	DeadTrap           // traffic brings it up again
)

var onDeadWords = []string{"default", "clear", "restart", "trap"}

// OnDeadWords lists the words of the configuration, in the order of the actions but for the default, which has none.
func OnDeadWords() []string { return onDeadWords[1:] }

// String returns the word in the configuration: "clear", "restart" or "trap".
func (d OnDead) String() string { return nth(onDeadWords, d) }

// applyDefaults has those start the child again who started it.
func (d *OnDead) applyDefaults(s Start) {
	if *d == DeadDefault {
		*d = map[Start]OnDead{StartNone: DeadClear, StartUp: DeadRestart, StartTrap: DeadTrap}[s]
	}
}

// Retry says when a connection that should be up is tried again.
type Retry struct {
	Initial time.Duration // pause after the first failure
	Factor  float64       // by which each pause is longer than the last
	Max     time.Duration // of one pause
	Jitter  float64       // the share of a pause that chance takes away, 0 to 1
}

// DefaultRetry tries again at once, so to say, and every minute at least. The jitter spreads the peers of a gateway that was
// away.
func DefaultRetry() Retry {
	return Retry{Initial: time.Second, Factor: 2, Max: time.Minute, Jitter: 0.25}
}

// After returns the pause after a number of failures, without jitter.
func (r Retry) After(failures int) time.Duration {
	return Retransmit{Initial: r.Initial, Factor: r.Factor, Max: r.Max}.After(failures)
}

var esnWords = []string{"no", "yes", "both"}

// ESNWords lists the words of the configuration for extended sequence numbers (RFC 4303 section 2.2.1), the default first.
func ESNWords() []string { return esnWords }

// WithESN returns ESP proposals with sequence numbers as a word of ESNWords says: "both" prefers extended ones.
func WithESN(ps []Proposal, word string) []Proposal {
	ids := map[string][]uint16{"no": {0}, "yes": {1}, "both": {1, 0}}[word]
	var out []Proposal
	for _, p := range ps {
		p = slices.DeleteFunc(slices.Clone(p), func(t Transform) bool { return t.Type == wire2.TransformESN })
		for _, id := range ids {
			p = append(p, Transform{Type: wire2.TransformESN, ID: id})
		}
		out = append(out, p)
	}
	return out
}

// MayESN reports whether a proposal may lead to extended sequence numbers.
func (p Proposal) MayESN() bool {
	return slices.ContainsFunc(p, func(t Transform) bool { return t.Type == wire2.TransformESN && t.ID == 1 })
}
