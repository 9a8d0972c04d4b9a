package policy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// Choice is the outcome of a negotiation.
type Choice struct {
	Suite   suite.Suite
	Answer  wire2.Proposal // what a responder sends; its SPI is still the peer's, for the caller to replace
	PeerSPI []byte         // nil in IKE_SA_INIT
	Number  uint8          // of the peer's proposal (Choose), of ours (Accept)
}

// Choose picks from an offer as responder (RFC 7296 sections 2.7 and 3.3.6): the first of our proposals that intersects with
// any of the peer's; inside it the best combination by our order over all of the peer's proposals, where encryption weighs
// most, then integrity, PRF, key exchange and ESN. Only the order of key exchange methods bends: peerKE, the method of the
// peer's KE payload, comes first inside the same proposal, which saves a round trip and never changes the tier. Zero means that
// the peer sent no KE payload: a child SA that may go without a key exchange then does.
//
// When nothing fits, the Mismatch says why. offered is not changed; the result shares no memory with it.
func Choose(scope Scope, configured []Proposal, offered wire2.SA, peerKE uint16) (Choice, *Mismatch) {
	if c, ok := Pick(scope, configured, offered, peerKE); ok {
		return c, nil
	}
	return Choice{}, explain(scope, configured, offered)
}

// Pick is Choose without the explanation, which costs many times more than the choice.
func Pick(scope Scope, configured []Proposal, offered wire2.SA, peerKE uint16) (Choice, bool) {
	for _, ours := range configured {
		if c, ok := best(scope, ours.preferKE(scope, peerKE), offered); ok {
			return c, true
		}
	}
	return Choice{}, false
}

// preferKE returns the proposal with one key exchange method, if it has it, moved to the front.
func (p Proposal) preferKE(scope Scope, method uint16) Proposal {
	preferred := Transform{Type: wire2.TransformKE, ID: method}
	if !slices.Contains(p.of(scope, wire2.TransformKE), preferred) {
		return p
	}
	return append(Proposal{preferred}, slices.DeleteFunc(slices.Clone(p), func(t Transform) bool { return t == preferred })...)
}

// best returns the best combination of one of our proposals with all of the peer's.
func best(scope Scope, ours Proposal, offered wire2.SA) (Choice, bool) {
	var chosen *combination
	for i := range offered.Proposals {
		c, ok := combine(scope, ours, &offered.Proposals[i])
		if ok && (chosen == nil || slices.Compare(c.rank, chosen.rank) < 0) {
			chosen = &c
		}
	}
	if chosen == nil {
		return Choice{}, false
	}
	return chosen.choice(), true
}

// combination is the best common choice of transforms of a pair of proposals.
type combination struct {
	theirs *wire2.Proposal
	picked []Transform // one per type of the scope; NONE where a type is left out
	rank   []int       // position of each in our preference
}

func combine(scope Scope, ours Proposal, theirs *wire2.Proposal) (combination, bool) {
	c := combination{theirs: theirs}
	if outside(scope, theirs) != nil {
		return c, false
	}
	offer := understood(theirs)
	for _, typ := range scope.types() {
		have := offer.of(scope, typ)
		mine := ours.of(scope, typ)
		i := slices.IndexFunc(mine, func(t Transform) bool { return slices.Contains(have, t) })
		if i < 0 {
			return c, false
		}
		c.picked = append(c.picked, mine[i])
		c.rank = append(c.rank, i)
	}
	return c, true
}

// understood returns the transforms of a peer's proposal whose attributes we know. The others are unacceptable, but not
// their proposal (RFC 7296 section 3.3.6). So that a type does not look left out when nothing in it is understood, it
// keeps a transform that nobody configures.
func understood(theirs *wire2.Proposal) Proposal {
	var p Proposal
	for _, w := range theirs.Transforms {
		t, ok := fromWire(w)
		if !ok {
			t = Transform{Type: w.Type, ID: w.ID, KeyBits: unknownAttributes}
		}
		p = append(p, t)
	}
	return p
}

// outside returns why a proposal is unacceptable whatever its transforms are, as a report without numbers; nil if it is not.
func outside(scope Scope, theirs *wire2.Proposal) *Report {
	if theirs.Protocol != scope.protocol() {
		return &Report{Type: "PROTOCOL", Offered: []string{protocolName(theirs.Protocol)}, Configured: []string{protocolName(scope.protocol())}}
	}
	if n := len(theirs.SPI); scope == ScopeESP && n != espSPILen || scope == ScopeIKE && n != 0 && n != ikeSPILen {
		return &Report{Type: "SPI", Offered: []string{fmt.Sprintf("%d octets", n)}, Configured: []string{spiLens(scope)}}
	}
	for _, t := range theirs.Transforms { // RFC 7296 section 3.3.6: an unknown type spoils the whole proposal
		if !slices.Contains(scope.types(), t.Type) {
			return &Report{Type: typeName(t.Type), Offered: []string{Transform{Type: t.Type, ID: t.ID}.String()}}
		}
	}
	return nil
}

// Lengths of SPIs in octets (RFC 7296 section 3.3.1). IKE_SA_INIT has none in its proposals.
const (
	espSPILen = 4
	ikeSPILen = 8
)

func spiLens(scope Scope) string {
	if scope == ScopeESP {
		return "4 octets"
	}
	return "0 or 8 octets"
}

func protocolName(p wire2.ProtocolID) string {
	switch p {
	case wire2.ProtoIKE:
		return "IKE"
	case wire2.ProtoAH:
		return "AH"
	case wire2.ProtoESP:
		return "ESP"
	}
	return fmt.Sprintf("protocol %d", p)
}

// choice makes the answer: the number and protocol of the peer's proposal, and one transform of each type that it has, with
// the attributes unchanged (RFC 7296 sections 2.7, 3.3.1 and 3.3.6).
func (c *combination) choice() Choice {
	answer := wire2.Proposal{Number: c.theirs.Number, Protocol: c.theirs.Protocol, SPI: slices.Clone(c.theirs.SPI)}
	for _, t := range c.picked {
		if slices.ContainsFunc(c.theirs.Transforms, func(w wire2.Transform) bool { return w.Type == t.Type }) {
			answer.Transforms = append(answer.Transforms, toWire(t))
		}
	}
	return Choice{Suite: toSuite(c.picked), Answer: answer, PeerSPI: slices.Clone(c.theirs.SPI), Number: c.theirs.Number}
}

func toSuite(picked []Transform) suite.Suite {
	var s suite.Suite
	for _, t := range picked {
		switch t.Type {
		case wire2.TransformENCR:
			s.Encr, s.KeyBits = suite.EncrID(t.ID), t.KeyBits
		case wire2.TransformPRF:
			s.PRF = suite.PRFID(t.ID)
		case wire2.TransformINTEG:
			s.Integ = suite.IntegID(t.ID)
		case wire2.TransformKE:
			s.KE = suite.KEID(t.ID)
		case wire2.TransformESN:
			s.ESN = t.ID == 1
		}
	}
	return s
}

// ErrAnswer is the cause when a responder's answer is not what we offered.
var ErrAnswer = errors.New("policy: the responder's choice is not one that was offered")

// Accept checks as initiator that the answer is one of the proposals that we offered with exactly one transform of each
// type, and returns what was agreed (RFC 7296 sections 2.7 and 3.3.6). Leaving out a type is the same as its NONE value. Every
// error wraps ErrAnswer; the exchange must end then.
func Accept(scope Scope, offered wire2.SA, answer wire2.SA) (Choice, error) {
	if n := len(answer.Proposals); n != 1 {
		return Choice{}, fmt.Errorf("%w: it has %d proposals, not one", ErrAnswer, n)
	}
	theirs := &answer.Proposals[0]
	i := slices.IndexFunc(offered.Proposals, func(p wire2.Proposal) bool { return p.Number == theirs.Number })
	if i < 0 {
		return Choice{}, fmt.Errorf("%w: it takes proposal %d, and we sent none of that number", ErrAnswer, theirs.Number)
	}
	if r := outside(scope, theirs); r != nil {
		return Choice{}, fmt.Errorf("%w: its %s is %s", ErrAnswer, r.Type, either(r.Offered))
	}
	for _, typ := range scope.types() {
		if n := count(theirs, typ); n > 1 {
			return Choice{}, fmt.Errorf("%w: it has %d transforms of type %s, not one", ErrAnswer, n, typeName(typ))
		}
	}
	c, ok := combine(scope, understood(&offered.Proposals[i]), theirs)
	if !ok {
		return Choice{}, fmt.Errorf("%w: in proposal %d it has %v, not one of each in %v", ErrAnswer, theirs.Number, understood(theirs), understood(&offered.Proposals[i]))
	}
	return c.choice(), nil
}

func count(p *wire2.Proposal, typ wire2.TransformType) (n int) {
	for _, t := range p.Transforms {
		if t.Type == typ {
			n++
		}
	}
	return n
}
