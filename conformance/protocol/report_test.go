package protocol

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write REPORT.md anew")

const (
	root       = "../.."
	reportFile = "REPORT.md"
)

// TestReportIsCurrent compares REPORT.md with what the cases and the tree give.
func TestReportIsCurrent(t *testing.T) {
	want, err := Report(root)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(reportFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(reportFile)
	if err != nil || string(got) != want {
		t.Errorf("%s is not current (%v): go test ./conformance/protocol -run Report -update", reportFile, err)
	}
}

// TestEveryRequirementIsAccountedFor: tested, or listed with the reason, and not both.
func TestEveryRequirementIsAccountedFor(t *testing.T) {
	places, err := testPlaces(root)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, d := range documents {
		list, err := requirements(d.file)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			known[r.ID] = true
			v := judgeRequirement(r.ID, Cases(), places)
			if v.state == unknownState {
				t.Errorf("%s (%s) is neither tested nor listed in reasons.go: %s", r.ID, r.Level, r.Text)
			}
			if why := reasonFor(r.ID); why != nil && v.why[0] != why.why {
				t.Errorf("%s is %s: take it out of reasons.go", r.ID, v.state)
			}
		}
	}
	for _, c := range Cases() {
		for _, id := range c.IDs {
			if numbered(id) && !known[id] {
				t.Errorf("case %q is for %s, which is no requirement", c.Title, id)
			}
		}
	}
	for _, r := range reasons {
		for _, id := range strings.Fields(r.ids) {
			if !known[id] {
				t.Errorf("reasons.go has %s, which is no requirement", id)
			}
		}
	}
}

// TestTitlesAreSentences: they are what people read in the report, and find a case by.
func TestTitlesAreSentences(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Cases() {
		if seen[c.Title] || !strings.HasSuffix(c.Title, ".") || len(c.IDs) == 0 || c.Run == nil {
			t.Errorf("%q: the title is there twice or no sentence, or the case has no id or nothing to run", c.Title)
		}
		seen[c.Title] = true
		if sorted := slices.Sorted(slices.Values(c.IDs)); len(slices.Compact(sorted)) != len(c.IDs) {
			t.Errorf("%q names an id twice", c.Title)
		}
	}
}
