package interop

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
	"github.com/parley-ike/parley/conformance/kit/guest"
)

// TestTheDemonstrationRunsOnAKernelsOwnESP: in a guest whose kernel can do ESP the daemon takes the XFRM backend by itself,
// and everything that the demonstration checks holds on it.
func TestTheDemonstrationRunsOnAKernelsOwnESP(t *testing.T) {
	bin, err := lab.BinDir()
	if err != nil {
		t.Fatal(err)
	}
	text := guest.Run(t, 2*time.Minute, filepath.Join(bin, "parley-conform"), "demo")
	if !strings.Contains(text, "SA backend  xfrm") || !strings.Contains(text, "everything above was checked") {
		t.Errorf("the demonstration should have run on XFRM:\n%s", text)
	}
}

// TestTheBackendsOfAKernelConformAsProcesses judges what is shipped, as a vendor would, in a guest whose kernel can do ESP.
func TestTheBackendsOfAKernelConformAsProcesses(t *testing.T) {
	t.Parallel()
	bin, err := lab.BinDir()
	if err != nil {
		t.Fatal(err)
	}
	text := guest.Run(t, 2*time.Minute, filepath.Join(bin, "parley-conform"), "sa", "--plugin", filepath.Join(bin, "parley-plugin"), "--privileges", "net_admin,net_raw",
		"--", "sa:xfrm", "sa:offload", "sa:pfkey")
	if n := strings.Count(text, " 0 failed"); n != 3 {
		t.Errorf("%d of 3 backends conform:\n%s", n, text)
	}
}
