package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The test binary is its own child: what harden does is the whole process's.
func TestMain(m *testing.M) {
	if os.Getenv("PARLEYD_TEST_HARDEN") == "" {
		os.Exit(m.Run())
	}
	harden()
	var core unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_CORE, &core)
	dumpable, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	flags, _ := unix.FcntlInt(3, unix.F_GETFD, 0)
	fmt.Printf("core %t dumpable %d cloexec %d umask %04o", core.Cur <= 1 && core.Max <= 1, dumpable, flags, unix.Umask(0))
}

func TestTheProcessKeepsItsSecretsAndPassesNothingOn(t *testing.T) {
	open, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for umask, want := range map[string]string{"0": "0022", "077": "0077"} {
		cmd := exec.Command("/bin/sh", "-c", "umask "+umask+"; exec \"$0\"", self)
		cmd.Env, cmd.ExtraFiles = append(os.Environ(), "PARLEYD_TEST_HARDEN=1"), []*os.File{open}
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != "core true dumpable 0 cloexec 1 umask "+want {
			t.Errorf("with umask %s: %q, %v", umask, got, err)
		}
	}
}
