package config

import (
	"testing"
	"time"

	"github.com/parley-ike/parley/core/policy"
)

func TestLifetimesHaveDefaultsAndCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		ike, child          string
		wantIKE, wantsChild policy.Lifetime
	}{
		{"", "", policy.Lifetime{Time: 4 * time.Hour}, policy.Lifetime{Time: time.Hour}},
		{`lifetime { time = "0s" }`, `lifetime { time = "0s" }`, policy.Lifetime{}, policy.Lifetime{}},
		{`lifetime { time = "30m" margin = "2m" jitter = "0s" }`, `lifetime { bytes = "1GiB" packets = 5000 }`,
			policy.Lifetime{Time: 30 * time.Minute, Margin: 2 * time.Minute, Jitter: 1}, policy.Lifetime{Time: time.Hour, Bytes: 1 << 30, Packets: 5000}},
	} {
		c := session(t, tt.ike, tt.child)
		if c.Lifetime != tt.wantIKE || c.Children[0].Lifetime != tt.wantsChild {
			t.Errorf("%s %s: got %+v and %+v", tt.ike, tt.child, c.Lifetime, c.Children[0].Lifetime)
		}
	}
}
