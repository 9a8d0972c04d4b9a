package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/secret"
)

const (
	// pollInterval is how long a file is taken to be unchanged after a look at it.
	pollInterval = time.Second
	// MaxFile bounds a key file, in octets. RFC 7296 section 2.15 wants 64 at least; 1024 octets in hexadecimal fit.
	MaxFile = 4096
)

// entry is one key file and what was read from it.
type entry struct {
	path string
	ref  cred.Ref

	mu     sync.Mutex
	looked time.Time   // when the file was looked at, zero: never
	seen   fs.FileInfo // of the file that keys were read from
	keys   keys
	bad    error // why there are no keys
}

// mac performs derivations in order, all or none.
func (e *entry) mac(now time.Time, macs []cred.MAC) ([][]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.refreshLocked(now); err != nil {
		return nil, err
	}
	sums := make([][]byte, 0, len(macs))
	for _, m := range macs {
		s, err := e.keys.mac(m)
		if err != nil {
			return nil, err
		}
		sums = append(sums, s)
	}
	return sums, nil
}

func (e *entry) refresh(now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.refreshLocked(now)
}

// refreshLocked reads the file when it was not looked at for a while and is another one than then.
func (e *entry) refreshLocked(now time.Time) error {
	if age := now.Sub(e.looked); !e.looked.IsZero() && age >= 0 && age < pollInterval {
		return e.bad
	}
	e.looked = now
	if info, err := os.Stat(e.path); err == nil && unchanged(e.seen, info) {
		return nil
	}
	e.keys.wipe()
	psk, info, err := read(e.path)
	e.keys.psk, e.seen, e.bad = psk, info, nil
	if err != nil {
		// Nothing was seen: a bad file is read at every look until it is mended.
		e.seen, e.bad = nil, fmt.Errorf("cred/file: %s: %w: %w", e.path, err, sdk.ErrNoCredential)
	}
	return e.bad
}

func unchanged(a, b fs.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode()
}

// wipe forgets the keys; the next use reads the file again.
func (e *entry) wipe() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keys.wipe()
	e.looked, e.seen, e.bad = time.Time{}, nil, nil
}

// read gives the pre-shared key in a file.
func read(path string) (secret.Bytes, fs.FileInfo, error) {
	content, info, err := readFile(path, MaxFile, check)
	defer content.Wipe()
	if errors.Is(err, errLarge) {
		err = fmt.Errorf("%w: a key file holds one key and nothing else", err)
	}
	if err != nil {
		return nil, nil, err
	}
	psk, err := parse(content)
	return psk, info, err
}

var errLarge = errors.New("too large")

// readFile opens, checks and reads one file; the checks are on the opened file, so that nobody can exchange it between.
func readFile(path string, limit int, check func(fs.FileInfo, string) error) (secret.Bytes, fs.FileInfo, error) {
	// Not blocking: a FIFO must not hang the store before its type is known.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, reason(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, reason(err)
	}
	if err := check(info, path); err != nil {
		return nil, nil, err
	}
	if info.Size() > int64(limit) {
		return nil, nil, fmt.Errorf("%w: larger than %d octets", errLarge, limit)
	}
	buffer := make(secret.Bytes, min(limit, max(int(info.Size()), MaxFile))+1) // a file may say 0 and have some
	n, err := io.ReadFull(f, buffer)
	switch {
	case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		err = reason(err)
	case n == len(buffer):
		err = fmt.Errorf("%w: larger than %d octets", errLarge, n-1)
	default:
		return buffer[:n], info, nil
	}
	buffer.Wipe()
	return nil, nil, err
}

// check refuses what cannot hold a secret.
func check(info fs.FileInfo, path string) error {
	if err := checkPublic(info, path); err != nil {
		return err
	}
	if mode := info.Mode(); mode.Perm()&0o077 != 0 {
		return fmt.Errorf("mode %04o lets group or others at the key: chmod 0600 %s", mode.Perm(), path)
	}
	return nil
}

// checkPublic refuses what is no file at all.
func checkPublic(info fs.FileInfo, _ string) error {
	if mode := info.Mode(); !mode.IsRegular() {
		return fmt.Errorf("not a regular file but %v", mode.Type())
	}
	return nil
}

// reason leaves the path out of an error of the system: the caller names it.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s: %w", path.Op, path.Err)
	}
	return err
}
