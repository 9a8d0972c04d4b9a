package file

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/secret"
	"github.com/parley-ike/parley/sdk/serve"
)

var (
	_ sdk.Canary       = (*Plugin)(nil)
	_ serve.Configurer = (*Plugin)(nil)
)

func fqdn(name string) cred.Identity { return cred.Identity{Type: 2, Data: []byte(name)} }

func query(local, remote string) cred.Query {
	return cred.Query{Purpose: cred.PSK, Local: fqdn(local), Remote: fqdn(remote)}
}

// write makes a key file with the mode that a key file needs.
func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// psk is an entry with a file of its own; an empty name is any.
func psk(t *testing.T, local, remote, key string) PSK {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.psk")
	write(t, path, key)
	k := PSK{File: path}
	if remote != "" {
		k.Remote = Identity(fqdn(remote))
	}
	if local != "" {
		id := Identity(fqdn(local))
		k.Local = &id
	}
	return k
}

func open(t *testing.T, psks ...PSK) *Plugin {
	t.Helper()
	p, err := New(Config{PSKs: psks})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// authData is RFC 7296 section 2.15 with PRF_HMAC_SHA2_256, computed independently.
func authData(key, data string) []byte {
	inner := hmac.New(sha256.New, []byte(key))
	inner.Write([]byte("Key Pad for IKEv2"))
	outer := hmac.New(sha256.New, inner.Sum(nil))
	outer.Write([]byte(data))
	return outer.Sum(nil)
}

func mac(p *Plugin, q cred.Query) ([]byte, error) {
	sums, err := p.MAC(context.Background(), q, []cred.MAC{{Scheme: cred.IKEv2Auth, PRF: 5, Data: []byte("data")}})
	if err != nil {
		return nil, err
	}
	return sums[0], nil
}

// wantKey fails unless the store answers a query with a key.
func wantKey(t *testing.T, p *Plugin, q cred.Query, key string) {
	t.Helper()
	got, err := mac(p, q)
	if err != nil || !bytes.Equal(got, authData(key, "data")) {
		t.Errorf("%v with %v: another key than %q was used, error %v", q.Remote, q.Local, key, err)
	}
}

// wantBad fails unless the store refuses and says a text.
func wantBad(t *testing.T, p *Plugin, q cred.Query, text string) {
	t.Helper()
	_, err := mac(p, q)
	if !errors.Is(err, sdk.ErrNoCredential) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want an error about %q", err, text)
	}
}

// clock is virtual time, so that a test does not wait for the next look at a file.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func withClock(p *Plugin) *clock {
	c := &clock{now: time.Unix(1_000_000, 0)}
	p.now = c.Now
	return c
}

func TestFileConformsToTheCredentialStoreContract(t *testing.T) {
	t.Parallel()
	entry := psk(t, "east", "west", "a key\n")
	kit.Cred(t, kit.CredFixture{
		Open:  func() cred.Plugin { return open(t, entry) },
		Known: query("east", "west"), Key: []byte("a key"), Unknown: query("east", "north"),
	})
}

func TestFileKnowsItsCanary(t *testing.T) {
	t.Parallel()
	if err := open(t).Canary(t.Context()); err != nil {
		t.Error(err)
	}
}

// sdk/cred Query: remote first, then local; an entry for both beats an entry for one.
func TestTheBestEntryAnswers(t *testing.T) {
	t.Parallel()
	p := open(t, psk(t, "", "", "any"), psk(t, "east", "", "local"), psk(t, "", "west", "remote"), psk(t, "east", "west", "both"))
	wantKey(t, p, query("east", "west"), "both")
	wantKey(t, p, query("south", "west"), "remote")
	wantKey(t, p, query("east", "north"), "local")
	wantKey(t, p, query("south", "north"), "any")
	wantKey(t, open(t, psk(t, "east", "", "local"), psk(t, "", "west", "remote")), query("east", "west"), "remote")
	refs, err := p.Find(t.Context(), query("east", "west"))
	if err != nil || len(refs) != 4 {
		t.Errorf("found %v, want four, error %v", refs, err)
	}
}

func TestIdentitiesMatchOctetByOctet(t *testing.T) {
	t.Parallel()
	p := open(t, psk(t, "", "west", "key"))
	for _, remote := range []cred.Identity{
		fqdn("WEST"), fqdn("wes"), fqdn("west\x00"), {Type: 3, Data: []byte("west")}, {Type: 2}, {},
	} {
		q := cred.Query{Purpose: cred.PSK, Local: fqdn("east"), Remote: remote}
		if _, err := mac(p, q); !errors.Is(err, sdk.ErrNoCredential) {
			t.Errorf("%v matched west: %v", remote, err)
		}
	}
}

// RFC7296-2.15-1 (64 octets and more), RFC7296-2.15-2 (no terminator), RFC7296-2.15-3 (hexadecimal).
// A pattern is one label deep, as in connections, and yields to the name itself.
func TestAPatternStandsForTheNamesOfItsDomain(t *testing.T) {
	t.Parallel()
	p := open(t, psk(t, "", "*.road.example", "road"), psk(t, "us", "*.road.example", "ours"), psk(t, "", "ann.road.example", "ann"))
	wantKey(t, p, query("others", "bob.road.example"), "road")
	wantKey(t, p, query("us", "bob.road.example"), "ours")
	wantKey(t, p, query("others", "ann.road.example"), "ann")
	for _, other := range []string{"road.example", "a.b.road.example", ".road.example", "bob.road.example.org", "bob"} {
		wantBad(t, p, query("us", other), "no pre-shared key for")
	}
	wantBad(t, p, cred.Query{Purpose: cred.PSK, Remote: cred.Identity{Type: 3, Data: []byte("bob.road.example")}}, "no pre-shared key for")
}

func TestAKeyHasThreeForms(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 64)
	for content, key := range map[string]string{
		"key": "key", "key\n": "key", "key\r\n": "key", "two words": "two words", long + "\n": long, "0": "0",
		"schl\u00fcssel\n": "schl\u00fcssel",
		"0x6b6579\n":       "key", "0X6B6579": "key", "0x0a00": "\n\x00",
		"0sa2V5\n": "key", "0Sa2V5": "key", "0sa2V5cw==": "keys", "0sa2V5cw\n": "keys",
	} {
		got, err := parse([]byte(content))
		if err != nil || !got.Equal([]byte(key)) {
			t.Errorf("%q: not the key %q, error %v", content, key, err)
		}
	}
}

func TestABadKeyIsExplainedWithoutShowingIt(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]error{
		"": errEmpty, "\n": errEmpty, "\r\n": errEmpty, "0x": errEmpty, "0s\n": errEmpty, "0s==": errEmpty,
		"0x123": errHex, "0xzz": errHex, "0x 12": errHex, "0s!!": errBase64, "0sa": errBase64, "0sa2\nV5": errBase64,
		"one\ntwo\n": errControl, "key\n\n": errControl, "key\x00": errControl, "a\tb": errControl, "\x7fa": errControl,
		" key": errBlank, "key \n": errBlank, "\xef\xbb\xbfkey": errMark,
	} {
		if key, err := parse([]byte(content)); err != want || key != nil {
			t.Errorf("%q: got %v, want %v", content, err, want)
		}
	}
}

func FuzzParseNeverPanicsAndKeepsText(f *testing.F) {
	f.Add([]byte("key\n"))
	f.Add([]byte("0x6b"))
	f.Add([]byte("0sa2V5"))
	f.Fuzz(func(t *testing.T, content []byte) {
		key, err := parse(bytes.Clone(content))
		if (err == nil) == (len(key) == 0) || len(key) > len(content) {
			t.Errorf("%q: a key of %d octets, error %v", content, len(key), err)
		}
	})
}

func TestAFileThatOthersCanReadIsRefusedWithTheRemedy(t *testing.T) {
	t.Parallel()
	for _, mode := range []os.FileMode{0o644, 0o640, 0o604, 0o620, 0o601} {
		entry := psk(t, "", "west", "key")
		if err := os.Chmod(entry.File, mode); err != nil {
			t.Fatal(err)
		}
		wantBad(t, open(t, entry), query("east", "west"), fmt.Sprintf("mode %04o lets group or others at the key: chmod 0600 %s", mode, entry.File))
	}
}

func TestAFileThatIsNoKeyFileIsRefused(t *testing.T) {
	t.Parallel()
	west := query("east", "west")
	entry := psk(t, "", "west", strings.Repeat("k", MaxFile))
	wantKey(t, open(t, entry), west, strings.Repeat("k", MaxFile))
	write(t, entry.File, strings.Repeat("k", MaxFile+1))
	wantBad(t, open(t, entry), west, "larger than 4096 octets")

	entry.File = filepath.Join(t.TempDir(), "none")
	wantBad(t, open(t, entry), west, "no such file")
	if err := syscall.Mkfifo(entry.File, 0o600); err != nil {
		t.Fatal(err)
	}
	wantBad(t, open(t, entry), west, "not a regular file")
	entry.File = t.TempDir()
	wantBad(t, open(t, entry), west, "not a regular file")
}

func TestAChangedFileIsReadAgainWithinASecond(t *testing.T) {
	t.Parallel()
	entry := psk(t, "", "west", "old")
	p := open(t, entry)
	c, west := withClock(p), query("east", "west")
	wantKey(t, p, west, "old")
	write(t, entry.File, "newer")
	c.advance(pollInterval - 1)
	wantKey(t, p, west, "old") // not looked at yet
	c.advance(1)
	wantKey(t, p, west, "newer")

	// Replaced by a file of the same size and time, as an editor or a deployment does.
	info, err := os.Stat(entry.File)
	if err != nil {
		t.Fatal(err)
	}
	other := entry.File + ".new"
	write(t, other, "other")
	if err := errors.Join(os.Chtimes(other, info.ModTime(), info.ModTime()), os.Rename(other, entry.File)); err != nil {
		t.Fatal(err)
	}
	c.advance(pollInterval)
	wantKey(t, p, west, "other")
}

func TestAFileThatBecameBadGivesNoOldKeyAndHeals(t *testing.T) {
	t.Parallel()
	entry := psk(t, "", "west", "key")
	p := open(t, entry)
	c, west := withClock(p), query("east", "west")
	for _, fault := range []struct {
		text        string
		break_, fix func() error
	}{
		{"chmod 0600", func() error { return os.Chmod(entry.File, 0o644) }, func() error { return os.Chmod(entry.File, 0o600) }},
		{"no such file", func() error { return os.Rename(entry.File, entry.File+".away") }, func() error { return os.Rename(entry.File+".away", entry.File) }},
		{"empty", func() error { return os.Truncate(entry.File, 0) }, func() error { return os.WriteFile(entry.File, []byte("key"), 0o600) }},
	} {
		wantKey(t, p, west, "key")
		if err := fault.break_(); err != nil {
			t.Fatal(err)
		}
		c.advance(pollInterval)
		wantBad(t, p, west, fault.text)
		wantBad(t, p, west, fault.text) // within the second, from memory
		c.advance(pollInterval)
		wantBad(t, p, west, fault.text) // the file is as bad as before, and an empty key must not be used
		if err := fault.fix(); err != nil {
			t.Fatal(err)
		}
		c.advance(pollInterval)
	}
	wantKey(t, p, west, "key")
}

func TestAClockThatGoesBackDoesNotStopReloading(t *testing.T) {
	t.Parallel()
	entry := psk(t, "", "west", "old")
	p := open(t, entry)
	c := withClock(p)
	wantKey(t, p, query("east", "west"), "old")
	write(t, entry.File, "newer")
	c.advance(-time.Hour)
	wantKey(t, p, query("east", "west"), "newer")
}

func TestReplacedKeysAreWiped(t *testing.T) {
	t.Parallel()
	entry := psk(t, "", "west", "old")
	p := open(t, entry)
	c, west := withClock(p), query("east", "west")
	wantKey(t, p, west, "old")
	held := func() (all []secret.Bytes) {
		for _, e := range p.entries {
			all = append(all, e.keys.psk, e.keys.inner[5])
		}
		return all
	}
	wantWiped := func(all []secret.Bytes, when string) {
		t.Helper()
		for i, b := range all {
			if len(b) == 0 || !b.Equal(make([]byte, len(b))) {
				t.Errorf("%s: secret %d of %d octets was not wiped", when, i, len(b))
			}
		}
	}
	old := held()
	write(t, entry.File, "newer")
	c.advance(pollInterval)
	wantKey(t, p, west, "newer")
	wantWiped(old, "reload")
	old = held()
	if err := p.Set(Config{}); err != nil {
		t.Fatal(err)
	}
	wantWiped(old, "configure")
	wantBad(t, p, west, "an empty configuration")
}

func TestAnUnknownIdentityIsNamedWithThePlacesLookedAt(t *testing.T) {
	t.Parallel()
	var entries []PSK
	for n := range 7 {
		entries = append(entries, PSK{Remote: Identity(fqdn(fmt.Sprint(n))), File: fmt.Sprintf("/k/%d.psk", n)})
	}
	wantBad(t, open(t, entries...), query("east", "west"),
		"no pre-shared key for fqdn:west with fqdn:east in /k/0.psk, /k/1.psk, /k/2.psk, /k/3.psk, /k/4.psk and 2 more")
}

func TestConfigurationComesAsJSON(t *testing.T) {
	t.Parallel()
	entry := psk(t, "east", "west", "key")
	text, err := json.Marshal(Config{PSKs: []PSK{entry}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"remote":{"type":2,"data":"d2VzdA=="}`) {
		t.Errorf("another form than documented: %s", text)
	}
	p := open(t)
	if problems := p.Validate(text); problems != nil {
		t.Errorf("valid, but %q", problems)
	}
	if err := p.Configure(t.Context(), serve.Env{}, text); err != nil {
		t.Fatal(err)
	}
	wantKey(t, p, query("east", "west"), "key")
	if err := p.Configure(t.Context(), serve.Env{}, []byte("{}")); err != nil {
		t.Errorf("the empty configuration: %v", err)
	}
}

func TestABadConfigurationIsRefusedAndTheOldOneStays(t *testing.T) {
	t.Parallel()
	p := open(t, psk(t, "", "west", "key"))
	for text, want := range map[string]string{
		`{"psk":[]}`: `unknown field "psk"`, `{} {}`: "text after its end", `[`: "configuration",
		`{"psks":[{"remote":{"type":2,"data":"d2VzdA=="},"file":"west.psk"}]}`:                              "must be absolute",
		`{"psks":[{"remote":{"type":2},"file":"/k"}]}`:                                                      "type 0 means any",
		`{"psks":[{"remote":{"type":0,"data":"eA=="},"file":"/k"}]}`:                                        "type 0 means any",
		`{"psks":[{"remote":{"type":0},"file":"/k"},{"remote":{"type":0},"local":{"type":0},"file":"/l"}]}`: "the same identities as /k",
	} {
		err := p.Configure(t.Context(), serve.Env{}, []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
		if problems := p.Validate([]byte(text)); len(problems) != 1 || !strings.Contains(problems[0], want) {
			t.Errorf("%s: problems %q, want %q", text, problems, want)
		}
	}
	wantKey(t, p, query("east", "west"), "key")
}

func TestValidateLooksIntoEveryFile(t *testing.T) {
	t.Parallel()
	good, bad := psk(t, "", "good", "key"), psk(t, "", "bad", "key")
	if err := os.Chmod(bad.File, 0o644); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(Config{PSKs: []PSK{good, bad, {File: "/nowhere/key"}}})
	if err != nil {
		t.Fatal(err)
	}
	problems := open(t).Validate(text)
	if len(problems) != 2 || !strings.Contains(strings.Join(problems, "\n"), "chmod 0600 "+bad.File) {
		t.Errorf("got %q", problems)
	}
}

func TestTheSchemaNamesEveryKey(t *testing.T) {
	t.Parallel()
	if !json.Valid([]byte(open(t).Schema())) {
		t.Fatal("the schema is no JSON")
	}
	for _, key := range []string{`"psks"`, `"remote"`, `"local"`, `"file"`, `"name"`, `"type"`, `"data"`, `"passwords"`, `"user"`, `"own"`, fmt.Sprint(MaxPSKs)} {
		if !strings.Contains(open(t).Schema(), key) {
			t.Errorf("the schema lacks %s", key)
		}
	}
}

func TestReloadAndConfigureRunBesideDerivations(t *testing.T) {
	t.Parallel()
	a, b := psk(t, "", "west", "key"), psk(t, "", "west", "key")
	p := open(t, a)
	c, west := withClock(p), query("east", "west")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				if got, err := mac(p, west); err != nil || !bytes.Equal(got, authData("key", "data")) {
					t.Errorf("another key, error %v", err)
				}
				c.advance(pollInterval / 10)
			}
		})
	}
	for n := range 100 {
		if err := p.Set(Config{PSKs: []PSK{[]PSK{a, b}[n%2]}}); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
}

func BenchmarkMAC(b *testing.B) {
	path := filepath.Join(b.TempDir(), "key")
	if err := os.WriteFile(path, []byte("key"), 0o600); err != nil {
		b.Fatal(err)
	}
	p, err := New(Config{PSKs: []PSK{{File: path}}})
	if err != nil {
		b.Fatal(err)
	}
	macs := []cred.MAC{{Scheme: cred.IKEv2Auth, PRF: 5, Data: make([]byte, 300)}, {Scheme: cred.IKEv2Auth, PRF: 5, Data: make([]byte, 300)}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.MAC(b.Context(), query("east", "west"), macs); err != nil {
			b.Fatal(err)
		}
	}
}
