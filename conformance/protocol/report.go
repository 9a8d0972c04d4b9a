package protocol

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// state is what became of a requirement.
type state string

const (
	tested       state = "tested"         // by a case here
	elsewhere    state = "elsewhere"      // by a test of the tree that names its id
	fails        state = "fails"          // a case here finds a defect
	notYet       state = "not yet"        // the feature, or the setting for a case, is not there
	doesNotApply state = "does not apply" // to this daemon, by decision
	unseen       state = "not visible"    // from the wire, nor in another test
	unknownState state = "UNKNOWN"
)

var states = []state{tested, elsewhere, fails, notYet, doesNotApply, unseen, unknownState}

// verdict is what is known about a requirement.
type verdict struct {
	state state
	why   []string // titles of cases, places of tests, or a reason
}

// judge finds what is known about a requirement: a case that can be run counts most.
func judgeRequirement(id string, cases []Case, places map[string][]string) verdict {
	var runs, defects, waits []string
	for _, c := range cases {
		switch {
		case !slices.Contains(c.IDs, id):
		case c.NotYet != "":
			waits = append(waits, c.NotYet)
		case c.Defect != "":
			defects = append(defects, c.Title+" "+c.Defect+".")
		default:
			runs = append(runs, c.Title)
		}
	}
	reason := reasonFor(id)
	switch {
	case len(defects) > 0:
		return verdict{fails, defects}
	case len(runs) > 0:
		return verdict{tested, runs}
	case len(places[id]) > 0:
		return verdict{elsewhere, places[id]}
	case len(waits) > 0:
		slices.Sort(waits)
		return verdict{notYet, slices.Compact(waits)}
	case reason != nil:
		return verdict{reason.state, []string{reason.why}}
	}
	return verdict{unknownState, nil}
}

// reasonFor returns why a requirement is not tested, nil when nobody said.
func reasonFor(id string) *reason {
	for i := range reasons {
		if slices.Contains(strings.Fields(reasons[i].ids), id) {
			return &reasons[i]
		}
	}
	return nil
}

// maxPlaces is how many tests of the tree a report names for one requirement.
const maxPlaces = 2

// Report writes the report: of every requirement, which case or test proves it, or why none does. root is the top of the
// tree.
func Report(root string) (string, error) {
	places, err := testPlaces(root)
	if err != nil {
		return "", err
	}
	cases := Cases()
	var summary, body strings.Builder
	for _, d := range documents {
		list, err := requirements(d.file)
		if err != nil {
			return "", err
		}
		counts := map[state]int{}
		fmt.Fprintf(&body, "\n## %s\n", d.title)
		section := ""
		for _, r := range list {
			if r.Section != section {
				section = r.Section
				fmt.Fprintf(&body, "\n### %s\n\n| id | level | rule | state | by |\n|---|---|---|---|---|\n", section)
			}
			v := judgeRequirement(r.ID, cases, places)
			counts[v.state]++
			fmt.Fprintf(&body, "| %s | %s, %s | %s | %s | %s |\n", r.ID, r.Level, r.Role, cell(r.Text), v.state, cell(strings.Join(v.why, "<br>")))
		}
		fmt.Fprintf(&summary, "| %s | %d |", d.title, len(list))
		for _, s := range states {
			fmt.Fprintf(&summary, " %d |", counts[s])
		}
		summary.WriteString("\n")
	}
	heading := "| document | rules |"
	for _, s := range states {
		heading += " " + string(s) + " |"
	}
	return fmt.Sprintf(reportHead, len(cases)) + heading + "\n" + strings.Repeat("|---", len(states)+2) + "|\n" + summary.String() + body.String() + otherRFCs(cases) + strongSwanSection(cases), nil
}

// otherRFCs lists the cases for RFCs whose rules are not numbered here, by the sections that they name.
func otherRFCs(cases []Case) string {
	sections := map[string][]string{}
	for _, c := range cases {
		for _, id := range c.IDs {
			if !numbered(id) {
				sections[id] = append(sections[id], c.Title)
			}
		}
	}
	b := "\n## Other RFCs\n\n| section | tested by |\n|---|---|\n"
	for _, id := range slices.Sorted(maps.Keys(sections)) {
		b += fmt.Sprintf("| %s | %s |\n", strings.Replace(id, "-", " section ", 1), cell(strings.Join(sections[id], "<br>")))
	}
	return b
}

// numbered reports whether an id is of an RFC whose rules are listed; of others a case names a section.
func numbered(id string) bool {
	rfc, _, _ := strings.Cut(strings.ToLower(id), "-")
	return slices.ContainsFunc(documents, func(d struct{ file, title string }) bool { return d.file == rfc+".tsv" })
}

const reportHead = `# Conformance of parleyd

Generated from the cases of this folder by ` + "`go test ./conformance/protocol -run Report -update`" + `; a test fails when it is not current.
The %d cases run against a real parleyd in ` + "`make protocol`" + `.

* **tested**: by the cases that are named, over the wire.
* **elsewhere**: by a test of the tree that carries the id.
* **fails**: a case shows a defect, which the text names.
* **not yet**: what it takes is not there.
* **does not apply**, **not visible**: with the reason.

The rules are paraphrases; the RFC has the binding words.

`

// cell makes text fit a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

// idPattern finds an id and what follows it in the short form "RFC7296-2.17-1, -2".
var idPattern = regexp.MustCompile(`(RFC\d+-[\d.]*\d)-(\d+)((?:(?:,| and| to) -\d+)*)`)

// testPlaces finds which tests of the tree name which requirement: "core/ikev2: TestX" or the file of a script.
func testPlaces(root string) (map[string][]string, error) {
	places := map[string][]string{}
	own, err := filepath.Abs(".")
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		abs, _ := filepath.Abs(path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (abs == own || strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "bin"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go") && filepath.Ext(path) != ".txt":
			return nil
		}
		rel, _ := filepath.Rel(root, path)
		return scan(path, filepath.ToSlash(rel), places)
	})
	for id, list := range places {
		slices.Sort(list)
		list = slices.Compact(list)
		places[id] = list[:min(len(list), maxPlaces)]
	}
	return places, err
}

func scan(path, rel string, places map[string][]string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines := strings.Split(string(raw), "\n")
	for i, line := range lines {
		for _, m := range idPattern.FindAllStringSubmatch(line, -1) {
			place := rel
			if name := testAt(lines, i); name != "" {
				place = filepath.ToSlash(filepath.Dir(rel)) + ": " + name
			}
			for _, n := range append([]string{m[2]}, numbers.FindAllString(m[3], -1)...) {
				id := m[1] + "-" + n
				places[id] = append(places[id], place)
			}
		}
	}
	return nil
}

var numbers = regexp.MustCompile(`\d+`)

// testAt returns the test function that a line belongs to: the one it is in, or the one whose comment it is.
func testAt(lines []string, i int) string {
	step := -1
	if strings.HasPrefix(lines[i], "//") {
		step = 1
	}
	for ; i >= 0 && i < len(lines); i += step {
		if rest, ok := strings.CutPrefix(lines[i], "func Test"); ok {
			name, _, _ := strings.Cut(rest, "(")
			return "Test" + name
		}
	}
	return ""
}
