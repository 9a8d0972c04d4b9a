package control_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/parley-ike/parley/core/control"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// as runs f in a thread with other credentials, which ends with it.
func as(t *testing.T, uid, gid int, groups []int, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread is not used again
		var list []uint32
		for _, g := range groups {
			list = append(list, uint32(g))
		}
		if err := setCredentials(uid, gid, list); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

// TestOnlyRootAndTheGroupAreServed connects as other users through a socket that everybody may open, so that only the
// check of the peer's credentials stands in the way.
func TestOnlyRootAndTheGroupAreServed(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root to connect as other users")
	}
	const group, nobody = 4242, 65534
	w := newWorld(t, func(c *control.Config) { c.Group = "4242" })
	open(t, w.config.Socket)
	for _, tt := range []struct {
		who      string
		uid, gid int
		groups   []int
		want     codes.Code
	}{
		{"root", 0, 0, nil, codes.OK},
		{"the group", nobody, group, nil, codes.OK},
		{"a further group", nobody, nobody, []int{7, group}, codes.OK},
		{"anybody", nobody, nobody, []int{7}, codes.PermissionDenied},
	} {
		as(t, tt.uid, tt.gid, tt.groups, func() {
			if got := versionOver(w.config.Socket); got != tt.want {
				t.Errorf("%s: got %v, want %v", tt.who, got, tt.want)
			}
		})
	}
}

// open lets everybody reach the socket.
func open(t *testing.T, socket string) {
	t.Helper()
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(socket); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// versionOver connects in the calling thread, whose credentials count, and asks for the version.
func versionOver(socket string) codes.Code {
	raw, err := net.Dial("unix", socket)
	if err != nil {
		return codes.Internal
	}
	c, err := grpc.NewClient("passthrough:///parleyd", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return raw, nil }))
	if err != nil {
		return codes.Internal
	}
	defer c.Close()
	_, err = controlv1.NewControlClient(c).Version(context.Background(), &controlv1.VersionRequest{})
	return status.Code(err)
}

// setCredentials changes those of this thread only, which the functions of package syscall do not.
func setCredentials(uid, gid int, groups []uint32) error {
	u, g := uintptr(uid), uintptr(gid)
	if _, _, errno := syscall.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(unsafe.SliceData(groups))), 0); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESGID, g, g, g); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, u, u, u); errno != 0 {
		return errno
	}
	return nil
}
