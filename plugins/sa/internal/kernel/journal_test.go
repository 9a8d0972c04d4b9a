package kernel

import (
	"bytes"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/parley-ike/parley/sdk/sa"
)

var (
	outer4 = [2]string{"192.0.2.1", "192.0.2.2"}
	nets4  = [2]string{"10.1.0.0/16", "10.2.0.0/16"}
	nets6  = [2]string{"fd01::/64", "fd02::/64"}
)

func subnet(text string) sa.Selector {
	p := netip.MustParsePrefix(text)
	return sa.Selector{EndPort: 65535, Start: p.Addr(), End: sa.LastOf(p)}
}

func lan(id byte) sa.Child {
	key := bytes.Repeat([]byte{id}, 20)
	return sa.Child{UID: sa.UID{id}, Owner: "test", Conn: "lab", Name: "child", ReqID: uint32(id), SPIIn: 0x1000 + uint32(id), SPIOut: 0x2000 + uint32(id),
		Local: netip.MustParseAddr(outer4[0]), Remote: netip.MustParseAddr(outer4[1]), Encr: 20, KeyBits: 128, ReplayWindow: 64,
		EncrIn: key, EncrOut: bytes.Clone(key), LocalTS: []sa.Selector{subnet(nets4[0]), subnet(nets6[0])}, RemoteTS: []sa.Selector{subnet(nets4[1]), subnet(nets6[1])}}
}

func TestTheJournalSurvivesAndHoldsNoKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := openJournal(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	c := lan(1)
	c.EncrIn = []byte("topsecret1234567")
	e := newEntry(c)
	if err := j.put(e); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(j.path)
	if strings.Contains(string(text), "topsecret") || strings.Contains(string(text), "Encr\":\"") {
		t.Errorf("%s", text)
	}
	if info, _ := os.Stat(j.path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	again, err := openJournal(dir, "test")
	if err != nil || !reflect.DeepEqual(again.entries[c.UID], e) {
		t.Errorf("%+v, %v, want %+v", again, err, e)
	}
	c.EncrOut[0]++
	if reflect.DeepEqual(newEntry(c), e) {
		t.Error("other keys look the same")
	}
	if err := os.WriteFile(j.path, []byte("{\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openJournal(dir, "test"); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("%v", err)
	}
}

func TestAJournalWhoseLastLineIsCutShortIsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := openJournal(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	one, two := lan(1), lan(2)
	for _, c := range []sa.Child{one, two} {
		if err := j.put(newEntry(c)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.gone(one.UID); err != nil {
		t.Fatal(err)
	}
	if _, err := j.file.WriteString(`{"put":{"child":{"UI`); err != nil {
		t.Fatal(err)
	}
	again, err := openJournal(dir, "test")
	if err != nil || len(again.entries) != 1 || again.entries[two.UID] == nil {
		t.Errorf("%+v, %v", again, err)
	}
	for range 3 * compactAfter {
		if err := again.put(newEntry(two)); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := again.file.Stat(); err != nil || info.Size() > 2<<20 || !strings.HasSuffix(again.path, "test.journal") {
		t.Errorf("the journal grows for ever: %v, %v", info.Size(), err)
	}
}
