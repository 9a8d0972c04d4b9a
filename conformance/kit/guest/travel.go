package guest

import (
	"testing"
	"time"
)

// travel are the words for a kernel whose clock stands while anything computes and jumps to the next timer when nothing does. The random
// number generator that lives on jitter finds none there, and would look for it for twelve seconds at each boot.
var travel = []string{"time-travel=inf-cpu", "initcall_blacklist=jent_mod_init"}

// Travel is Run in time travel: in the guest whatever is computed takes no time, and to wait costs none on the machine. A day with a
// hundred packets is over in seconds, and a busy machine makes nobody miss a deadline. What loops until a time has come never ends, and
// nothing is ever between the beginning and the end of what only computes: a wire needs a delay for anything to be under way on it, and
// whoever wants to meet another program half-way yields the processor to it.
// The timeout is of the machine's time.
func Travel(t testing.TB, timeout time.Duration, command ...string) string {
	t.Helper()
	return boot(t, timeout, travel, command)
}
