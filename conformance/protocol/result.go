package protocol

import (
	"fmt"
	"time"
)

// Case is one thing that a daemon must do, and how to find out.
type Case struct {
	IDs      []string // requirements that it tests
	Title    string   // one sentence: what a right daemon does
	Run      func(*T)
	Settings Settings
	Tune     func(*Connection) // nil: the connection is as all others are
	Defect   string            // why our daemon fails it, for the time being: then it must
	NotYet   string            // what our daemon lacks for it: then it is not run
}

// Result is how a case ended.
type Result struct {
	*Case
	Faults  []string // what was wrong, empty when nothing
	Skipped string   // why it could not run
	Trace   []string // what was sent and received
	Took    time.Duration
}

func ids(list ...string) []string { return list }

func (r Result) String() string {
	state := "ok"
	switch {
	case r.Skipped != "":
		state = "skipped: " + r.Skipped
	case len(r.Faults) > 0:
		state = "FAULT"
	}
	return fmt.Sprintf("%v %s: %s", r.IDs, r.Title, state)
}
