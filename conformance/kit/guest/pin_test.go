package guest

import (
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestACommandRunsOnTheProcessorOfItsNumber(t *testing.T) {
	t.Parallel()
	var ours unix.CPUSet
	if err := unix.SchedGetaffinity(0, &ours); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for number := range ours.Count() {
		var out strings.Builder
		cmd := exec.Command("sh", "-c", "grep Cpus_allowed_list /proc/self/status")
		cmd.Stdout = &out
		if err := start(cmd, number); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || strings.ContainsAny(out.String(), ",-") || seen[out.String()] {
			t.Errorf("number %d: %q, %v, after %v", number, out.String(), err, seen)
		}
		seen[out.String()] = true
	}
	var after unix.CPUSet
	if err := unix.SchedGetaffinity(0, &after); err != nil || after != ours {
		t.Errorf("we have the processors %v afterwards, and had %v: %v", after, ours, err)
	}
}
