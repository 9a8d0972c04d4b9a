package xfrm

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/parley-ike/parley/sdk/sa"
)

const journalName = "xfrm.json"

// entry is a child that the kernel holds, or might hold.
type entry struct {
	Child sa.Child   `json:"child"` // without keys
	Keys  string     `json:"keys"`  // a fingerprint of them
	ReqID uint32     `json:"reqid"` // as in Child, or that of a child before it whose policies it shares
	Born  uint64     `json:"born"`  // grows with each child; updates keep it
	Was   []sa.Child `json:"was"`   // where it may still be: an update that has not ended moves it from there

	traffic []traffic // its policies
}

// plain is a child as it stands in the journal: without keys, whose redacted text could not be read back.
type plain struct {
	child
	EncrIn, EncrOut, IntegIn, IntegOut *struct{} `json:",omitempty"`
}

type child sa.Child

// MarshalJSON leaves the keys out altogether.
func (e *entry) MarshalJSON() ([]byte, error) {
	out := struct {
		Child plain   `json:"child"`
		Keys  string  `json:"keys"`
		ReqID uint32  `json:"reqid"`
		Born  uint64  `json:"born"`
		Was   []plain `json:"was,omitempty"`
	}{plain{child: child(e.Child)}, e.Keys, e.ReqID, e.Born, nil}
	for _, c := range e.Was {
		out.Was = append(out.Was, plain{child: child(c)})
	}
	return json.Marshal(out)
}

func newEntry(c sa.Child) *entry {
	h := sha256.New()
	for _, k := range [][]byte{c.EncrIn, c.EncrOut, c.IntegIn, c.IntegOut} {
		fmt.Fprintf(h, "%d:", len(k))
		h.Write(k)
	}
	return &entry{Child: withoutKeys(c), Keys: hex.EncodeToString(h.Sum(nil)[:16]), ReqID: c.ReqID}
}

func withoutKeys(c sa.Child) sa.Child {
	c.EncrIn, c.EncrOut, c.IntegIn, c.IntegOut = nil, nil, nil, nil
	return c
}

// same tells whether two entries are of one description.
func (e *entry) same(o *entry) bool { return e.Keys == o.Keys && reflect.DeepEqual(e.Child, o.Child) }

// sameSAs tells whether an update may lead from one to the other.
func (e *entry) sameSAs(o *entry) bool {
	a, b := &e.Child, &o.Child
	return e.Keys == o.Keys && a.SPIIn == b.SPIIn && a.SPIOut == b.SPIOut && a.Encr == b.Encr && a.KeyBits == b.KeyBits &&
		a.Integ == b.Integ && a.ESN == b.ESN && a.Mode == b.Mode && a.ReplayWindow == b.ReplayWindow &&
		reflect.DeepEqual(a.LocalTS, b.LocalTS) && reflect.DeepEqual(a.RemoteTS, b.RemoteTS)
}

// kernel is the child as the kernel is told of it.
func (e *entry) kernel() *sa.Child {
	c := e.Child
	c.ReqID = e.ReqID
	return &c
}

// journal remembers which of the kernel's entries belong to which child.
type journal struct {
	path    string
	entries map[sa.UID]*entry
	users   map[traffic][]*entry // who needs a policy
	born    uint64
}

func openJournal(dir string) (*journal, error) {
	j := &journal{path: filepath.Join(dir, journalName), entries: map[sa.UID]*entry{}, users: map[traffic][]*entry{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state_dir: %w; name a folder that this user may write", err)
	}
	text, err := os.ReadFile(j.path)
	if errors.Is(err, os.ErrNotExist) {
		return j, nil
	}
	var list []*entry
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w; with no tunnel up, delete it", j.path, err)
	}
	for _, e := range list {
		if e.Born == 0 { // of a version that did not know updates
			e.ReqID = e.Child.ReqID
		}
		j.add(e)
	}
	return j, nil
}

// add indexes an entry, in the place of one with its UID.
func (j *journal) add(e *entry) {
	j.drop(e.Child.UID)
	e.traffic, _ = policies(&e.Child) // one that has none is refused before it comes here
	j.entries[e.Child.UID] = e
	for _, t := range e.traffic {
		j.users[t] = append(j.users[t], e)
	}
	j.born = max(j.born, e.Born)
}

func (j *journal) drop(uid sa.UID) {
	e := j.entries[uid]
	if e == nil {
		return
	}
	delete(j.entries, uid)
	for _, t := range e.traffic {
		if j.users[t] = slices.DeleteFunc(j.users[t], func(o *entry) bool { return o == e }); len(j.users[t]) == 0 {
			delete(j.users, t)
		}
	}
}

// owner is the child that a policy leads to: outwards the youngest that is not held back, inwards the youngest; nil for none.
func (j *journal) owner(t traffic, dir uint8) (best *entry) {
	for _, e := range j.users[t] {
		switch {
		case best == nil:
			best = e
		case dir == dirOut && e.Child.Held != best.Child.Held:
			if !e.Child.Held {
				best = e
			}
		case e.Born > best.Born:
			best = e
		}
	}
	return best
}

// save replaces the file in one step.
func (j *journal) save() error {
	list := make([]*entry, 0, len(j.entries))
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

func (j *journal) put(e *entry) error {
	j.add(e)
	return j.save()
}
