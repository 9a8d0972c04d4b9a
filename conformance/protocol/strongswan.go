package protocol

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// This file is about how the cases ended with strongSwan, which TestStrongSwan writes down in strongswan.tsv: an adapter of a page
// is all that it takes to ask another daemon, and where two daemons differ, one of them may be wrong.

const (
	strongSwanVersion = "5.9.8" // Debian's
	endingsFile       = "strongswan.tsv"
)

//go:embed strongswan.tsv
var endingsText string

// ending is how a case ended with another daemon.
type ending struct {
	title string
	state string
	what  string // the first fault, or what the daemon cannot
}

// States of endings.
const (
	passes  = "passes"
	differs = "differs"
	cannot  = "cannot"
)

// endingOf sums up a result.
func endingOf(r Result) ending {
	switch {
	case r.Skipped != "":
		return ending{r.Title, cannot, summary(r.Skipped)}
	case len(r.Faults) > 0:
		return ending{r.Title, differs, summary(r.Faults[0])}
	}
	return ending{r.Title, passes, ""}
}

// volatile is what is another in every run: SPIs, nonces, addresses, folders.
var volatile = regexp.MustCompile(`[0-9a-f]{8,}|\[\d+( \d+)+\]|\d+\.\d+\.\d+\.\d+(:\d+)?|'unix://\S+'`)

// longestSummary is how many octets of a fault the report shows.
const longestSummary = 120

func summary(fault string) string {
	line, _, _ := strings.Cut(fault, "\n")
	line = strings.ReplaceAll(volatile.ReplaceAllString(line, "…"), "\t", " ")
	if len(line) > longestSummary {
		line = strings.ToValidUTF8(line[:longestSummary], "") + "…"
	}
	return line
}

// writeEndings returns the text of the file. What differs in some runs only goes on differing, until the file is emptied.
func writeEndings(results []Result) string {
	var b strings.Builder
	before := endings()
	for _, r := range results {
		e := endingOf(r)
		if i := slices.IndexFunc(before, func(o ending) bool { return o.title == e.title && o.state == differs }); i >= 0 && e.state == passes {
			e = before[i]
		}
		fmt.Fprintf(&b, "%s\t%s\t%s\n", e.title, e.state, e.what)
	}
	return b.String()
}

// endings reads the file.
func endings() (list []ending) {
	for line := range strings.Lines(endingsText) {
		if f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(f) == 3 {
			list = append(list, ending{f[0], f[1], f[2]})
		}
	}
	return list
}

// quickWithStrongSwan are the cases for an ordinary run: the exchanges that every daemon has, in the form that most have, as far as
// strongSwan was seen to do what they demand.
func quickWithStrongSwan() []Case {
	all := slices.Concat(initCases, authCases, informCases, childCases, selectorCases)
	seen := endings()
	return slices.DeleteFunc(all, func(c Case) bool {
		return c.Settings != Settings{} || !slices.Contains(seen, ending{c.Title, passes, ""})
	})
}

const strongSwanHead = `
## strongSwan %s

The same cases with Debian's strongSwan and its userspace ESP, through the adapter ` + "`charon.go`" + `: %d pass, %d differ, %d ask for what it does not have,
%d have not been run. A difference is no verdict: the case may demand what the RFC only recommends, some follow from the userspace ESP, for which
strongSwan always pretends to be behind a NAT, and one that makes it wait may make its neighbours late.
Written by ` + "`go test ./conformance/protocol -run StrongSwan -args -strongswan -update`" + `.

| case | what strongSwan did |
|---|---|
`

// strongSwanSection is the part of the report about strongSwan.
func strongSwanSection(cases []Case) string {
	counts, rows := map[string]int{}, ""
	for _, c := range cases {
		i := slices.IndexFunc(endings(), func(e ending) bool { return e.title == c.Title })
		if i < 0 {
			counts["not run"]++
			continue
		}
		e := endings()[i]
		if counts[e.state]++; e.state == differs {
			rows += fmt.Sprintf("| %s | %s |\n", cell(e.title), cell(e.what))
		}
	}
	return fmt.Sprintf(strongSwanHead, strongSwanVersion, counts[passes], counts[differs], counts[cannot], counts["not run"]) + rows
}
