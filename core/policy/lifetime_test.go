package policy

import (
	"testing"
	"time"
)

// RFC7296-2.8.1-1: chance decides when exactly.
func TestSAsAreReplacedSomeTimeBeforeTheirEnd(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		l        Lifetime
		from, to time.Duration
	}{
		{"default", Lifetime{Time: time.Hour}, 48 * time.Minute, 54 * time.Minute},
		{"margin", Lifetime{Time: time.Hour, Margin: 10 * time.Minute, Jitter: 1}, 50 * time.Minute, 50 * time.Minute},
		{"jitter", Lifetime{Time: time.Hour, Jitter: 20 * time.Minute}, 34 * time.Minute, 54 * time.Minute},
		{"never", Lifetime{}, 0, 0},
		{"absurd", Lifetime{Time: time.Second, Margin: time.Hour}, 1, 1},
	}
	for _, tt := range tests {
		seen := map[time.Duration]bool{}
		for r := range uint64(1000) {
			got := tt.l.Soft(r * 0x9e3779b97f4a7c15)
			if seen[got] = true; got < tt.from || got > tt.to {
				t.Fatalf("%s: %v, want %v to %v", tt.name, got, tt.from, tt.to)
			}
		}
		if spread := len(seen) > 500; spread != (tt.name == "default" || tt.name == "jitter") {
			t.Errorf("%s: %d different times", tt.name, len(seen))
		}
	}
}

func TestVolumesAreReplacedBeforeTheirEnd(t *testing.T) {
	t.Parallel()
	for r := range uint64(1000) {
		if got := SoftVolume(1000, r); got < 800 || got > 900 {
			t.Fatalf("%d of 1000", got)
		}
	}
	if SoftVolume(0, 7) != 0 || SoftVolume(5, 7) != 5 {
		t.Error("small limits are not themselves")
	}
}
