package sakit

import (
	"strings"
	"testing"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/sdk/sa"
)

func TestTheSABackendSuiteCatchesFaults(t *testing.T) {
	t.Parallel()
	fixture := func(fault string) Fixture {
		return Fixture{Process: process{&backend{fault: fault, next: 300, children: map[sa.UID]sa.Child{}}}}
	}
	kit.Prove(t, Checks(), fixture, map[string]string{
		"not usable":                        "the probe tells what can be done and changes nothing",
		"reserved SPI":                      "SPIs are distinct and none is reserved",
		"SPI twice":                         "SPIs are distinct and none is reserved",
		"not listed":                        "a child lives: installed, listed, used, removed",
		"counters of the dead":              "a child lives: installed, listed, used, removed",
		"claims what it cannot":             "every algorithm of the probe can be installed",
		"second install fails":              "the same child again changes nothing",
		"second removal fails":              "removing what is not there is a success",
		"owners ignored":                    "owners do not meet",
		"one child for each selector":       "a new child for the same selectors stays when the old one goes",
		"stays held":                        "a child that is held back sends after its update",
		"stays where it was":                "an update moves a child",
		"what is lost stays lost":           "an update of what is not there installs it",
		"any trap is set":                   "traps are set as a whole, beneath children",
		"any SPI is freed":                  "an SPI is given back, but not that of a child",
		"unknown algorithm taken":           "what cannot be done is unsupported and leaves nothing",
		"unknown setting taken":             "what cannot be done is unsupported and leaves nothing",
		"keys are the caller's":             "arguments and results belong to the caller",
		"one call at a time or wrong":       "many children at the same time",
		"context ignored":                   "a call whose context ended is not performed",
		"SPI taken twice":                   "an SPI that a child has is not given to another child",
		"limits stay":                       "limits of traffic are taken, and changed by an update",
		"transport claimed and refused":     "transport mode can be installed",
		"ESN claimed and refused":           "extended sequence numbers can be installed",
		"window claimed and refused":        "the widest replay window can be installed",
		"encapsulation claimed and refused": "ESP in UDP can be installed",
		"padding claimed and refused":       "padding of inner packets can be installed",
		"mark claimed and refused":          "every setting of the probe can be installed",
		"bypass claimed and refused":        "traffic can be let pass or be dropped",
		"removal overtakes installation":    "calls about one child keep their order",
		"epoch stays":                       "a killed process keeps its children or tells that it lost them",
		"does not come back":                "a killed process keeps its children or tells that it lost them",
		"installed although ctx is over":    "a call whose context ended is not performed",
	})
}

// What a backend does not claim is skipped, and the reason names the claim.
func TestWhatIsNotClaimedIsSkipped(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"transport mode can be installed": "transport", "extended sequence numbers can be installed": "ESN", "ESP in UDP can be installed": "ESP in UDP",
		"the widest replay window can be installed": "window", "padding of inner packets can be installed": "padding",
		"every setting of the probe can be installed": "setting", "traps are set as a whole, beneath children": "traps",
		"traffic can be let pass or be dropped": "traps", "calls about one child keep their order": "process",
		"a killed process keeps its children or tells that it lost them": "process",
	}
	modest := Fixture{Plugin: modest{&backend{next: 300, children: map[sa.UID]sa.Child{}}}}
	for _, check := range Checks() {
		r := check.Judge(t.Context(), modest, kit.CheckTime)
		reason, gated := want[r.Name]
		if gated != (r.Verdict == kit.Skipped) || !strings.Contains(r.Detail, reason) || r.Verdict == kit.Failed {
			t.Errorf("%s: %s, %q", r.Name, r.Verdict, r.Detail)
		}
	}
}
