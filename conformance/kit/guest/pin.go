package guest

import (
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// start starts a command on one processor, of those that we may use the one of a number. A guest has one processor, and is several
// processes that hand each other the turn at every system call within it: on processors that sleep in between, each turn waits for one to
// wake, and a guest on an idle machine takes four times as long as on a busy one.
func start(cmd *exec.Cmd, number int) error {
	runtime.LockOSThread() // whose processors the command inherits
	defer runtime.UnlockOSThread()
	var ours unix.CPUSet
	if err := unix.SchedGetaffinity(0, &ours); err != nil {
		return err
	}
	one := nth(ours, number)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	err := cmd.Start()
	if back := unix.SchedSetaffinity(0, &ours); back != nil {
		panic("guest: a thread does not get its processors back: " + back.Error())
	}
	return err
}

// nth returns the set of one processor of a set, counted around.
func nth(set unix.CPUSet, number int) (one unix.CPUSet) {
	number %= max(set.Count(), 1)
	for cpu := 0; ; cpu++ {
		switch {
		case !set.IsSet(cpu):
		case number == 0:
			one.Set(cpu)
			return one
		default:
			number--
		}
	}
}
