package mirror

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-ike/parley/bus/event"
)

var update = flag.Bool("update", false, "write the golden files")

// every has one value of each type of the catalogue; a test below compares it with the source.
var every = []event.Event{
	event.IKEInitiated{}, event.IKEHalfOpenTimedOut{}, event.IKEEstablished{}, event.IKEDeleted{}, event.IKEFailed{}, event.IKEStateChanged{},
	event.IKEUniqueness{}, event.IKEReauthenticated{}, event.IKERedirected{},
	event.IKERekeyed{}, event.IKERekeyCollision{}, event.IKEExpired{}, event.ChildRekeyed{}, event.ChildExpired{},
	event.ChildEstablished{}, event.ChildDeleted{}, event.ChildFailed{}, event.ChildTSMismatch{}, event.ChildTSNarrowed{}, event.ChildInstallFailed{},
	event.AuthSucceeded{}, event.AuthFailed{}, event.AuthMessageReceived{},
	event.ProposalMismatch{}, event.WeakAlgorithm{}, event.InvalidKE{}, event.UnsupportedCritical{}, event.SuiteChosen{}, event.NotifyReceived{},
	event.PeerUnreachable{}, event.PeerReachable{}, event.LivenessTimedOut{}, event.Retransmitted{}, event.RetransmitTimedOut{},
	event.NATDetected{}, event.NATMappingChanged{}, event.AddressChanged{}, event.ChildLost{}, event.ChildPlaced{}, event.RoutabilityFailed{},
	event.CookieThreshold{}, event.RateLimited{}, event.ParseErrors{}, event.IntegrityFailed{}, event.FragmentFailed{}, event.CookieRequested{},
	event.PoolLeased{}, event.PoolReleased{}, event.PoolExhausted{}, event.PoolStoreFailed{}, event.PoolStoreMended{},
	event.AddressAssigned{}, event.AddressWithdrawn{}, event.PeerVersion{},
	event.PluginStarted{}, event.PluginCrashed{}, event.PluginRestarted{}, event.PluginUnhealthy{}, event.PluginDegraded{}, event.PluginRejected{}, event.PluginStopped{},
	event.DaemonStarted{}, event.DaemonStopping{}, event.DaemonReady{}, event.KeysExported{}, event.ConfigChanged{}, event.ConfigRejected{}, event.ControlRequested{},
	event.TrafficTrapped{}, event.BackendChosen{}, event.BackendReconciled{}, event.PoliciesNotSet{},
	event.StreamGap{}, event.MirrorDown{}, event.MirrorUp{},
}

func TestTheListOfTypesIsTheCatalogue(t *testing.T) {
	listed := map[string]bool{}
	for _, e := range every {
		listed[reflect.TypeOf(e).Name()] = true
	}
	for _, name := range catalogue(t) {
		if !listed[name] {
			t.Errorf("event.%s has no golden file: add it to every, then run go test ./bus/mirror -run Golden -update", name)
		}
	}
}

// catalogue returns the types in the source of bus/event that have a method Kind.
func catalogue(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("../event/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no source of bus/event: %v", err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil && fn.Name.Name == "Kind" {
				names = append(names, fmt.Sprint(fn.Recv.List[0].Type))
			}
		}
	}
	if len(names) < 40 {
		t.Fatalf("only %d types found: the catalogue is elsewhere now", len(names))
	}
	return names
}

func TestGoldenFiles(t *testing.T) {
	codes := map[int]bool{}
	for _, e := range every {
		k := e.Kind()
		if codes[k.Code] {
			t.Errorf("code %d is used twice", k.Code)
		}
		codes[k.Code] = true
		got, err := Render("gw1", "01a1c9f2", "0.1.0", sample(e))
		if err != nil {
			t.Fatal(err)
		}
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, got, "", "  "); err != nil {
			t.Fatalf("%s: %v in %s", k.Name, err, got)
		}
		pretty.WriteByte('\n')
		path := golden(k.Code)
		if *update {
			if err := os.WriteFile(path, pretty.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Errorf("%v; run go test ./bus/mirror -run Golden -update and read what it writes", err)
			continue
		}
		if !bytes.Equal(pretty.Bytes(), want) {
			t.Errorf("%s differs from %s (a change that is not an addition needs .v2):\n%s", k.Name, path, pretty.Bytes())
		}
	}
}

func golden(code int) string { return fmt.Sprintf("testdata/golden/%d.json", code) }

// sample fills e with values that tell which field they are of.
func sample(e event.Event) event.Record {
	v := reflect.New(reflect.TypeOf(e)).Elem()
	fill(v, "")
	r := event.Record{Sequence: 18446, Time: time.Date(2026, 11, 21, 1, 53, 33, 335823000, time.UTC), Event: v.Interface().(event.Event)}
	if e.Kind().Code < 1700 {
		r.SASequence = 3
		r.Subject = event.Subject{IKE: event.UID{1, 0x93, 0xf2, 0xa0, 5: 1, 6: 0x70, 8: 0x80, 15: 9}, Conn: "site-b"}
	}
	return r
}

func fill(v reflect.Value, name string) {
	switch v.Interface().(type) {
	case netip.AddrPort:
		v.Set(reflect.ValueOf(netip.MustParseAddrPort("[2001:db8::1]:4500")))
		return
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.MustParseAddr("2001:db8::7")))
		return
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.MustParsePrefix("192.0.2.0/24")))
		return
	case event.UID:
		v.Set(reflect.ValueOf(event.UID{1, 0x93, 0xf2, 0xa1, 6: 0x70, 8: 0x80, 15: 2}))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("a " + name)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(2)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), name)
		fill(v.Index(1), name)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), strings.Split(v.Type().Field(i).Tag.Get("json"), ",")[0])
		}
	default:
		panic("no sample for " + v.Type().String())
	}
}

// secretName matches what a key, nonce or password would be called, and nothing that an event may have.
var secretName = regexp.MustCompile(`(?i)secret|psk|passw|passphrase|nonce|priv|skey|keymat|seed|token|cookie_value|raw|packet_data`)

func TestNoFieldOfAnEventCanHoldASecret(t *testing.T) {
	for _, e := range every {
		noSecrets(t, reflect.TypeOf(e), reflect.TypeOf(e).Name())
	}
}

func noSecrets(t *testing.T, typ reflect.Type, path string) {
	t.Helper()
	if strings.Contains(strings.ToLower(typ.PkgPath()+typ.Name()), "secret") {
		t.Errorf("%s has the type %v", path, typ)
	}
	switch typ.Kind() {
	case reflect.Struct:
		for i := range typ.NumField() {
			f := typ.Field(i)
			if f.PkgPath != "" {
				continue // of netip
			}
			name := path + "." + f.Name
			if secretName.MatchString(f.Name) || secretName.MatchString(f.Tag.Get("json")) {
				t.Errorf("%s is called like a secret", name)
			}
			noSecrets(t, f.Type, name)
		}
	case reflect.Slice, reflect.Array:
		if typ.Elem().Kind() == reflect.Uint8 && typ != reflect.TypeFor[event.UID]() {
			t.Errorf("%s holds bytes: events hold names and numbers", path)
		}
		noSecrets(t, typ.Elem(), path)
	case reflect.Interface, reflect.Map, reflect.Pointer, reflect.Func, reflect.Chan:
		t.Errorf("%s is a %v: events are plain data", path, typ.Kind())
	}
}

func TestNoGoldenFileHasAMemberCalledLikeASecret(t *testing.T) {
	files, _ := filepath.Glob("testdata/golden/*.json")
	if len(files) != len(every) {
		t.Errorf("%d golden files for %d types: remove what is obsolete", len(files), len(every))
	}
	member := regexp.MustCompile(`"([^"]+)":`)
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range member.FindAllSubmatch(text, -1) {
			if secretName.Match(m[1]) {
				t.Errorf("%s has the member %s", path, m[1])
			}
		}
	}
}

func TestAnEventsOwnMembersDoNotCollideWithThoseThatAllShare(t *testing.T) {
	shared := map[string]bool{"code": true, "severity": true, "outcome": true, "node": true, "conn": true, "sa_sequence": true, "truncated": true}
	for _, e := range every {
		for _, f := range planOf(reflect.TypeOf(e)) {
			if shared[strings.Trim(f.key, `":`)] {
				t.Errorf("%T has a member %s", e, f.key)
			}
		}
	}
}

func TestGoldenFilesFollowThePublishedSchema(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(Schema, &schema); err != nil {
		t.Fatal(err)
	}
	for _, e := range every {
		text, err := os.ReadFile(golden(e.Kind().Code))
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		for _, problem := range validate(schema, v, "event") {
			t.Errorf("%s: %s", e.Kind().Name, problem)
		}
	}
	if len(validate(schema, map[string]any{"specversion": "0.3", "extra": 1.0}, "event")) < 10 {
		t.Error("the validator of this test finds nothing wrong with a wrong event")
	}
}

// validate knows the keywords that our schema uses, and fails on others.
func validate(schema map[string]any, v any, path string) (problems []string) {
	complain := func(format string, a ...any) { problems = append(problems, path+" "+fmt.Sprintf(format, a...)) }
	object, _ := v.(map[string]any)
	for keyword, rule := range schema {
		switch keyword {
		case "$schema", "$id", "title", "description":
		case "type":
			got := map[string]bool{"object": object != nil}
			_, got["string"] = v.(string)
			f, number := v.(float64)
			got["integer"] = number && f == float64(int64(f))
			if !got[rule.(string)] {
				complain("is %T, not %v", v, rule)
			}
		case "const":
			if v != rule {
				complain("is %v, not %v", v, rule)
			}
		case "enum":
			if !slicesContain(rule.([]any), v) {
				complain("is %v, none of %v", v, rule)
			}
		case "pattern":
			if s, _ := v.(string); !regexp.MustCompile(rule.(string)).MatchString(s) {
				complain("is %q, not like %v", s, rule)
			}
		case "required":
			for _, name := range rule.([]any) {
				if _, ok := object[name.(string)]; !ok {
					complain("lacks %v", name)
				}
			}
		case "additionalProperties":
			known, _ := schema["properties"].(map[string]any)
			for name := range object {
				if known[name] == nil && rule == false {
					complain("has the unknown member %s", name)
				}
			}
		case "properties":
			for name, sub := range rule.(map[string]any) {
				if member, ok := object[name]; ok {
					problems = append(problems, validate(sub.(map[string]any), member, path+"."+name)...)
				}
			}
		default:
			complain("has a rule %q that this test does not know", keyword)
		}
	}
	sort.Strings(problems)
	return problems
}

func slicesContain(list []any, v any) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}

func TestTextOfAPeerIsEscapedAndCut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"quotes":          {`a"b\c`, `"a\"b\\c"`},
		"line feeds":      {"a\r\nCEF:0|x", `"a\u000d\nCEF:0|x"`},
		"terminal":        {"\x1b[2J\x7f", `"\u001b[2J\u007f"`},
		"html":            {"<script>&", `"\u003cscript\u003e\u0026"`},
		"bidi":            {"a\u202eb", `"a\u202eb"`},
		"line separator":  {"\u2028", `"\u2028"`},
		"not UTF-8":       {"a\xffb", `"a\ufffdb"`},
		"letters":         {"Zürich 東京", `"Zürich 東京"`},
		"outside the BMP": {"\U000e0001", `"\udb40\udc01"`},
		"too long":        {strings.Repeat("x", 300), `"` + strings.Repeat("x", MaxText) + `…"`},
		"cut in a letter": {"x" + strings.Repeat("ü", 200), `"x` + strings.Repeat("ü", 127) + `…"`},
		"long not UTF-8":  {strings.Repeat("\x80", 300), `"` + strings.Repeat(`\ufffd`, MaxText-4) + `…"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := string(appendText(nil, c.in)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestTextReadsBackAsItWas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.StringN(0, 60, MaxText).Draw(t, "text")
		var out string
		if err := json.Unmarshal(appendText(nil, in), &out); err != nil || out != strings.ToValidUTF8(in, "\ufffd") {
			t.Fatalf("%q became %q (%v)", in, out, err)
		}
	})
}

func TestMembersAreThoseOfEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, e := range every {
		for _, v := range []event.Event{e, sample(e).Event} {
			want, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			value := reflect.ValueOf(v)
			got := append(appendFields([]byte("{"), planOf(value.Type()), value, false), '}')
			// the one difference: an empty list is [], not null
			if !reflect.DeepEqual(decoded(t, got), decoded(t, bytes.ReplaceAll(want, []byte(":null"), []byte(":[]")))) {
				t.Errorf("%T:\n got %s\nwant %s", v, got, want)
			}
		}
	}
}

func decoded(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func TestAnEventThatIsTooLargeLosesItsOwnMembers(t *testing.T) {
	t.Parallel()
	long := make([]string, 1000)
	for i := range long {
		long[i] = strings.Repeat("\x01", 300)
	}
	got, err := Render("gw1", "b1", "", event.Record{Sequence: 1, Event: event.ProposalMismatch{Scope: "ike", Offered: long, Configured: long}})
	if err != nil {
		t.Fatal(err)
	}
	data := decoded(t, got).(map[string]any)["data"].(map[string]any)
	if len(got) > maxEvent || data["truncated"] != true || data["code"] != 1301.0 || data["scope"] != nil {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

func TestAListIsCut(t *testing.T) {
	t.Parallel()
	got, err := Render("gw1", "b1", "", event.Record{Event: event.DaemonReady{Listen: make([]string, 100)}})
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(got, []byte(`""`)); n != MaxList+1 { // and the version
		t.Errorf("%d elements, want %d", n-1, MaxList)
	}
}

func TestRenderRefusesWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	if _, err := Render("gw1", "b1", "", event.Record{}); err == nil {
		t.Error("a record without event was rendered")
	}
	if _, err := Render("gw/1", "b1", "", event.Record{Event: event.DaemonStarted{}}); err == nil {
		t.Error("a node with a slash was accepted: ids would be ambiguous")
	}
}

func TestSubjectsHaveOnlySafeBytes(t *testing.T) {
	t.Parallel()
	for conn, want := range map[string]string{
		"": "_", "_": "%5F", "site-b_2": "site-b_2", "a.b": "a%2Eb", "*": "%2A", ">": "%3E", "a b\n": "a%20b%0A", "ü": "%C3%BC", "%": "%25",
	} {
		got := Subject("gw.1", event.Record{Subject: event.Subject{Conn: conn}, Event: event.AuthFailed{}})
		if want = "parley.v1.evt.gw%2E1.auth.failed." + want; got != want {
			t.Errorf("connection %q: got %s, want %s", conn, got, want)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	e, err := newRenderer("gw1", "01a1c9f2", "0.1.0")
	if err != nil {
		b.Fatal(err)
	}
	for _, v := range []event.Event{event.IKEEstablished{}, event.ChildEstablished{}, event.SuiteChosen{}} {
		r := sample(v)
		b.Run(v.Kind().Name, func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf, _ = e.appendFrame(buf[:0], r)
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}
