package file

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxListed bounds the files of a folder: three times the authorities of the largest operating system.
const maxListed = 500

// suffixes are those of the files in a folder that hold certificates.
var suffixes = []string{".pem", ".crt", ".cer", ".der"}

// watched is what was read from files, which are looked at again at most once in pollInterval and read again when one of them changed.
type watched[T any] struct {
	paths []string // files, and folders of files
	load  func(files []string) (T, error)

	mu     sync.Mutex
	looked time.Time
	seen   []stamp
	value  T
	bad    error
}

// stamp is a file as it was seen; info is nil when it was not there.
type stamp struct {
	path string
	info fs.FileInfo
}

func (w *watched[T]) get(now time.Time) (T, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if age := now.Sub(w.looked); !w.looked.IsZero() && age >= 0 && age < pollInterval {
		return w.value, w.bad
	}
	first := w.looked.IsZero()
	w.looked = now
	seen := look(w.paths)
	if !first && slices.EqualFunc(w.seen, seen, same) {
		return w.value, w.bad
	}
	w.seen = seen
	w.value, w.bad = w.load(files(seen))
	return w.value, w.bad
}

func same(a, b stamp) bool {
	return a.path == b.path && (a.info == nil && b.info == nil || b.info != nil && unchanged(a.info, b.info))
}

// look lists files and what is in folders, in order.
func look(paths []string) (all []stamp) {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		all = append(all, stamp{path, info})
		if info == nil || !info.IsDir() {
			continue
		}
		entries, _ := os.ReadDir(path) // sorted; what cannot be listed is not there
		for _, e := range entries {
			if !slices.Contains(suffixes, strings.ToLower(filepath.Ext(e.Name()))) || len(all) > maxListed {
				continue
			}
			name := filepath.Join(path, e.Name())
			if info, err := os.Stat(name); err == nil {
				all = append(all, stamp{name, info})
			}
		}
	}
	return all
}

// files are those of stamps that are no folders.
func files(seen []stamp) (paths []string) {
	for _, s := range seen {
		if s.info == nil || !s.info.IsDir() {
			paths = append(paths, s.path)
		}
	}
	return paths
}
