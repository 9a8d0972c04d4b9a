package control

import (
	"fmt"
	"io"
	"strings"

	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// Tone is what a piece of text means, for whoever colours it.
type Tone uint8

// Tones.
const (
	Plain Tone = iota
	Headline
	Heading
	Good
	Bad
	Faint
)

// Paint colours text; it must not change its width. nil leaves text as it is.
type Paint func(tone Tone, text string) string

func (p Paint) tone(t Tone, text string) string {
	if p == nil {
		return text
	}
	return p(t, text)
}

// textWidth is where prose is broken, in characters: it fits on the narrowest terminal in use.
const textWidth = 100

// WriteExplanation writes an explanation for people.
func WriteExplanation(w io.Writer, e *controlv1.Explanation, paint Paint) error {
	x := &text{e: e, paint: paint}
	x.headline()
	x.attempt()
	x.remedies()
	x.identities()
	x.proposals()
	x.selectors()
	x.steps()
	x.notes()
	x.earlier()
	_, err := io.WriteString(w, x.String())
	return err
}

type text struct {
	strings.Builder
	e     *controlv1.Explanation
	paint Paint
}

func (x *text) section(title string) { x.WriteString("\n" + x.paint.tone(Heading, title) + "\n") }

// prose writes text broken into lines; those after the first are indented further.
func (x *text) prose(first, rest, s string) {
	for i, line := range wrap(s, textWidth-len(rest)) {
		if i > 0 {
			first = rest
		}
		x.WriteString(first + line + "\n")
	}
}

var goodCodes = map[string]bool{"up": true, "under_way": true, "never_tried": true}

func (x *text) headline() {
	tone := Bad
	if goodCodes[x.e.Code] {
		tone = Headline
	}
	for i, line := range wrap(x.e.Target+": "+x.e.Sentence, textWidth) {
		if i > 0 {
			line = "  " + line
		}
		x.WriteString(x.paint.tone(tone, line) + "\n")
	}
}

func (x *text) attempt() {
	a := x.e.Attempt
	if a == nil {
		return
	}
	with := "we asked " + a.Remote
	if a.Role == "responder" {
		with = a.Remote + " asked us"
	}
	when := a.Begun.AsTime().UTC().Format("2006-01-02 15:04:05 UTC")
	if a.Ended != nil {
		when += fmt.Sprintf(", ended after %.3f s", a.Ended.AsTime().Sub(a.Begun.AsTime()).Seconds())
	}
	x.WriteString(x.paint.tone(Faint, fmt.Sprintf("  %s, at %s", with, when)) + "\n")
}

func (x *text) remedies() {
	if x.e.Remedy == nil {
		return
	}
	x.section("What to change")
	for i, r := range append([]*controlv1.Remedy{x.e.Remedy}, x.e.Alternatives...) {
		bullet := "  - "
		if i == 0 {
			bullet = "  > "
		}
		x.prose(bullet, "    ", r.Text)
		if r.File != "" {
			x.WriteString("    " + x.paint.tone(Headline, place(r)) + "\n")
		}
	}
}

func place(r *controlv1.Remedy) string {
	if r.Line == 0 {
		return r.File
	}
	return fmt.Sprintf("%s:%d", r.File, r.Line)
}

func (x *text) identities() {
	if len(x.e.Identities) == 0 {
		return
	}
	x.section("Identities")
	t := Table{Indent: "  ", Header: []string{"", "IN THIS ATTEMPT", "IN OUR CONFIGURATION"}}
	for _, s := range x.e.Identities {
		t.Rows = append(t.Rows, []string{s.Who, orNot(s.Identity, "not told"), orDash(s.Configured)})
	}
	x.WriteString(t.Lines())
}

func orNot(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// listWidth is the width of a list of algorithms in a table.
const listWidth = 26

func (x *text) proposals() {
	for _, c := range x.e.Proposals {
		if len(c.Verdicts) == 0 {
			x.section(fmt.Sprintf("Our %s proposals, which the peer refused", scope(c.Scope)))
			for _, p := range c.Offered {
				x.WriteString("  " + p + "\n")
			}
			continue
		}
		x.comparison(c)
	}
}

// comparison shows the nearest pair of proposals type by type, and the others in a line each.
func (x *text) comparison(c *controlv1.Comparison) {
	best, others := pairs(c.Verdicts)
	x.section(fmt.Sprintf("%s proposals: the peer's number %d and our number %d, type by type", scope(c.Scope),
		best[0].OfferedProposal, best[0].ConfiguredProposal))
	t := Table{Indent: "  ", Wrap: listWidth, Header: []string{"TYPE", "PEER OFFERS", "WE ACCEPT", "IN COMMON", "VERDICT"}}
	for _, v := range best {
		t.Rows = append(t.Rows, []string{v.Type, list(v.Offered), list(v.Configured), list(v.Common), yes(v.Ok)})
	}
	t.Paint = func(row, column int, cell string) string {
		if row < 0 || column != 4 {
			return cell
		}
		return x.paint.tone(map[bool]Tone{true: Good, false: Bad}[best[row].Ok], cell)
	}
	x.WriteString(t.Lines())
	const most = 8
	for i, other := range others {
		if i == most {
			fmt.Fprintf(x, "  and %d more pairs\n", len(others)-most)
			break
		}
		x.prose("  ", "    ", fmt.Sprintf("the peer's number %d and our number %d: %s", other[0].OfferedProposal, other[0].ConfiguredProposal, different(other)))
	}
}

func yes(ok bool) string {
	if ok {
		return "ok"
	}
	return "NO"
}

func different(pair []*controlv1.TransformVerdict) string {
	var types []string
	for _, v := range pair {
		if !v.Ok {
			types = append(types, v.Type)
		}
	}
	verb := " differ"
	if len(types) == 1 {
		verb = " differs"
	}
	return strings.Join(types, ", ") + verb
}

// pairs groups verdicts by pair of proposals; best is the one that differs least, the first of several.
func pairs(all []*controlv1.TransformVerdict) (best []*controlv1.TransformVerdict, others [][]*controlv1.TransformVerdict) {
	if len(all) == 0 {
		return nil, nil
	}
	var groups [][]*controlv1.TransformVerdict
	for i, v := range all {
		if i == 0 || v.OfferedProposal != all[i-1].OfferedProposal || v.ConfiguredProposal != all[i-1].ConfiguredProposal {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], v)
	}
	at, fewest := 0, len(all)+1
	for i, g := range groups {
		bad := 0
		for _, v := range g {
			if !v.Ok {
				bad++
			}
		}
		if bad < fewest {
			at, fewest = i, bad
		}
	}
	return groups[at], append(groups[:at:at], groups[at+1:]...)
}

func (x *text) selectors() {
	if len(x.e.Selectors) == 0 {
		return
	}
	x.section("Traffic selectors")
	t := Table{Indent: "  ", Wrap: listWidth, Header: []string{"CHILD", "SIDE", "OURS", "THE PEER'S", "OVERLAP"}}
	for _, s := range x.e.Selectors {
		theirs, overlap := list(s.Theirs), orNot(strings.Join(s.Overlap, ", "), "none")
		if len(s.Theirs) == 0 {
			theirs, overlap = "not told", "-"
		}
		t.Rows = append(t.Rows, []string{s.Child, s.Side, list(s.Ours), theirs, overlap})
	}
	x.WriteString(t.Lines())
}

func (x *text) steps() {
	if len(x.e.Steps) == 0 {
		return
	}
	x.section("What happened")
	for i, s := range x.e.Steps {
		if x.e.Omitted > 0 && i == firstSteps {
			fmt.Fprintf(x, "  (%d events left out)\n", x.e.Omitted)
		}
		mark := "  "
		if s.Bad {
			mark = x.paint.tone(Bad, "! ")
		}
		at := fmt.Sprintf("%+10.3f s  ", float64(s.AfterMs)/1000)
		x.prose(x.paint.tone(Faint, at)+mark, strings.Repeat(" ", len(at)+2), s.Text)
	}
}

func (x *text) notes() {
	if len(x.e.Notes) == 0 {
		return
	}
	x.section("Also")
	for _, n := range x.e.Notes {
		x.prose("  - ", "    ", n)
	}
}

func (x *text) earlier() {
	if len(x.e.Earlier) == 0 {
		return
	}
	x.section("Other attempts")
	for _, e := range x.e.Earlier {
		x.prose("  ", "    ", fmt.Sprintf("%s %s %s: %s", e.Begun.AsTime().UTC().Format("15:04:05"), e.Role, e.Code, e.Sentence))
	}
}
