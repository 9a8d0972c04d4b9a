package kernel

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/parley-ike/parley/sdk/sa"
)

// entry is a child that the kernel holds, or might hold.
type entry struct {
	Child sa.Child   `json:"child"` // without keys
	Keys  string     `json:"keys"`  // a fingerprint of them
	ReqID uint32     `json:"reqid"` // as in Child, or that of a child before it whose policies it shares
	Born  uint64     `json:"born"`  // grows with each child; updates keep it
	Was   []sa.Child `json:"was"`   // where it may still be: an update that has not ended moves it from there
	Live  bool       `json:"live"`  // the kernel had all of it

	traffic []Traffic // its policies
	last    usage     // of SAs that the kernel has ended
	gone    bool      // it was told that the kernel lost it
	movedAt time.Time // when it was told that the peer is elsewhere
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
		Live  bool    `json:"live"`
	}{plain{child: child(e.Child)}, e.Keys, e.ReqID, e.Born, nil, e.Live}
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
		a.Integ == b.Integ && a.Handling == b.Handling && a.ESN == b.ESN && a.Mode == b.Mode && a.ReplayWindow == b.ReplayWindow &&
		reflect.DeepEqual(a.LocalTS, b.LocalTS) && reflect.DeepEqual(a.RemoteTS, b.RemoteTS)
}

// kernel is the child as the kernel is told of it.
func (e *entry) kernel() *sa.Child {
	return &e.places()[0]
}

// places are the child as the kernel is told of it, and where it may still be.
func (e *entry) places() []sa.Child {
	all := append([]sa.Child{e.Child}, e.Was...)
	for i := range all {
		all[i].ReqID = e.ReqID
	}
	return all
}

// inPlace tells whether an entry's SAs are those of the other one, where they are.
func (e *entry) inPlace(o *entry) bool {
	a, b := &e.Child, &o.Child
	return e.sameSAs(o) && len(e.Was) == 0 && a.Local == b.Local && a.Remote == b.Remote && a.Encap == b.Encap
}

// line is one change of the journal: a child as it is to be, the UID of one that is gone, all traps of an owner, or
// an address that is given to the machine or taken back, or an interface that was made or deleted.
type line struct {
	Put  *entry   `json:"put,omitempty"`
	Gone *sa.UID  `json:"gone,omitempty"`
	Set  *trapSet `json:"traps,omitempty"`
	Give *given   `json:"address,omitempty"`
	Make *making  `json:"interface,omitempty"`
}

type given struct {
	Addr netip.Addr `json:"addr"`
	On   device     `json:"on"`
	Here bool       `json:"here"`
}

type making struct {
	Device device `json:"device"`
	Here   bool   `json:"here"`
}

// spot is an address on an interface; that of none is Config.Interface.
type spot struct {
	netip.Addr
	on device
}

// compactAfter is how many lines beyond those that are needed the file may have before it is written anew.
const compactAfter = 1024

// journal remembers which of the kernel's entries belong to which child. Each change is a line at the end of a file, so that it
// costs the same with many children as with few.
type journal struct {
	path    string
	file    *os.File
	lines   int
	entries map[sa.UID]*entry
	users   map[Traffic][]*entry // who needs a policy
	sas     map[Place]*entry     // whose an SA is
	sets    map[string][]sa.Trap // by owner
	traps   map[Traffic]*trap
	via     map[way][]*entry // who goes a way
	given   map[spot]bool    // addresses that the machine has from us
	born    uint64

	made     map[device]bool // interfaces that are there from us
	onDevice map[device]int  // how many children name one
}

func openJournal(dir, name string) (*journal, error) {
	j := &journal{path: filepath.Join(dir, name+".journal"), entries: map[sa.UID]*entry{}, users: map[Traffic][]*entry{}, sas: map[Place]*entry{},
		sets: map[string][]sa.Trap{}, traps: map[Traffic]*trap{},
		via: map[way][]*entry{}, given: map[spot]bool{}, made: map[device]bool{}, onDevice: map[device]int{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state_dir: %w; name a folder that this user may write", err)
	}
	text, err := os.ReadFile(j.path)
	if err == nil {
		err = j.read(text)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("journal %s: %w; with no tunnel up, delete it", j.path, err)
	}
	return j, j.compact()
}

// read applies the lines of the file. The last one may be cut short: its change was never made.
func (j *journal) read(text []byte) error {
	for number := 1; ; number++ {
		raw, rest, whole := bytes.Cut(text, []byte("\n"))
		if !whole {
			return nil
		}
		text = rest
		var l line
		if err := json.Unmarshal(raw, &l); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		switch {
		case l.Put != nil:
			j.add(l.Put)
		case l.Gone != nil:
			j.drop(*l.Gone)
		case l.Set != nil:
			j.trap(*l.Set)
		case l.Give != nil:
			j.note(*l.Give)
		case l.Make != nil:
			j.noteDevice(*l.Make)
		}
	}
}

// add indexes an entry, in the place of one with its UID.
func (j *journal) add(e *entry) {
	j.drop(e.Child.UID)
	e.traffic, _ = Policies(&e.Child) // one that has none is refused before it comes here
	j.entries[e.Child.UID] = e
	for _, t := range e.traffic {
		j.users[t] = append(j.users[t], e)
	}
	for _, w := range e.ways() {
		j.via[w] = append(j.via[w], e)
	}
	j.onDevice[deviceOf(&e.Child)]++
	j.sas[Inbound(&e.Child).At()], j.sas[Outbound(&e.Child).At()] = e, e
	j.born = max(j.born, e.Born)
}

func (j *journal) drop(uid sa.UID) {
	e := j.entries[uid]
	if e == nil {
		return
	}
	delete(j.entries, uid)
	for _, w := range e.ways() {
		if j.via[w] = slices.DeleteFunc(j.via[w], func(o *entry) bool { return o == e }); len(j.via[w]) == 0 {
			delete(j.via, w)
		}
	}
	if d := deviceOf(&e.Child); j.onDevice[d] > 1 {
		j.onDevice[d]--
	} else {
		delete(j.onDevice, d)
	}
	for _, h := range []Half{Inbound(&e.Child), Outbound(&e.Child)} {
		if j.sas[h.At()] == e {
			delete(j.sas, h.At())
		}
	}
	for _, t := range e.traffic {
		if j.users[t] = slices.DeleteFunc(j.users[t], func(o *entry) bool { return o == e }); len(j.users[t]) == 0 {
			delete(j.users, t)
		}
	}
}

// taken tells whether a reqid belongs to a child or a trap.
func (j *journal) taken(id uint32) bool {
	for _, e := range j.entries {
		if e.ReqID == id {
			return true
		}
	}
	for _, t := range j.traps {
		if t.ReqID == id {
			return true
		}
	}
	return false
}

// reaches is the youngest child that goes a way, nil for none.
func (j *journal) reaches(w way) (best *entry) {
	for _, e := range j.via[w] {
		if best == nil || e.Born > best.Born {
			best = e
		}
	}
	return best
}

// needs tells whether a child has an inner address.
func (j *journal) needs(a spot) bool {
	for _, e := range j.entries {
		if deviceOf(&e.Child) == a.on && slices.Contains(e.Child.Addresses, a.Addr) {
			return true
		}
	}
	return false
}

func (j *journal) note(g given) {
	at := spot{g.Addr, g.On}
	if delete(j.given, at); g.Here {
		j.given[at] = true
	}
}

// give notes that the machine has an address from us, or has it no more.
func (j *journal) give(a spot, here bool) error {
	g := given{a.Addr, a.on, here}
	j.note(g)
	return j.write(line{Give: &g})
}

func (j *journal) noteDevice(m making) {
	if delete(j.made, m.Device); m.Here {
		j.made[m.Device] = true
	}
}

// own notes that an interface is there from us, or is there no more.
func (j *journal) own(d device, here bool) error {
	m := making{d, here}
	j.noteDevice(m)
	return j.write(line{Make: &m})
}

// trap replaces the traps of an owner. Of two with the same policy the first is told of.
func (j *journal) trap(set trapSet) {
	if j.sets[set.Owner] = set.Traps; len(set.Traps) == 0 {
		delete(j.sets, set.Owner)
	}
	j.traps = map[Traffic]*trap{}
	for _, owner := range slices.Sorted(maps.Keys(j.sets)) {
		for _, s := range j.sets[owner] {
			t := &trap{Trap: s}
			all, _ := Policies(t.child())
			for _, x := range all {
				if j.traps[x] == nil {
					j.traps[x] = t
				}
			}
		}
	}
}

// trapped lists the policies of an owner's traps.
func (j *journal) trapped(owner string) (all []Traffic) {
	for _, s := range j.sets[owner] {
		some, _ := Policies((&trap{Trap: s}).child())
		all = append(all, some...)
	}
	return all
}

// aim is what a policy leads to: the SAs of a child, which may not exist, or none, with what becomes of the packets then.
type aim struct {
	child  *sa.Child
	action sa.Action
}

// leads is what a policy leads to: a shunt, which the operator wants whatever peers agree to; the owner's SAs; or a trap's that do
// not exist; nil for nothing.
func (j *journal) leads(t Traffic, dir uint8) *aim {
	trap := j.traps[t]
	if trap != nil && trap.Action != sa.Acquire {
		return &aim{action: trap.Action}
	}
	if e := j.owner(t, dir); e != nil {
		return &aim{child: e.kernel()}
	}
	if trap != nil {
		return &aim{child: trap.child()}
	}
	return nil
}

// owner is the child that a policy leads to: outwards the youngest that is not held back, inwards the youngest; nil for none.
func (j *journal) owner(t Traffic, dir uint8) (best *entry) {
	for _, e := range j.users[t] {
		switch {
		case best == nil:
			best = e
		case dir == DirOut && e.Child.Held != best.Child.Held:
			if !e.Child.Held {
				best = e
			}
		case e.Born > best.Born:
			best = e
		}
	}
	return best
}

// put notes how a child is to be.
func (j *journal) put(e *entry) error {
	j.add(e)
	return j.write(line{Put: e})
}

// gone notes that a child is no more.
func (j *journal) gone(uid sa.UID) error {
	j.drop(uid)
	return j.write(line{Gone: &uid})
}

// setTraps notes all traps of an owner.
func (j *journal) setTraps(set trapSet) error {
	j.trap(set)
	return j.write(line{Set: &set})
}

func (j *journal) write(l line) error {
	if j.lines > 2*len(j.entries)+compactAfter {
		return j.compact() // l is among the entries already, or is not
	}
	text, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if _, err := j.file.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("journal: %w; make room on its disk", errors.Join(err, j.compact())) // half a line must not stay
	}
	j.lines++
	return nil
}

// all is what the file must say.
func (j *journal) all() (lines []line) {
	for _, e := range j.entries {
		lines = append(lines, line{Put: e})
	}
	for a := range j.given {
		lines = append(lines, line{Give: &given{a.Addr, a.on, true}})
	}
	for d := range j.made {
		lines = append(lines, line{Make: &making{d, true}})
	}
	for owner, traps := range j.sets {
		lines = append(lines, line{Set: &trapSet{owner, traps}})
	}
	return lines
}

// compact replaces the file in one step by one that has what is needed.
func (j *journal) compact() error {
	var text []byte
	for _, l := range j.all() {
		one, err := json.Marshal(l)
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		text = append(append(text, one...), '\n')
	}
	fresh := j.path + ".new"
	if err := os.WriteFile(fresh, text, 0o600); err != nil {
		return fmt.Errorf("journal: %w; make room on its disk", err)
	}
	if err := os.Rename(fresh, j.path); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	file, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.close()
	j.file, j.lines = file, len(j.entries)
	return nil
}

func (j *journal) close() {
	if j.file != nil {
		_ = j.file.Close()
	}
}
