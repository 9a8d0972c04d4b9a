package daemon

import (
	"testing"

	"github.com/parley-ike/parley/core/config"
	"github.com/parley-ike/parley/core/engine"
)

// The defaults of the configuration are those that the engine explains.
func TestTheDefaultsOfFloodsAreTheEngines(t *testing.T) {
	t.Parallel()
	s, err := config.Parse("parley.hcl", nil, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := limits(s.Daemon.Flood), (engine.Limits{}).WithDefaults(); got != want {
		t.Errorf("configured %+v, the engine has %+v", got, want)
	}
	if got := limits(config.Flood{}).CookieThreshold; got != engine.AlwaysCookies {
		t.Errorf("a threshold of 0 becomes %d", got)
	}
}
