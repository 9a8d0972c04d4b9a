package kernel

import (
	"testing"

	"github.com/parley-ike/parley/sdk/sa"
)

// RFC 4303 section 3.3.3: another SA has to be there before the numbers end.
func TestTheCauseOfAnExpiryIsTheLimitThatWasReached(t *testing.T) {
	t.Parallel()
	c := lan(1)
	for n, want := range map[uint64]string{0: "", SoftNumber - 1: "", SoftNumber: sa.SequenceNumbers} {
		if got := cause(&c, c.Soft, &State{Packets: n}); got != want {
			t.Errorf("after %d packets the cause is %q", n, got)
		}
	}
	limit := sa.Volume{Bytes: 1000, Packets: 10}
	for want, m := range map[string]State{"": {Bytes: 999, Packets: 9}, sa.Bytes: {Bytes: 1000, Packets: 10}, sa.Packets: {Bytes: 1, Packets: 10}} {
		if got := cause(&c, limit, &m); got != want {
			t.Errorf("%+v: the cause is %q, want %q", m, got, want)
		}
	}
}

func TestTheCauseOfAnExpiryWhoseCountersAreGoneIsTheLimitThatThereIs(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]sa.Volume{sa.Bytes: {Bytes: 1}, sa.Packets: {Packets: 1}, sa.SequenceNumbers: {}} {
		if got := only(v); got != want {
			t.Errorf("%+v: %q, want %q", v, got, want)
		}
	}
}
