package xfrm

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/parley-ike/parley/sdk/sa"
)

const journalName = "xfrm.json"

// entry is a child that the kernel holds, or might hold.
type entry struct {
	Child sa.Child `json:"child"` // without keys
	Keys  string   `json:"keys"`  // a fingerprint of them
}

// MarshalJSON leaves the keys out altogether: a secret's redacted text could not be read back.
func (e entry) MarshalJSON() ([]byte, error) {
	type plain sa.Child
	return json.Marshal(struct {
		Child any    `json:"child"`
		Keys  string `json:"keys"`
	}{struct {
		plain
		EncrIn, EncrOut, IntegIn, IntegOut *struct{} `json:",omitempty"`
	}{plain: plain(e.Child)}, e.Keys})
}

func newEntry(c sa.Child) entry {
	h := sha256.New()
	for _, k := range [][]byte{c.EncrIn, c.EncrOut, c.IntegIn, c.IntegOut} {
		fmt.Fprintf(h, "%d:", len(k))
		h.Write(k)
	}
	c.EncrIn, c.EncrOut, c.IntegIn, c.IntegOut = nil, nil, nil, nil
	return entry{c, hex.EncodeToString(h.Sum(nil)[:16])}
}

// journal remembers which of the kernel's entries belong to which child.
type journal struct {
	path    string
	entries map[sa.UID]entry
}

func openJournal(dir string) (*journal, error) {
	j := &journal{path: filepath.Join(dir, journalName), entries: map[sa.UID]entry{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state_dir: %w; name a folder that this user may write", err)
	}
	text, err := os.ReadFile(j.path)
	if errors.Is(err, os.ErrNotExist) {
		return j, nil
	}
	var list []entry
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w; with no tunnel up, delete it", j.path, err)
	}
	for _, e := range list {
		j.entries[e.Child.UID] = e
	}
	return j, nil
}

// save replaces the file in one step.
func (j *journal) save() error {
	list := make([]entry, 0, len(j.entries))
	for _, e := range j.entries {
		list = append(list, e)
	}
	text, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	fresh := j.path + ".new"
	if err := os.WriteFile(fresh, text, 0o600); err != nil {
		return fmt.Errorf("journal: %w; make room on its disk", err)
	}
	if err := os.Rename(fresh, j.path); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

func (j *journal) put(e entry) error {
	j.entries[e.Child.UID] = e
	return j.save()
}
