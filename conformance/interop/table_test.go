package interop

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// cell is how a scenario with a peer ended in a role.
type cell struct {
	Peer     string `json:"peer"`
	Scenario string `json:"scenario"`
	Role     string `json:"role"`
	Verdict  string `json:"verdict"`
	Why      string `json:"why,omitempty"` // of a scenario that cannot be
}

// Verdicts.
const (
	works  = "yes"
	cannot = "no"
	broken = "FAILED"
	never  = "not run"
)

const (
	resultFile = "testdata/peers.json" // cells from top to bottom and from left to right
	tableFile  = "README.md"           // is made from it
)

var update = flag.Bool("update", false, "write the result of the scenarios with peers, and the table")

// resultLock is held by who reads or writes the files.
var resultLock sync.Mutex

// compare holds the result of a peer against what is kept, or keeps it.
func compare(t *testing.T, result []cell) {
	t.Helper()
	resultLock.Lock()
	defer resultLock.Unlock()
	kept := keptCells(t)
	for _, c := range result {
		i := slices.IndexFunc(kept, c.isOf)
		switch {
		case i < 0:
			t.Errorf("%s is not in the table", c)
		case *update:
			kept[i] = c
		case kept[i] != c:
			t.Errorf("%s, and the table has %+v: write it again by go test ./conformance/interop -run Peers -update", c, kept[i])
		}
	}
	if *update {
		keep(t, kept)
	}
}

func (c cell) isOf(other cell) bool {
	return c.Peer == other.Peer && c.Scenario == other.Scenario && c.Role == other.Role
}

func (c cell) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s, %s, %s: %s %s", c.Peer, c.Scenario, c.Role, c.Verdict, c.Why))
}

// keptCells returns a cell for each scenario, peer and role, as it is kept where it is.
func keptCells(t *testing.T) (all []cell) {
	t.Helper()
	var kept []cell
	raw, err := os.ReadFile(resultFile)
	must(t, err)
	must(t, json.Unmarshal(raw, &kept))
	for _, s := range scenarios {
		for _, m := range makers {
			for _, weBegin := range roles {
				c := cell{Peer: m.name, Scenario: s.name, Role: role(weBegin), Verdict: never}
				if i := slices.IndexFunc(kept, c.isOf); i >= 0 {
					c = kept[i]
				}
				all = append(all, c)
			}
		}
	}
	return all
}

func keep(t *testing.T, cells []cell) {
	t.Helper()
	must(t, os.WriteFile(resultFile, encode(t, cells), 0o644))
	must(t, os.WriteFile(tableFile, []byte(document(cells, keptOwn(t))), 0o644))
}

// encode writes a line for each cell, so that differences can be read.
func encode(t *testing.T, cells []cell) []byte {
	t.Helper()
	var b bytes.Buffer
	for i, c := range cells {
		raw, err := json.Marshal(c)
		must(t, err)
		b.WriteString(map[bool]string{true: "[\n", false: ",\n"}[i == 0])
		b.Write(raw)
	}
	b.WriteString("\n]\n")
	return b.Bytes()
}

// TestTheTableIsCurrent: it has every scenario, and says what was last seen.
func TestTheTableIsCurrent(t *testing.T) {
	cells := keptCells(t)
	own := keptOwn(t)
	for name, want := range map[string]string{resultFile: string(encode(t, cells)), ownFile: string(encode(t, own)), tableFile: document(cells, own)} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s is not current (%v): write it again by PARLEY_INTEROP=full go test ./conformance/interop -run Peers -update", name, err)
		}
	}
	for _, c := range slices.Concat(cells, own) {
		if c.Verdict == never {
			t.Errorf("%s: the table tells nothing", c)
		}
	}
}

const aboveTable = `# Interoperability

Generated from the tests' result by ` + "`PARLEY_INTEROP=full go test ./conformance/interop -run Peers -update`" + `; do not edit.

Each cell is a parleyd against a daemon of another make, from Debian's packages, in namespaces of a guest kernel (User Mode Linux
6.12), both with the kernel's own ESP. *We begin* and *they begin* tell who starts what the row is about. **yes** means: the scenario
went as its RFC says, and where a tunnel is up, pings crossed, the kernels of both sides counted them on the current child SA in both
directions, and captures at both ends of the wire saw none in clear. A *refused* row means that no tunnel came up, and that
` + "`parley explain`" + ` named the reason and the line to change. A number is a note below: why it cannot be done with that peer.

`

// table renders the cells.
func table(cells []cell) string {
	var b strings.Builder
	b.WriteString(aboveTable)
	first, second := "| |", "|---|"
	third := "| |"
	for _, m := range makers {
		first += fmt.Sprintf(" %s %s | |", m.name, m.version)
		second += "---|---|"
		for _, weBegin := range roles {
			third += " *" + role(weBegin) + "* |"
		}
	}
	fmt.Fprintf(&b, "%s\n%s\n%s\n", first, second, third)
	var notes []string
	for i := 0; i < len(cells); i += len(makers) * len(roles) {
		row := cells[i : i+len(makers)*len(roles)]
		b.WriteString("| " + row[0].Scenario + " |")
		for _, c := range row {
			b.WriteString(" " + c.text(&notes) + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for i, note := range notes {
		fmt.Fprintf(&b, "%d. %s\n", i+1, note)
	}
	return b.String()
}

// text is what the table says of a cell, with a note of its own or one that is already there.
func (c cell) text(notes *[]string) string {
	if c.Verdict != cannot {
		return c.Verdict
	}
	note := c.Peer + ": " + c.Why
	if !slices.Contains(*notes, note) {
		*notes = append(*notes, note)
	}
	return fmt.Sprintf("%d", slices.Index(*notes, note)+1)
}
