package guest

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func TestOnlyWhoCatchesASignalIsSentIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		script string
		want   bool
	}{{"trap 'echo beaten; exit 0' ALRM; echo ready; while :; do sleep 0.05; done", true}, {"echo ready; sleep 1; echo unharmed", false}} {
		cmd := exec.Command("bash", "-c", c.script)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ready := make([]byte, 6)
		if _, err := out.Read(ready); err != nil {
			t.Fatal(err)
		}
		if got := catches(cmd.Process.Pid, syscall.SIGALRM); got != c.want {
			t.Errorf("%q catches: %v", c.script, got)
		}
		stop := beat(cmd.Process.Pid)
		began := time.Now()
		said := make([]byte, 16)
		n, _ := out.Read(said)
		stop()
		if err := cmd.Wait(); err != nil || n == 0 || time.Since(began) > 30*time.Second {
			t.Errorf("%q: %v after %v", c.script, err, time.Since(began))
		}
	}
	if catches(os.Getpid(), syscall.SIGKILL) || catches(1<<30, syscall.SIGALRM) {
		t.Error("nobody catches SIGKILL, and a process that is not catches nothing")
	}
}
