package policy

// Session says how the IKE SAs of one peer relate and live.
type Session struct {
	Unique Unique
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
