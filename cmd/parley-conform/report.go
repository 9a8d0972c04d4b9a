package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/core/control"
)

// report is what was found out about a plugin.
type report struct {
	Plugin   string   `json:"plugin"`
	Name     string   `json:"name"`
	Version  string   `json:"version"`
	Services []*sheet `json:"services"`

	colour bool
}

// sheet is what was found out about a service.
type sheet struct {
	Kind    string    `json:"kind"`
	Service string    `json:"service"`
	Passed  int       `json:"passed"`
	Failed  int       `json:"failed"`
	Skipped int       `json:"skipped"`
	Checks  []finding `json:"checks"`
}

type finding struct {
	Check   string      `json:"check"`
	Rule    string      `json:"rule"`
	Verdict kit.Verdict `json:"verdict"`
	Detail  string      `json:"detail,omitempty"`
	Micros  int64       `json:"microseconds"`
}

func (s *sheet) add(r kit.Result) {
	s.Checks = append(s.Checks, finding{Check: r.Name, Rule: r.Rule, Verdict: r.Verdict, Detail: r.Detail, Micros: r.Took.Microseconds()})
	switch r.Verdict {
	case kit.Passed:
		s.Passed++
	case kit.Failed:
		s.Failed++
	case kit.Skipped:
		s.Skipped++
	}
}

func (r *report) failed() (n int) {
	for _, s := range r.Services {
		n += s.Failed
	}
	return n
}

func (r *report) write(w io.Writer, output string) error {
	if output == "json" {
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		return out.Encode(r)
	}
	for _, s := range r.Services {
		if err := r.table(w, s); err != nil {
			return err
		}
	}
	return nil
}

// wrapAt keeps a table readable: details are sentences.
const wrapAt = 70

func (r *report) table(w io.Writer, s *sheet) error {
	t := control.Table{Header: []string{"RESULT", "CHECK", "TIME", "REASON"}, Wrap: wrapAt}
	var verdicts []kit.Verdict // of a line of the table
	for _, f := range s.Checks {
		reason := f.Detail
		if f.Verdict == kit.Failed {
			reason = f.Rule + ": " + f.Detail
		}
		t.Rows = append(t.Rows, []string{string(f.Verdict), f.Check, (time.Duration(f.Micros) * time.Microsecond).Round(100 * time.Microsecond).String(), reason})
		verdicts = append(verdicts, f.Verdict)
	}
	t.Paint = func(row, column int, cell string) string {
		if !r.colour || row < 0 || column > 0 {
			return cell
		}
		return map[kit.Verdict]string{kit.Passed: "\x1b[32m", kit.Failed: "\x1b[31m", kit.Skipped: "\x1b[2m"}[verdicts[row]] + cell + "\x1b[0m"
	}
	_, err := fmt.Fprintf(w, "%s:%s of %s %s (%s)\n%s%d passed, %d failed, %d skipped\n", s.Kind, s.Service, r.Name, r.Version, r.Plugin,
		t.Lines(), s.Passed, s.Failed, s.Skipped)
	return err
}
