package guest

import (
	"strings"
	"testing"
	"time"
)

func TestADayOfSleepIsOverAtOnceInTimeTravel(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	text := Travel(t, 2*time.Minute, "sh", "-c", "sleep 86400; cut -d. -f1 /proc/uptime")
	if !strings.Contains(text, "86400") {
		t.Errorf("the guest has not lived through a day, but for %v of ours: %s", time.Since(begin), text)
	}
}
