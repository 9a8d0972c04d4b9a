package policy

import (
	"fmt"
	"slices"

	"github.com/parley-ike/parley/core/wire/wire2"
)

// Bounds of an explanation, so that an offer of thousands of transforms does not fill a log. Our two or three proposals
// against the longest default offer seen, 18 proposals, need 54 pairs of at most 4 reports.
const (
	maxReports = 256
	maxWords   = 24 // algorithms named in one list; the longest seen in one type is 12
)

// Mismatch explains why an offer was refused.
type Mismatch struct {
	Reports []Report // at most 256: for each offered proposal, each of ours, each type
	Closest string   // the one change that would have helped, a sentence without a full stop
}

// Report is the verdict on one kind of transform in one pair of proposals. Algorithms are in the words of the
// configuration where it has one, else by their IANA names. Besides the kinds of transform, Type is "PROTOCOL" or "SPI" for
// a proposal that is unacceptable as a whole.
type Report struct {
	OfferedProposal    int    // number in the peer's payload
	ConfiguredProposal int    // index in our list, from 1
	Type               string // "ENCR", "INTEG", "PRF", "KE", "ESN"
	Offered            []string
	Configured         []string
	Common             []string
	OK                 bool
}

// explain says why none of the pairs fits. It costs time in proportion to the offer for each configured proposal.
func explain(scope Scope, configured []Proposal, offered wire2.SA) *Mismatch {
	m := &Mismatch{}
	var nearest *pair
	for i := range offered.Proposals {
		for j, ours := range configured {
			p := newPair(scope, j+1, ours, &offered.Proposals[i])
			if room := maxReports - len(m.Reports); room > 0 {
				m.Reports = append(m.Reports, p.reports[:min(room, len(p.reports))]...)
			}
			if nearest == nil || p.distance() < nearest.distance() {
				nearest = p
			}
		}
	}
	m.Closest = closest(scope, configured, offered, nearest)
	return m
}

// pair is the comparison of an offered proposal with a configured one.
type pair struct {
	theirs  *wire2.Proposal
	offer   Proposal
	ours    Proposal
	whole   bool // theirs is unacceptable as a whole
	failed  []wire2.TransformType
	reports []Report
}

func newPair(scope Scope, index int, ours Proposal, theirs *wire2.Proposal) *pair {
	p := &pair{theirs: theirs, offer: understood(theirs), ours: ours}
	if r := outside(scope, theirs); r != nil {
		p.whole = true
		p.add(index, *r)
		return p
	}
	for _, typ := range scope.types() {
		have, mine := p.offer.of(scope, typ), ours.of(scope, typ)
		common := slices.DeleteFunc(slices.Clone(mine), func(t Transform) bool { return !slices.Contains(have, t) })
		r := Report{Type: typeName(typ), Offered: words(have), Configured: words(mine), Common: words(common), OK: len(common) > 0}
		if !r.OK {
			p.failed = append(p.failed, typ)
		}
		if !r.OK || !onlyNone(have) || !onlyNone(mine) {
			p.add(index, r)
		}
	}
	return p
}

func (p *pair) add(index int, r Report) {
	r.OfferedProposal, r.ConfiguredProposal = int(p.theirs.Number), index
	p.reports = append(p.reports, r)
}

// distance counts what stands between the two, and more when the peer has nothing there that we could add.
func (p *pair) distance() int {
	const hopeless = 100
	if p.whole {
		return 2 * hopeless
	}
	d := len(p.failed)
	for _, typ := range p.failed {
		if len(addable(p.offer, typ)) == 0 {
			d += hopeless
		}
	}
	return d
}

// onlyNone reports whether a type is not in use; its NONE value is nothing to tell of.
func onlyNone(ts []Transform) bool {
	return len(ts) == 1 && ts[0].ID == 0 && ts[0].Type != wire2.TransformESN
}

func words(ts []Transform) []string {
	var all []string
	for i, t := range ts {
		if i == maxWords {
			return append(all, fmt.Sprintf("and %d more", len(ts)-i))
		}
		all = append(all, word(t))
	}
	return all
}

// addable returns the peer's transforms of a type that the configuration has a word for.
func addable(offer Proposal, typ wire2.TransformType) []Transform {
	return slices.DeleteFunc(named(offer, typ), func(t Transform) bool { return t.Token() == "" })
}

// closest is the advice.
func closest(scope Scope, configured []Proposal, offered wire2.SA, p *pair) string {
	switch {
	case len(offered.Proposals) == 0:
		return "the peer offered no proposal at all: look at its configuration"
	case p == nil:
		return fmt.Sprintf("we have no %v proposals: leave proposals out to get the default", scope)
	case p.whole:
		r := p.reports[0]
		return fmt.Sprintf("the peer's proposal %d has %s %s, which is unacceptable here: ask the peer for %q",
			r.OfferedProposal, r.Type, either(r.Offered), configured[0].String())
	case len(p.failed) == 1:
		return oneType(scope, p)
	}
	return wholeProposal(scope, p)
}

// oneType is the advice when a single kind of transform stands between the two.
func oneType(scope Scope, p *pair) string {
	typ := p.failed[0]
	ask := either(words(p.ours.of(scope, typ)))
	if typ == wire2.TransformKE && scope == ScopeESP && onlyNone(p.ours.of(scope, typ)) {
		ask = "a child SA without perfect forward secrecy (no key exchange)"
	}
	add := addable(p.offer, typ)
	if len(add) == 0 {
		return notOurs(scope, p, typ, ask)
	}
	return fmt.Sprintf("add %s to our %v proposals%s, or ask the peer for %s", either(words(add)), scope, caution(add), ask)
}

// notOurs is the advice when the configuration has no word for anything that the peer offers of a type.
func notOurs(scope Scope, p *pair, typ wire2.TransformType, ask string) string {
	have := p.offer.of(scope, typ)
	switch {
	case len(have) == 0:
		return fmt.Sprintf("the peer's proposal %d has no %s at all: ask the peer for %s", p.theirs.Number, typeName(typ), ask)
	case onlyNone(have) && typ == wire2.TransformKE:
		return fmt.Sprintf("add none to the key exchange methods of our %v proposals, or ask the peer for %s", scope, ask)
	}
	return fmt.Sprintf("the peer's proposal %d has only %s for %s, which Parley does not have: ask the peer for %s",
		p.theirs.Number, either(words(have)), typeName(typ), ask)
}

// wholeProposal is the advice when more stands between the two: a proposal of the peer's own making.
func wholeProposal(scope Scope, p *pair) string {
	ask := firstOf(scope, p.ours)
	q := Proposal{}
	for _, typ := range scope.types() {
		if add := addable(p.offer, typ); len(add) > 0 {
			q = append(q, add[0])
		}
	}
	if _, err := ParseProposal(scope, q.String()); err != nil {
		return fmt.Sprintf("nothing of the peer's proposal %d is near to ours: ask the peer for %q", p.theirs.Number, ask)
	}
	return fmt.Sprintf("add the proposal %q to our %v proposals%s, or ask the peer for %q", q.String(), scope, caution(q), ask)
}

// firstOf returns the proposal with our first choice of each type, all that a person needs to type at the other side.
func firstOf(scope Scope, p Proposal) string {
	var q Proposal
	for _, typ := range scope.types() {
		if all := named(p, typ); len(all) > 0 {
			q = append(q, all[0])
		}
	}
	return q.String()
}
