package pluginhost

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// maxImage bounds a plugin file; a Go binary has some 20 MB.
const maxImage = 512 << 20

// image is a checked copy of a plugin file that nobody can change any more.
type image struct {
	file *os.File
	sum  string // SHA-256, hex
}

// images keeps one copy of every distinct file.
type images struct {
	mu   sync.Mutex
	open map[string]*image // by path and expected sum
}

// load returns the checked copy of the file at path, making it at the first call. An expected sum of "" is not checked.
func (m *images) load(path, want string) (*image, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := path + "\x00" + want
	if im := m.open[key]; im != nil {
		return im, nil
	}
	im, err := loadImage(path, want)
	if err != nil {
		return nil, err
	}
	if m.open == nil {
		m.open = map[string]*image{}
	}
	m.open[key] = im
	return im, nil
}

func (m *images) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, im := range m.open {
		_ = im.file.Close()
	}
	m.open = nil
}

// loadImage copies what it hashes, so that neither a rename nor a write between check and execution matters.
func loadImage(path, want string) (*image, error) {
	source, err := openExecutable(path)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	copied, err := newMemfd(filepath.Base(path))
	if err != nil {
		return nil, &RejectError{Reason: fmt.Sprintf("no memory file for the checked copy: %v", err), Remedy: "look at the sysctl vm.memfd_noexec and at the memory limit of the daemon"}
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(copied, sum), io.LimitReader(source, maxImage+1))
	if err == nil && n > maxImage {
		err = fmt.Errorf("larger than %d octets", maxImage)
	}
	if err != nil {
		_ = copied.Close()
		return nil, &RejectError{Reason: fmt.Sprintf("cannot copy the file: %v", err), Remedy: "check the file and the memory limit of the daemon"}
	}
	got := hex.EncodeToString(sum.Sum(nil))
	if want != "" && got != strings.ToLower(want) {
		_ = copied.Close()
		return nil, &RejectError{
			Reason: fmt.Sprintf("wrong checksum: the catalogue expects SHA-256 %s, the file has %s", strings.ToLower(want), got),
			Remedy: "reinstall the plugin from a source you trust, or, if you changed it on purpose, put the new checksum into its plugin block",
		}
	}
	if _, err := unix.FcntlInt(copied.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL); err != nil {
		_ = copied.Close()
		return nil, fmt.Errorf("sealing the checked copy: %w", err)
	}
	return &image{file: copied, sum: got}, nil
}

func openExecutable(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		remedy := "check the path in the plugin block"
		if errors.Is(err, os.ErrPermission) {
			remedy = "make the file readable for the daemon's user"
		}
		return nil, &RejectError{Reason: fmt.Sprintf("cannot open the file: %v", err), Remedy: remedy}
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = &RejectError{Reason: "is no regular file", Remedy: "name the plugin's executable in the plugin block"}
	case info.Mode()&0o111 == 0:
		err = &RejectError{Reason: fmt.Sprintf("is not executable (mode %v)", info.Mode()), Remedy: "run chmod 0755 " + path}
	default:
		return f, nil
	}
	_ = f.Close()
	return nil, err
}

// newMemfd makes an anonymous file that may be executed; kernels before 6.3 do not know MFD_EXEC and allow it anyway.
func newMemfd(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}
