package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// maxDiagnostics bounds what one Load reports: more than anybody mends in one go.
const maxDiagnostics = 100

// Diagnostic is one mistake, or one warning, in the configuration.
type Diagnostic struct {
	File    string `json:"file"`
	Line    int    `json:"line"`             // from 1; 0: it concerns the file as a whole
	Column  int    `json:"column"`           // in octets, from 1
	Message string `json:"message"`          // what is wrong, where, and what to write instead
	Source  string `json:"source,omitempty"` // the line, when it cannot hold a secret
}

// String returns "file:line:column: message", and below it the line and a mark under the column.
func (d Diagnostic) String() string {
	if d.Line == 0 {
		return fmt.Sprintf("%s: %s", d.File, d.Message)
	}
	s := fmt.Sprintf("%s:%d:%d: %s", d.File, d.Line, d.Column, d.Message)
	if d.Source == "" {
		return s
	}
	indent := len(d.Source) - len(strings.TrimLeft(d.Source, " \t"))
	return fmt.Sprintf("%s\n    %s\n    %s^", s, d.Source[indent:], strings.Repeat(" ", max(0, d.Column-1-indent)))
}

// Diagnostics is the error of Load and Parse: all mistakes, by file and line. It marshals as a JSON list.
type Diagnostics []Diagnostic

// Error returns all mistakes, one below the other.
func (ds Diagnostics) Error() string {
	var all []string
	for _, d := range ds {
		all = append(all, d.String())
	}
	return strings.Join(all, "\n")
}

// sorted returns the diagnostics in the order of the files, without repetitions, and not too many.
func (ds Diagnostics) sorted(files []*file) Diagnostics {
	order := map[string]int{}
	for i, f := range files {
		order[f.name] = i
	}
	slices.SortStableFunc(ds, func(a, b Diagnostic) int {
		return cmp.Or(order[a.File]-order[b.File], a.Line-b.Line, a.Column-b.Column)
	})
	ds = slices.Compact(ds)
	return ds[:min(len(ds), maxDiagnostics)]
}

// secretLine matches lines that may hold a secret, which must not reach a log: a setting of such a name, a URL with
// a user, or a key itself.
var secretLine = regexp.MustCompile(`(?i)(secret|passw|passphrase|psk|pin|key|token)\w*"?\s*[=:]|://[^/\s"]*@|-----BEGIN`)

// quotable returns the line, or "" when it may hold a secret or is too long to help.
func quotable(line string) string {
	const longest = 240
	line = strings.TrimRight(line, "\r\n")
	if len(line) > longest || secretLine.MatchString(line) || strings.ContainsFunc(line, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		return ""
	}
	return strings.ReplaceAll(line, "\t", " ")
}

// suggest returns the remedy for an unknown word: the known one that is nearest, else all of them.
func suggest(word string, known []string) string {
	if near := nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(known) == 0 {
		return "nothing can stand here"
	}
	known = slices.Sorted(slices.Values(known))
	return "use one of " + strings.Join(known, ", ")
}

func nearest(word string, known []string) (best string) {
	const longest = 64 // a longer word is no slip
	if len(word) > longest {
		return ""
	}
	limit := max(2, len(word)/3) + 1
	for _, k := range known {
		if d := levenshtein.Distance(strings.ToLower(word), k, nil); d < limit && d < len(k) {
			best, limit = k, d
		}
	}
	return best
}
