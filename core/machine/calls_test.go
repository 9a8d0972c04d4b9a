package machine

import (
	"testing"
	"time"
)

func TestCallsAreRepeatedWithGrowingPauses(t *testing.T) {
	t.Parallel()
	last := time.Duration(0)
	for tries := 1; tries < 100; tries++ {
		d := backoff(tries)
		if d < last || d < firstBackoff || d > maxBackoff {
			t.Fatalf("after %d tries %v, before %v", tries, d, last)
		}
		last = d
	}
}
