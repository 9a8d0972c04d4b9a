package protocol

import (
	"flag"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

var only = flag.String("case", "", "run only cases whose ids or title match this regular expression")

// chosen are the cases to run.
func chosen() (list []Case) {
	want := regexp.MustCompile(*only)
	for _, c := range Cases() {
		if want.MatchString(strings.Join(c.IDs, " ") + " " + c.Title) {
			list = append(list, c)
		}
	}
	return list
}

// TestParley runs every case against our daemon that it has the features for.
func TestParley(t *testing.T) {
	if err := lab.Possible(); err != nil {
		t.Skipf("SKIPPED, not proven here: %v", err)
	}
	bin, err := lab.BinDir()
	if err != nil {
		t.Fatal(err)
	}
	cases := slices.DeleteFunc(chosen(), func(c Case) bool { return c.NotYet != "" })
	results, err := Run(t.Context(), Parley{Bin: bin}, cases)
	if err != nil {
		t.Error(err)
	}
	for _, r := range results {
		t.Run(strings.Join(r.IDs, ",")+" "+r.Title, func(t *testing.T) { judge(t, r) })
	}
}

var strongswan = flag.Bool("strongswan", false, "run the cases against strongSwan, too, and print what it fails")

// TestStrongSwan runs every case against strongSwan, when asked to: a case that it fails deserves a second look at the RFC.
func TestStrongSwan(t *testing.T) {
	if !*strongswan {
		t.Skip("asked for by -strongswan alone: another daemon's faults are not ours")
	}
	results, err := Run(t.Context(), Charon{}, chosen())
	if err != nil {
		t.Error(err)
	}
	for _, r := range results {
		t.Log(r)
		if len(r.Faults) > 0 {
			t.Errorf("%s\n%s", strings.Join(r.Faults, "\n"), strings.Join(r.Trace, "\n"))
		}
	}
}

func judge(t *testing.T, r Result) {
	t.Logf("took %v", r.Took)
	switch {
	case r.Skipped != "":
		t.Errorf("it could not run, and does not say so: %s", r.Skipped)
	case len(r.Faults) > 0 && r.Defect == "":
		t.Errorf("%s\n%s", strings.Join(r.Faults, "\n"), strings.Join(r.Trace, "\n"))
	case len(r.Faults) == 0 && r.Defect != "":
		t.Errorf("the defect is mended, take the note off: %s", r.Defect)
	case len(r.Faults) > 0:
		t.Logf("known defect: %s: %s", r.Defect, strings.Join(r.Faults, "\n"))
	}
}
