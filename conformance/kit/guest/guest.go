// Package guest runs a command in a guest kernel: User Mode Linux, which needs no privilege, boots in half a second on the
// machine's own files, and has the ESP that the machine's kernel may lack.
package guest

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// InGuest is set in the environment of what runs in a guest.
const InGuest = "PARLEY_IN_GUEST"

// KernelVariable names the kernel to boot, a User Mode Linux with XFRM and ESP, possibly compressed by gzip.
const KernelVariable = "PARLEY_LAB_KERNEL"

// Inside reports whether this process runs in a guest.
func Inside() bool { return os.Getenv(InGuest) != "" }

// Run boots a guest with root on this machine's files and runs a command in it as root, when less than slots of them run. It returns what the command printed,
// and fails the test unless it ends with status 0 within the time. Without a kernel the test is skipped.
func Run(t testing.TB, timeout time.Duration, command ...string) string {
	t.Helper()
	return boot(t, timeout, nil, command)
}

// boot is Run with more words for the kernel.
func boot(t testing.TB, timeout time.Duration, words, command []string) string {
	t.Helper()
	kernel, dir := kernel(t), t.TempDir()
	slot, give := takeSlot(t)
	defer give()
	script := filepath.Join(dir, "init")
	if err := os.WriteFile(script, []byte(initScript(dir, command)), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	args := []string{"mem=1024M", "rootfstype=hostfs", "rootflags=/", "rw", "init=" + script, "quiet", "con=null", "con0=null,fd:1", "ssl=null", "uml_dir=" + dir}
	cmd := exec.CommandContext(ctx, kernel, append(args, words...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	err := start(cmd, slot)
	if err == nil {
		err = cmd.Wait()
	}
	text := strings.ReplaceAll(printed.String(), "\r", "")
	status, _ := os.ReadFile(filepath.Join(dir, "status"))
	if strings.TrimSpace(string(status)) != "0" {
		t.Fatalf("in the guest: status %q, %v:\n%s", status, err, text)
	}
	return text
}

// initScript is the first process: it mounts what programs expect and powers the guest off at the end. Files that outlive
// the guest go to dir; everything else that the command writes should go to TMPDIR, which is in the guest's memory.
func initScript(dir string, command []string) string {
	quoted := make([]string, len(command))
	for i, word := range command {
		quoted[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return fmt.Sprintf(`#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb %s=1 TMPDIR=/dev/shm
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /dev/shm
mount -t tmpfs tmpfs /dev/shm
%s
echo $? > %s/status
sync
echo o > /proc/sysrq-trigger
sleep 10
`, InGuest, strings.Join(quoted, " "), dir)
}

// kernel finds the kernel to boot. Kernels whose ESP is in modules, as that of Debian's user-mode-linux, will not do: nothing
// loads modules in the guest.
func kernel(t testing.TB) string {
	t.Helper()
	for _, path := range []string{os.Getenv(KernelVariable), besideCheckout()} {
		if info, err := os.Stat(path); err != nil || path == "" || info.IsDir() {
			continue
		}
		if strings.HasSuffix(path, ".gz") {
			return unzip(t, path)
		}
		return path
	}
	t.Skipf("SKIPPED, not proven here: no guest kernel; set %s to a User Mode Linux kernel with XFRM and ESP built in", KernelVariable)
	return ""
}

// besideCheckout is the kernel in the folder shared that may stand beside the checkout.
func besideCheckout() string {
	dir, err := os.Getwd()
	for ; err == nil && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, statErr := os.Stat(filepath.Join(dir, "go.mod")); statErr == nil {
			return filepath.Join(dir, "..", "shared", "lab", "kernel", "linux-uml-6.12.gz")
		}
	}
	return ""
}

func unzip(t testing.TB, path string) string {
	t.Helper()
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(filepath.Join(t.TempDir(), "kernel"), os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, z); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Name()
}
