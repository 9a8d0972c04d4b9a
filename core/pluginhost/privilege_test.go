package pluginhost

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

func TestTheTimersOfAPluginAreCalm(t *testing.T) {
	t.Parallel()
	p := newProcess(&exec.Cmd{Path: "/bin/cat", Args: []string{"cat", "/proc/self/timerslack_ns"}}, nil, zap.NewNop())
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(p.Stdout()).ReadString('\n')
	if want := strconv.FormatInt(timerSlack.Nanoseconds(), 10); err != nil || strings.TrimSpace(line) != want {
		t.Errorf("the timers of a child are %q ns late, want %s, error %v", line, want, err)
	}
	_ = p.Wait(t.Context())
}

// As in a container that has CAP_NET_ADMIN and not CAP_SETPCAP: the bounding set stays as it is.
func TestAChildGetsNothingAlsoWhereTheBoundingSetCannotShrink(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("MISSING: root, whose children get all that the bounding set leaves")
	}
	got := make(chan string)
	onOwnThread(func() {
		problem := dropOnThread(unix.CAP_SETPCAP)
		if problem == nil {
			problem = confine([]uintptr{unix.CAP_NET_RAW}, false)
		}
		if problem != nil {
			got <- problem.Error()
			return
		}
		out, err := exec.Command("/bin/grep", "-E", "Cap(Eff|Prm|Amb|Inh|Bnd)", "/proc/self/status").CombinedOutput()
		if err != nil {
			out = append(out, err.Error()...)
		}
		got <- string(out)
	})
	text := <-got
	const raw = "0000000000002000" // CAP_NET_RAW is 13
	if !strings.Contains(text, "CapEff:\t"+raw) || !strings.Contains(text, "CapPrm:\t"+raw) || strings.Contains(text, "CapBnd:\t"+raw) {
		t.Errorf("the child has\n%s", text)
	}
}

func dropOnThread(c int) error {
	header, data, err := threadCapabilities()
	if err != nil {
		return err
	}
	data[c/32].Permitted &^= 1 << (c % 32)
	data[c/32].Effective &^= 1 << (c % 32)
	return unix.Capset(&header, &data[0])
}

func TestAChildOfAnotherUserKeepsWhatItMay(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("MISSING: root, to change the user")
	}
	keep := []uintptr{unix.CAP_NET_ADMIN}
	attr, err := processAttributes("nobody", keep)
	if err != nil {
		t.Skipf("MISSING: the user nobody: %v", err)
	}
	got := make(chan string)
	onOwnThread(func() {
		if err := confine(keep, true); err != nil {
			got <- err.Error()
			return
		}
		cmd := exec.Command("/bin/grep", "-E", "Uid|Cap(Eff|Prm|Bnd)", "/proc/self/status")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: attr.Credential, AmbientCaps: attr.AmbientCaps}
		out, err := cmd.CombinedOutput()
		if err != nil {
			out = append(out, err.Error()...)
		}
		got <- string(out)
	})
	text := <-got
	const admin = "0000000000001000" // CAP_NET_ADMIN is 12
	if strings.Count(text, admin) != 3 || strings.Contains(text, "Uid:\t0") {
		t.Errorf("the child has\n%s", text)
	}
}
