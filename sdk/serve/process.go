package serve

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/sdk/proto/link"
)

// What the process started with. Package variables, and set before any code of the plugin runs, because the plugin's own
// initialisation may print.
var (
	launched   = os.Getenv(link.CookieKey) == link.CookieValue
	stdoutFile = os.Stdout // the real standard output: only the handshake goes there
	stderrFile = os.Stderr // the real standard error: go-plugin replaces os.Stderr
)

func init() {
	if !launched {
		return
	}
	if fd, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 3); err == nil {
		stdoutFile = os.NewFile(uintptr(fd), "handshake")
		_ = unix.Dup3(2, 1, 0)
	}
}

// hardenProcess turns core dumps off, for keys are in memory, and gives the process the name of its file.
func hardenProcess() {
	name := filepath.Base(os.Args[0])
	_ = os.WriteFile("/proc/self/comm", []byte(name), 0) // it shows the number of a descriptor otherwise
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

type inherited struct {
	exchange net.Conn
	files    map[string]*os.File
}

// takeInherited takes the descriptors that the daemon passed, so that no child of ours gets them.
func takeInherited() (in inherited, err error) {
	if f, err := openEnv(link.EnvImage); err == nil && f != nil {
		_ = f.Close()
	}
	if in.files, err = namedFiles(os.Getenv(link.EnvFiles)); err != nil {
		return in, err
	}
	f, err := openEnv(link.EnvExchange)
	if err != nil || f == nil {
		return in, err
	}
	defer f.Close() // FileConn has a descriptor of its own
	in.exchange, err = net.FileConn(f)
	return in, err
}

func openEnv(name string) (*os.File, error) {
	text := os.Getenv(name)
	if text == "" {
		return nil, nil
	}
	return openFD(text, name)
}

func openFD(text, name string) (*os.File, error) {
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("serve: %s: %q is no descriptor", name, text)
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name), nil
}

// namedFiles reads "natt4:4,natt6:5".
func namedFiles(list string) (map[string]*os.File, error) {
	files := map[string]*os.File{}
	for entry := range strings.SplitSeq(list, ",") {
		if entry == "" {
			continue
		}
		name, fd, ok := strings.Cut(entry, ":")
		if !ok {
			return nil, fmt.Errorf("serve: %s: %q is not name:descriptor", link.EnvFiles, entry)
		}
		f, err := openFD(fd, name)
		if err != nil {
			return nil, err
		}
		files[name] = f
	}
	return files, nil
}
