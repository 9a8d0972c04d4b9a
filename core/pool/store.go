package pool

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	// slack is how many lines of history a file may have beside one for each address and as many again.
	slack = 4096
	// maxLine bounds a line of the file, in octets: an identity has 64 KiB at most, four thirds of that in Base64.
	maxLine = 1 << 17
	// fileMode keeps the identities of peers from other users.
	fileMode = 0o600
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// store is a file of records, one a line, the last one of an address counts: a checksum in eight hexadecimal digits, a
// space, and JSON. It is written by appending, and made anew, under another name first, when history outgrows it.
type store struct {
	path  string
	file  *os.File
	size  int64 // of the lines that are whole
	lines int
}

// Damage tells what could not be read of a file.
type Damage struct {
	Path  string // where the damaged file lies now
	Lines int
}

// openStore opens the file and returns what it remembers. A last line that is cut off, as by a crash, is no damage.
func openStore(path string, now time.Time) (*store, []Record, *Damage, error) {
	s := &store{path: path}
	records, bad, err := s.read()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("pool: cannot read the leases in %s: %w; let the daemon read it, or move it away to begin without leases", path, err)
	}
	var damage *Damage
	if bad > 0 {
		aside := fmt.Sprintf("%s.damaged-%d", path, now.Unix())
		if err := os.Link(path, aside); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, nil, nil, fmt.Errorf("pool: %d lines of %s are damaged and it cannot be set aside: %w; move it away to begin without leases", bad, path, err)
		}
		damage = &Damage{aside, bad}
	}
	if err := s.rewrite(records); err != nil {
		return nil, nil, damage, err
	}
	return s, records, damage, nil
}

// read returns the last record of every address, in the order in which they were first written, and how many lines are
// damaged.
func (s *store) read() (records []Record, bad int, err error) {
	f, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	var book ledger
	in := bufio.NewReaderSize(f, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF): // what is behind the last line feed was never whole
			return slices.DeleteFunc(book.records(), func(r Record) bool { return r.Gone }), bad, nil
		case errors.Is(err, bufio.ErrBufferFull): // the rest of it will be a bad line, too
			bad++
			continue
		case err != nil:
			return nil, 0, err
		}
		if r, ok := decode(line); ok {
			book.add(r)
		} else {
			bad++
		}
	}
}

// ledger keeps the last record of every address.
type ledger struct {
	order []key
	last  map[key]Record
}

type key struct {
	pool string
	addr netip.Addr
}

func (l *ledger) add(r Record) {
	if l.last == nil {
		l.last = map[key]Record{}
	}
	k := key{r.Pool, r.Addr}
	if _, known := l.last[k]; !known {
		l.order = append(l.order, k)
	}
	l.last[k] = r
}

func (l *ledger) records() (list []Record) {
	for _, k := range l.order {
		list = append(list, l.last[k])
	}
	return list
}

// latest leaves out of a history what later records replace.
func latest(history []Record) []Record {
	var l ledger
	for _, r := range history {
		l.add(r)
	}
	return l.records()
}

func encode(list []Record) ([]byte, error) {
	var b bytes.Buffer
	for _, r := range list {
		body, err := json.Marshal(r)
		if err != nil {
			return nil, fmt.Errorf("pool: a lease cannot be stored: %w", err)
		}
		fmt.Fprintf(&b, "%08x %s\n", crc32.Checksum(body, castagnoli), body)
	}
	return b.Bytes(), nil
}

func decode(line []byte) (r Record, ok bool) {
	sum, body, found := bytes.Cut(bytes.TrimSuffix(line, []byte{'\n'}), []byte{' '})
	if !found || fmt.Sprintf("%08x", crc32.Checksum(body, castagnoli)) != string(sum) {
		return r, false
	}
	return r, json.Unmarshal(body, &r) == nil && r.Addr.IsValid()
}

// append writes records behind the others, to stay when it returns if sync is set. After an error the file is as it was.
func (s *store) append(list []Record, sync bool) error {
	b, err := encode(list)
	if err != nil {
		return err
	}
	if _, err = s.file.WriteAt(b, s.size); err == nil && sync {
		err = s.file.Sync()
	}
	if err != nil {
		_ = s.file.Truncate(s.size) // what is left behind it is a line that is not whole, at the worst
		return fmt.Errorf("pool: cannot store leases in %s: %w; make room there", s.path, cause(err))
	}
	s.size += int64(len(b))
	s.lines += len(list)
	return nil
}

// outgrown reports whether the file is mostly history, for a number of addresses that count.
func (s *store) outgrown(live int) bool { return s.lines > 2*live+slack }

// rewrite makes the file anew. After an error the old one is as it was.
func (s *store) rewrite(list []Record) error {
	b, err := encode(list)
	if err != nil {
		return err
	}
	f, err := replace(s.path, b)
	if err != nil {
		return fmt.Errorf("pool: cannot store leases in %s: %w; make room there, or let the daemon write there", s.path, cause(err))
	}
	s.close()
	s.file, s.size, s.lines = f, int64(len(b)), len(list)
	return nil
}

// cause leaves out the name under which a file was made, which it no longer has.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// replace puts a new file in the place of another, at once and to stay, and returns it.
func replace(path string, b []byte) (_ *os.File, err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".new-*")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err = f.Chmod(fileMode); err != nil {
		return nil, err
	}
	if _, err = f.Write(b); err != nil {
		return nil, err
	}
	if err = f.Sync(); err != nil {
		return nil, err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return nil, err
	}
	return f, syncFolder(dir)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (s *store) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}
