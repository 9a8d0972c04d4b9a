package suite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"github.com/parley-ike/parley/core/wire/wire2"
)

// maxSuggestions and maxDistance bound what a TokenError suggests: a few, and only what looks like a slip.
const (
	maxSuggestions = 3
	maxDistance    = 2
)

// TokenError says that a token names no algorithm. Near lists the tokens that it may have meant, nearest first.
type TokenError struct {
	Token string
	Near  []string
}

func (e *TokenError) Error() string {
	if len(e.Near) == 0 {
		return fmt.Sprintf("suite: unknown algorithm %q: use one of %s", e.Token, strings.Join(Tokens(), ", "))
	}
	return fmt.Sprintf("suite: unknown algorithm %q: did you mean %s?", e.Token, strings.Join(e.Near, " or "))
}

// ParseToken returns the algorithm that a configuration names by a word such as "aes256gcm16", "sha256", "prfsha384" or
// "x25519"; capitals do not matter. A word without a meaning gives a *TokenError.
func ParseToken(token string) (Transform, error) {
	lower := strings.ToLower(token)
	for _, v := range vocabulary {
		if v.word == lower {
			return v.transform, nil
		}
	}
	return Transform{}, &TokenError{Token: token, Near: near(lower)}
}

// Token returns the preferred word for t, or "" when there is none.
func (t Transform) Token() string {
	for _, v := range vocabulary {
		if v.transform == t {
			return v.word
		}
	}
	return ""
}

// Tokens returns the preferred words for all algorithms, by role.
func Tokens() []string {
	var words []string
	for _, v := range vocabulary {
		if !v.alias {
			words = append(words, v.word)
		}
	}
	return words
}

type entry struct {
	word      string
	alias     bool // not the preferred word
	transform Transform
}

// vocabulary holds every word and never changes. A transform's preferred word stands before its aliases.
var vocabulary = slices.Concat(encrWords(), integWords(), prfWords(), keWords(), []entry{
	{word: "esn", transform: Transform{Type: wire2.TransformESN, ID: esnYes}},
	{word: "noesn", transform: Transform{Type: wire2.TransformESN, ID: esnNo}},
})

func encrWords() (all []entry) {
	for _, e := range encryptions {
		t := Transform{Type: wire2.TransformENCR, ID: uint16(e.ID)}
		if e.KeyBits == nil {
			all = append(all, entries(t, e.tokens)...)
		}
		for _, t.KeyBits = range e.KeyBits {
			var words []string
			for _, pattern := range e.tokens {
				words = append(words, fmt.Sprintf(pattern, t.KeyBits))
			}
			all = append(all, entries(t, words)...)
		}
	}
	return all
}

func integWords() (all []entry) {
	for _, i := range integrities {
		all = append(all, entries(Transform{Type: wire2.TransformINTEG, ID: uint16(i.ID)}, i.tokens)...)
	}
	return all
}

func prfWords() (all []entry) {
	for _, p := range prfs {
		all = append(all, entries(Transform{Type: wire2.TransformPRF, ID: uint16(p.ID)}, p.tokens)...)
	}
	return all
}

func keWords() (all []entry) {
	for _, k := range keyExchanges {
		words := append([]string{k.Token}, k.aliases...)
		all = append(all, entries(Transform{Type: wire2.TransformKE, ID: uint16(k.ID)}, words)...)
	}
	return all
}

func entries(t Transform, words []string) (all []entry) {
	for i, w := range words {
		all = append(all, entry{word: w, alias: i > 0, transform: t})
	}
	return all
}

// near returns the few words that differ least from token, nearest first.
func near(token string) []string {
	distance := func(w string) int { return levenshtein.Distance(token, w, nil) }
	var words []string
	for _, v := range vocabulary {
		if distance(v.word) <= maxDistance {
			words = append(words, v.word)
		}
	}
	slices.SortStableFunc(words, func(a, b string) int { return distance(a) - distance(b) })
	return words[:min(len(words), maxSuggestions)]
}
