package journal

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/sdk/secret"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	start = time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	west  = netip.MustParseAddrPort("192.0.2.2:500")
	east  = netip.MustParseAddrPort("[2001:db8::1%eth0]:4500")
)

func header(spi uint64) Header {
	return Header{Version: 2, Initiator: true, SPI: spi, Seed: bytes.Repeat([]byte{7}, 32), Conn: "west", Config: []byte("c"),
		Local: east, Remote: west, Created: start}
}

// samples is one of every input that a machine takes, with every field set.
func samples() []machine.Input {
	key := func(s string) secret.Bytes { return secret.Bytes(s) }
	id := machine.Identity{Type: 2, Data: []byte("west.example.net")}
	traffic := event.Traffic{BytesIn: 1, BytesOut: 2, PacketsIn: 3, PacketsOut: 4}
	list := []machine.Input{
		machine.Datagram{Local: east, Remote: west, Bytes: []byte("datagram")},
		machine.Tick{},
		machine.Decided{},
		machine.Initiate{Children: []string{"lan", "dmz"}, Replaces: event.UID{7}, Wants: []netip.Addr{west.Addr()}},
		machine.Terminate{Child: "lan", Reason: "because"},
		machine.Probe{},
		machine.Rekey{Child: "lan"},
		machine.Migrate{Local: east, Additional: []netip.Addr{west.Addr()}},
		machine.ChildExpired{SPIIn: 256, Hard: true, Cause: "bytes"},
		machine.ChildMoved{SPIIn: 256, Remote: west},
		machine.ChildLost{SPIIn: 256},
		machine.ChildPlaced{SPIIn: 256, Where: "software", Reason: "the table is full"},
		machine.Reauthenticate{},
		machine.Path{Lost: "no route"},
		machine.Inherit{From: event.UID{1}, Children: []machine.Bequest{{Child: machine.ChildSA{Name: "lan", EncrIn: secret.Bytes("key")}, Ours: true}}, Wanted: []string{"dmz"}},
		machine.Reconfigure{Connection: &policy.Connection{Name: "west", Children: []*policy.Child{{Name: "lan"}}}},
		machine.Redirect{To: machine.Gateway{Addr: west.Addr(), Host: "gw"}},
		machine.Replaced{By: event.UID{7}, Cause: machine.ReplaceContact, Grace: time.Second},
		machine.Reply{Ticket: 9, Err: &machine.CallError{Kind: machine.Refused, Text: "no"}},
	}
	for i, r := range []machine.Result{
		machine.KEInitiated{State: key("private"), Public: []byte("public")},
		machine.KEResponded{Public: []byte("public"), Secret: key("shared")},
		machine.KEFinished{Secret: key("shared")},
		machine.Signed{Method: 2, Data: []byte("mac"), Certs: [][]byte{[]byte("a"), []byte("b")}},
		machine.Verified{Remote: id},
		machine.Authenticated{Verified: machine.Verified{Remote: id}, Signed: machine.Signed{Method: 1, Data: []byte("x")}},
		machine.AllocatedSPI{SPI: 256},
		machine.Freed{},
		machine.Installed{},
		machine.Removed{Traffic: traffic},
		machine.Usage{Traffic: traffic},
		machine.Admitted{Others: 2, Instead: event.UID{7}},
		machine.Leased{Pools: []string{"staff"}, Addresses: []netip.Addr{west.Addr()}, DNS: []netip.Addr{netip.IPv6Loopback()},
			Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Domains: []string{"example.net"}},
		machine.Released{},
		machine.SKEYIDDerived{Value: key("skeyid")},
		machine.Heir{UID: event.UID{1}},
		machine.Protected{Cipher: [][]byte{{1}, {2}}, Key: []byte("key"), Certs: [][]byte{[]byte("a")}},
		machine.Unprotected{Plain: []secret.Bytes{key("identity"), key("nonce")}},
		machine.PasswordChecked{},
		machine.OwnPasswordFound{Password: key("password")},
	} {
		list = append(list, machine.Reply{Ticket: machine.Ticket(i + 1), Result: r})
	}
	return list
}

// compare sees secrets as what they are.
var compare = cmp.Options{
	cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{}),
	cmp.Transformer("secret", func(s secret.Bytes) string { return string(s) }),
}

// recorder returns a Recorder and the failures that it reported.
func recorder(t *testing.T) (*Recorder, string, func() []string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "journals")
	var mu sync.Mutex
	var failures []string
	r, err := NewRecorder(dir, func(path string, err error) {
		mu.Lock()
		defer mu.Unlock()
		failures = append(failures, err.Error())
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r, dir, func() []string { mu.Lock(); defer mu.Unlock(); return failures }
}

// record writes the samples and returns the file.
func record(t *testing.T) []byte {
	t.Helper()
	r, dir, failures := recorder(t)
	track := r.Begin(header(1))
	for i, in := range samples() {
		track.Record(start.Add(time.Duration(i)), 1, in)
		track.Check(1, uint64(i))
	}
	track.End()
	r.Close()
	if f := failures(); f != nil {
		t.Fatal(f)
	}
	b, err := os.ReadFile(filepath.Join(dir, "0000000000000001.journal"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEveryInputIsReadAsItWasRecorded(t *testing.T) {
	r, err := NewReader(bytes.NewReader(record(t)))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(r.Header, header(1), compare); d != "" {
		t.Error(d)
	}
	for i, want := range samples() {
		got, err := r.Next()
		if err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		if d := cmp.Diff(got, Entry{Time: start.Add(time.Duration(i)), Owner: 1, Input: want}, compare); d != "" {
			t.Errorf("entry %d: %s", i, d)
		}
		if check, err := r.Next(); err != nil || !check.Check || check.Digest != uint64(i) {
			t.Errorf("check %d is %+v, %v", i, check, err)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

// Package machine grows: a type that it marks as input or result must be in the tables of entry.go and in samples, or a
// recording would stop at the first of it.
func TestTheTablesKnowEveryInputAndResultOfPackageMachine(t *testing.T) {
	sampled := map[string]bool{"Reply": true}
	for _, in := range samples() {
		sampled[name(in)] = true
		if r, ok := in.(machine.Reply); ok && r.Result != nil {
			sampled[name(r.Result)] = true
		}
	}
	marked := receivers(t, "../machine", "input", "result")
	if len(marked) < 16 {
		t.Fatalf("found only %v", marked)
	}
	for _, n := range marked {
		known := inputs[n] != nil || results[n] != nil || n == "Reply"
		if !known || !sampled[n] {
			t.Errorf("%s: in the tables %t, in the samples %t", n, known, sampled[n])
		}
	}
}

// receivers returns the types in dir that have one of the methods.
func receivers(t *testing.T, dir string, methods ...string) []string {
	t.Helper()
	var types []string
	files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && slices.Contains(methods, f.Name.Name) {
				if id, ok := f.Recv.List[0].Type.(*ast.Ident); ok {
					types = append(types, id.Name)
				}
			}
		}
	}
	return types
}

func TestATornJournalYieldsAllBeforeTheTear(t *testing.T) {
	whole := record(t)
	last := 0
	for cut := range len(whole) {
		r, err := NewReader(bytes.NewReader(whole[:cut]))
		if err != nil {
			if !errors.Is(err, ErrTorn) && !errors.Is(err, ErrFormat) && err != io.EOF {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			continue
		}
		n := 0
		for _, err = range r.All() {
			if err == nil {
				n++
			}
		}
		if err != nil && !errors.Is(err, ErrTorn) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if n < last {
			t.Fatalf("cut at %d: %d entries, fewer than %d before", cut, n, last)
		}
		last = n
	}
	if want := 2*len(samples()) - 1; last != want {
		t.Errorf("%d entries are read of a file that lacks one octet, want %d", last, want)
	}
}

func TestADamagedRecordIsRefused(t *testing.T) {
	whole := record(t)
	for i := len(whole) - 40; i < len(whole); i++ {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 0x40
		r, err := NewReader(bytes.NewReader(damaged))
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTorn) {
			t.Errorf("octet %d: %v", i, err)
		}
	}
	if _, err := NewReader(strings.NewReader("something else entirely")); !errors.Is(err, ErrFormat) {
		t.Errorf("not a journal: %v", err)
	}
}

func TestAJournalIsForItsOwnerAlone(t *testing.T) {
	r, dir, _ := recorder(t)
	track := r.Begin(header(0xabc))
	track.End()
	r.Close()
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "0000000000000abc.journal"): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if s := fmt.Sprintf("%+v", header(1)); strings.Contains(s, "7 7") || strings.Contains(s, "0707") {
		t.Errorf("the seed shows in %s", s)
	}
}

func TestAFullDiskStopsTheRecordingOnceAndNothingElse(t *testing.T) {
	r, dir, failures := recorder(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("missing: /dev/full")
	}
	bad := &Track{r: r, path: "bad", users: 1, file: full}
	bad.enc = gob.NewEncoder(&bad.buf)
	good := r.Begin(header(2))
	for range 100 {
		bad.Record(start, 1, machine.Tick{})
		good.Record(start, 2, machine.Tick{})
	}
	good.End()
	r.Close()
	if f := failures(); len(f) != 1 || !strings.Contains(f[0], "no space left on device") {
		t.Errorf("reported %q", f)
	}
	j, err := Read(filepath.Join(dir, "0000000000000002.journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	n := 0
	for range j.All() {
		n++
	}
	if n != 100 {
		t.Errorf("the other SA has %d records", n)
	}
	bad.Record(start, 1, machine.Tick{})
	if len(failures()) != 1 || !bad.stopped {
		t.Error("recording goes on after the failure")
	}
}

// A hole in the middle would make the rest unreadable: after an error nothing more is written, even if it could be.
func TestNothingIsWrittenAfterAnError(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("missing: /dev/full")
	}
	defer full.Close()
	r := &Recorder{failed: func(string, error) {}}
	track := &Track{r: r, file: full}
	r.perform(chunk{track, []byte("one")})
	again, err := os.Create(filepath.Join(t.TempDir(), "again"))
	if err != nil {
		t.Fatal(err)
	}
	track.file = again
	r.perform(chunk{track, []byte("two")})
	if info, err := again.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("%d octets written, %v", info.Size(), err)
	}
	track.close()
}

func TestASlowDiskStopsTheRecordingOnce(t *testing.T) {
	var reported []error
	r := &Recorder{dir: t.TempDir(), wake: make(chan struct{}, 1), failed: func(_ string, err error) { reported = append(reported, err) }}
	track := r.Begin(header(1)) // nobody writes
	big := machine.Datagram{Local: east, Remote: west, Bytes: make([]byte, 60000)}
	for range 2 * MaxQueue / len(big.Bytes) {
		track.Record(start, 1, big)
	}
	if len(reported) != 1 || !errors.Is(reported[0], ErrSlow) || r.octets > MaxQueue {
		t.Errorf("reported %v, %d octets queued", reported, r.octets)
	}
}

func TestTheNumberOfOpenFilesIsBounded(t *testing.T) {
	r, _, failures := recorder(t)
	tracks := make([]*Track, MaxTracks)
	for i := range tracks {
		tracks[i] = r.Begin(header(uint64(i + 1)))
	}
	if extra := r.Begin(header(99999)); extra != nil || len(failures()) != 1 {
		t.Fatalf("one more: %v, %v", extra, failures())
	}
	shared := tracks[0].Share()
	for _, track := range tracks {
		track.End()
	}
	shared.Record(start, 5, machine.Tick{})
	shared.End()
	shared.Record(start, 6, machine.Tick{})
	r.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tracks != 0 || len(failures()) != 1 {
		t.Errorf("%d tracks left, %v", r.tracks, failures())
	}
}

func TestWithoutARecorderNothingIsRecorded(t *testing.T) {
	var r *Recorder
	track := r.Begin(header(1))
	track.Record(start, 1, machine.Tick{})
	track.Check(1, 2)
	track.Share().End()
	track.End()
	r.Close()
}

func FuzzReader(f *testing.F) {
	var buf bytes.Buffer
	r := &Recorder{dir: "x", wake: make(chan struct{}, 1), failed: func(_ string, err error) { f.Fatal(err) }}
	track := r.Begin(header(1))
	for _, in := range samples() {
		track.Record(start, 1, in)
	}
	buf.WriteString(magic)
	for _, c := range r.queue {
		buf.Write(c.frames)
	}
	f.Add(buf.Bytes(), false)
	f.Add(buf.Bytes()[len(magic):], true)
	f.Fuzz(func(t *testing.T, b []byte, raw bool) {
		if raw { // past the checksums: the fuzzer's octets as one frame each
			b = reframe(b)
		}
		r, err := NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		for e, err := range r.All() {
			if err == nil && !e.Check && e.Input == nil {
				t.Fatal("an entry without an input")
			}
		}
	})
}

// reframe gives the frames in b right checksums, so that gob sees what the fuzzer made.
func reframe(b []byte) []byte {
	out := []byte(magic)
	for len(b) > frameHead {
		n := min(int(b[3])|int(b[2])<<8, len(b)-frameHead)
		out = append(out, frame(b[frameHead:frameHead+n])...)
		b = b[frameHead+n:]
	}
	return out
}
