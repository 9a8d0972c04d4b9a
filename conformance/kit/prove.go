package kit

import (
	"strings"
	"testing"
)

// Key is what secrets of reference implementations hold, so that Prove sees one that gets into an error.
const Key = "secret!"

// Prove shows that a suite is worth something: every fault of an implementation fails the check that is named for it, every check
// catches a fault, and the implementation without a fault passes all. Checks in beyond need a subject that is not to be had here.
func Prove[S any](t *testing.T, checks []Check[S], subject func(fault string) S, faults map[string]string, beyond ...string) {
	t.Helper()
	byName, unproven := map[string]Check[S]{}, map[string]bool{}
	for _, check := range checks {
		byName[check.Name], unproven[check.Name] = check, true
		if check.Rule == "" {
			t.Errorf("%q names no rule", check.Name)
		}
		if r := check.Judge(t.Context(), subject(""), CheckTime); r.Verdict == Failed {
			t.Errorf("no fault: %q: %s", check.Name, r.Detail)
		}
	}
	for fault, name := range faults {
		check, ok := byName[name]
		if !ok {
			t.Errorf("there is no check %q", name)
			continue
		}
		if r := check.Judge(t.Context(), subject(fault), CheckTime); r.Verdict != Failed {
			t.Errorf("%q was not caught by %q: %s", fault, name, r.Verdict)
		} else if strings.Contains(r.Detail, Key) {
			t.Errorf("%q: the error shows a key: %s", fault, r.Detail)
		}
		delete(unproven, name)
	}
	for _, name := range beyond {
		delete(unproven, name)
	}
	for name := range unproven {
		t.Errorf("no fault proves the check %q", name)
	}
}
