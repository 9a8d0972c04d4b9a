package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// maxTransforms bounds one configured proposal: twice the longest default, and few enough that IKE_SA_INIT stays far below
// 1280 octets, the size that crosses every path unfragmented.
const maxTransforms = 32

// ProposalError says what is wrong with a proposal of the configuration.
type ProposalError struct {
	Scope    Scope
	Proposal string
	Reason   string // a clause that ends with the remedy
}

func (e *ProposalError) Error() string {
	return fmt.Sprintf("policy: %v proposal %q: %s", e.Scope, e.Proposal, e.Reason)
}

// ParseProposal reads a proposal such as "aes256gcm16-aes128gcm16-prfsha256-x25519-ecp256": words joined by "-", in any
// order between types, in order of preference inside a type; the result is sorted by type. "none" among the key exchange
// methods of a child SA makes perfect forward secrecy optional.
//
// An IKE proposal needs encryption, a PRF, a key exchange method, and integrity unless all ciphers are AEADs; PRFs that are
// not named follow the integrity algorithms. An ESP proposal needs encryption and integrity alike; sequence numbers are not
// extended unless it says "esn". AEADs and other ciphers do not share a proposal (RFC 7296 section 3.3). The error is a
// *ProposalError.
func ParseProposal(scope Scope, s string) (Proposal, error) {
	p, err := parseWords(scope, s)
	if err == nil {
		p, err = complete(scope, p)
	}
	if err != nil {
		return nil, &ProposalError{Scope: scope, Proposal: s, Reason: err.Error()}
	}
	order := scope.types()
	slices.SortStableFunc(p, func(a, b Transform) int { return slices.Index(order, a.Type) - slices.Index(order, b.Type) })
	return p, nil
}

func parseWords(scope Scope, s string) (Proposal, error) {
	if strings.TrimSpace(s) == "" {
		return nil, errors.New("it is empty: write algorithms joined by \"-\", or leave proposals out for the default")
	}
	words := strings.Split(s, "-")
	if len(words) > maxTransforms {
		return nil, fmt.Errorf("it names %d algorithms: name at most %d", len(words), maxTransforms)
	}
	var p Proposal
	for _, w := range words {
		t, err := parseWord(scope, strings.TrimSpace(w))
		if err != nil {
			return nil, err
		}
		if slices.Contains(p, t) {
			return nil, fmt.Errorf("%s is there twice: leave one out", word(t))
		}
		p = append(p, t)
	}
	return p, nil
}

func parseWord(scope Scope, w string) (Transform, error) {
	if strings.EqualFold(w, none) && scope == ScopeESP {
		return Transform{Type: wire2.TransformKE}, nil
	}
	t, err := suite.ParseToken(w)
	if err != nil {
		var unknown *suite.TokenError
		if errors.As(err, &unknown) && len(unknown.Near) > 0 {
			return t, fmt.Errorf("unknown algorithm %q: did you mean %s?", w, either(unknown.Near))
		}
		return t, fmt.Errorf("unknown algorithm %q: use words of %s", w, strings.Join(suite.Tokens(), ", "))
	}
	if !slices.Contains(scope.types(), t.Type) {
		return t, fmt.Errorf("%s (%s) has no place in an %v proposal: leave it out", w, typeName(t.Type), scope)
	}
	return t, nil
}

// complete adds what a proposal may leave unsaid and refuses what it may not.
func complete(scope Scope, p Proposal) (Proposal, error) {
	encr, integ := p.of(scope, wire2.TransformENCR), named(p, wire2.TransformINTEG)
	if len(encr) == 0 {
		return nil, errors.New("it names no encryption: add one, such as aes256gcm16")
	}
	aead := isAEAD(encr[0])
	if i := slices.IndexFunc(encr, func(t Transform) bool { return isAEAD(t) != aead }); i > 0 {
		return nil, fmt.Errorf("%s and %s cannot share a proposal (RFC 7296 section 3.3): make two of it", word(encr[0]), word(encr[i]))
	}
	switch {
	case aead && len(integ) > 0 && scope == ScopeIKE:
		return nil, fmt.Errorf("%s authenticates by itself, %s does not go with it: leave it out, or did you mean prf%s?",
			word(encr[0]), word(integ[0]), word(integ[0]))
	case aead && len(integ) > 0:
		return nil, fmt.Errorf("%s authenticates by itself, %s does not go with it: leave it out", word(encr[0]), word(integ[0]))
	case !aead && len(integ) == 0:
		return nil, fmt.Errorf("%s needs integrity protection: add an algorithm, such as sha256", word(encr[0]))
	}
	if scope == ScopeESP {
		return withESN(p), nil
	}
	return completeIKE(p, encr[0], integ)
}

func completeIKE(p Proposal, encr Transform, integ []Transform) (Proposal, error) {
	if len(named(p, wire2.TransformKE)) == 0 {
		return nil, errors.New("it names no key exchange method: add one, such as x25519")
	}
	if len(named(p, wire2.TransformPRF)) > 0 {
		return p, nil
	}
	if len(integ) == 0 {
		return nil, fmt.Errorf("it names no PRF, and there is no integrity algorithm beside %s to take it from: add one, such as prfsha256", word(encr))
	}
	for _, i := range integ {
		prf, err := suite.ParseToken("prf" + i.Token())
		if err != nil {
			return nil, fmt.Errorf("it names no PRF, and none goes with %s: add one, such as prfsha256", word(i))
		}
		p = append(p, prf)
	}
	return p, nil
}

func withESN(p Proposal) Proposal {
	if len(named(p, wire2.TransformESN)) > 0 {
		return p
	}
	return append(p, Transform{Type: wire2.TransformESN})
}

func named(p Proposal, typ wire2.TransformType) []Transform {
	var all []Transform
	for _, t := range p {
		if t.Type == typ {
			all = append(all, t)
		}
	}
	return all
}

// typeName is the name of a transform type in explanations.
func typeName(t wire2.TransformType) string {
	switch t {
	case wire2.TransformENCR:
		return "ENCR"
	case wire2.TransformPRF:
		return "PRF"
	case wire2.TransformINTEG:
		return "INTEG"
	case wire2.TransformKE:
		return "KE"
	case wire2.TransformESN:
		return "ESN"
	}
	return fmt.Sprintf("TYPE_%d", t)
}

// either joins words for a sentence: "a", "a or b", "a, b or c".
func either(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
