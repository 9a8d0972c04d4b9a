package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/config"
	"github.com/parley-ike/parley/core/control"
	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/machine"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testConfig = `connection "west" {
  local  { identity = "east.example.net" }
  remote { address = "192.0.2.2"  identity = "west.example.net" }
  child "lan" { local_ts = ["10.1.0.0/16"]  remote_ts = ["10.2.0.0/16"] }
}
connection "north" {
  local  { identity = "east.example.net" }
  remote { address = "192.0.2.3"  identity = "north.example.net" }
  child "lan" { local_ts = ["10.1.0.0/16"]  remote_ts = ["10.3.0.0/16"] }
}
credentials { psk "*.example.net" { file = "example.psk" } }
`

var (
	begin = time.Date(2026, 11, 21, 1, 53, 33, 0, time.UTC)
	later = begin.Add(2*time.Minute + 3*time.Second)
	uid1  = event.UID{0x01, 0x93, 0xf2, 0xa0, 0, 1, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}
	uid2  = event.UID{0x01, 0x93, 0xf2, 0xa0, 0, 2, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 2}
	uid3  = event.UID{0x01, 0x93, 0xf2, 0xa0, 0, 3, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 3}
)

func ikeSA() event.IKESA {
	return event.IKESA{Version: 2, Role: "initiator", SPIi: "0102030405060708", SPIr: "1112131415161718", Local: netip.MustParseAddrPort("192.0.2.1:500"),
		Remote: netip.MustParseAddrPort("192.0.2.2:500"), LocalID: "fqdn:east.example.net", RemoteID: "fqdn:west.example.net", Suite: "AES_GCM_16_256/PRF_HMAC_SHA2_256/CURVE25519",
		Fragmentation: true, Window: 8}
}

func lan() event.ChildSA {
	return event.ChildSA{UID: uid2, Name: "lan", SPIIn: "c0000001", SPIOut: "d0000001", Protocol: "ESP", Mode: "tunnel", Suite: "AES_GCM_16_256",
		LocalTS: []string{"10.1.0.0/16"}, RemoteTS: []string{"10.2.0.0/16"}, Encap: true, Backend: "userspace",
		BackendReason: "it is configured", Handling: []string{"mark 0x2a/0xff", "if_id 7"}}
}

func established() machine.Info {
	return machine.Info{UID: uid1, Conn: "west", State: "established", IKE: ikeSA(), Created: begin, Established: begin.Add(time.Second), Children: []event.ChildSA{lan()}}
}

// withAddresses gave its peer an inner address and has one.
func withAddresses() machine.Info {
	info := established()
	info.Inner = machine.Inner{Holder: uid1, Given: []netip.Addr{netip.MustParseAddr("10.9.0.1")}, Assigned: []netip.Addr{netip.MustParseAddr("2001:db8:9::7")}}
	return info
}

// halfOpen is a responder's SA whose connection is not known yet.
func halfOpen() machine.Info {
	sa := ikeSA()
	sa.Role, sa.LocalID, sa.RemoteID, sa.Remote = "responder", "", "", netip.MustParseAddrPort("198.51.100.7:500")
	return machine.Info{UID: uid3, State: "half-open", IKE: sa, Created: begin.Add(time.Minute)}
}

// fakeEngine tells script when it is asked to initiate, and ends what it is told to end.
type fakeEngine struct {
	bus    *bus.Bus
	mu     sync.Mutex
	sas    []machine.Info
	script []event.Event
}

func (e *fakeEngine) SAs(context.Context) ([]machine.Info, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]machine.Info(nil), e.sas...), nil
}

func (e *fakeEngine) Rekey(_ context.Context, sel engine.Selector, child string) (int, error) {
	if child != "" {
		go tell(e.bus, sel.UID, "west", event.ChildRekeyed{Child: event.ChildSA{UID: event.UID{7}, Name: child}, Prev: lan().UID, By: "us"})
		return 1, nil
	}
	go tell(e.bus, event.UID{8}, "west", event.IKERekeyed{IKE: ikeSA(), Prev: sel.UID, By: "us"})
	return 1, nil
}

func (e *fakeEngine) Up(_ context.Context, conn string, _ []string) (event.UID, bool, error) {
	go tell(e.bus, uid1, conn, e.script...)
	return uid1, false, nil
}

func (e *fakeEngine) Terminate(_ context.Context, sel engine.Selector, child, reason string) (int, error) {
	var events []event.Event
	if child == "" || child == "lan" {
		events = append(events, event.ChildDeleted{Child: lan(), By: "operator", Reason: reason})
	}
	if child == "" {
		events = append(events, event.IKEDeleted{IKE: ikeSA(), By: "operator", Reason: reason})
	}
	go tell(e.bus, sel.UID, "west", events...)
	return 1, nil
}

func (e *fakeEngine) Reauthenticate(context.Context, engine.Selector) (int, error) { return 1, nil }

func (e *fakeEngine) Redirect(context.Context, engine.Selector, machine.Gateway) (int, error) {
	return 1, nil
}

// tell publishes events of an IKE SA, 120 ms apart.
func tell(b *bus.Bus, uid event.UID, conn string, events ...event.Event) {
	for i, e := range events {
		b.Publish(event.Record{Time: begin.Add(time.Duration(i) * 120 * time.Millisecond), Subject: event.Subject{IKE: uid, Conn: conn}, Event: e})
	}
}

// world is a daemon with a fake engine.
type world struct {
	engine *fakeEngine
	bus    *bus.Bus
	socket string
	dir    string // of the keys
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "example.psk"), []byte("not a real key"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("/etc/parley/parley.hcl", []byte(testConfig), dir)
	if err != nil {
		t.Fatal(err)
	}
	b := bus.New()
	w := &world{bus: b, engine: &fakeEngine{bus: b}, socket: filepath.Join(dir, "c.sock"), dir: dir}
	h := control.NewHistory(b)
	t.Cleanup(h.Close)
	server, err := control.Listen(control.Config{Socket: w.socket, Node: "gw1", Version: "1.2.3", Source: "/etc/parley/parley.hcl", Started: time.Now().Add(-time.Minute),
		Bus: b, History: h, Engine: w.engine, Snapshot: func() *config.Snapshot { return c }, State: state, Plugins: plugins, Pools: pools, Traffic: traffic, Render: render,
		Reload: func(context.Context, bool) (*config.Snapshot, config.Changes, error) { return c, reloaded(), nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return w
}

func state() control.State {
	return control.State{Listen: []string{"0.0.0.0:500", "0.0.0.0:4500"}, NATS: control.NATS{Mode: "embedded", Connected: true, Waiting: 3},
		Backend: control.Backend{Name: "userspace", Reason: "the kernel cannot do ESP",
			Unset: []string{"bypass/ssh: no SA backend here can let traffic pass"}}}
}

func plugins() []control.Plugin {
	return []control.Plugin{
		{Name: "ke", Version: "0.1.0", Vendor: "Parley", Kinds: []string{"ke"}, Services: []string{"ke/curve", "ke/modp"}, State: "up", PID: 4711, Started: begin, Restarts: 1,
			Capabilities: []string{"CURVE25519", "MODP_2048", "MODP_3072", "MODP_4096", "MODP_6144", "MODP_8192"},
			Calls:        12345, P50: 140 * time.Microsecond, P99: 2300 * time.Microsecond},
		{Name: "hsm", Kinds: []string{"cred"}, State: "rejected", Detail: "wrong checksum of /usr/lib/hsm: see sha256sum"},
	}
}

func pools() []control.Pool {
	return []control.Pool{
		{Name: "staff", Ranges: []string{"10.9.0.1-10.9.0.254", "2001:db8:9::1-2001:db8:9:0:ffff:ffff:ffff:ffff"}, Size: "18446744073709551869", Used: 1, Kept: 1, Leases: []control.Lease{
			{Addr: netip.MustParseAddr("10.9.0.1"), Identity: "fqdn:alice.example.net", Holders: []event.UID{uid1}, From: netip.MustParseAddr("198.51.100.7"), Since: begin},
			{Addr: netip.MustParseAddr("10.9.0.2"), Identity: "fqdn:bob.example.net", Until: begin.Add(24 * time.Hour)},
		}},
		{Name: "guests", Ranges: []string{"10.10.0.5"}, Size: "1"},
	}
}

func reloaded() config.Changes {
	return config.Changes{Added: []string{"south"}, Removed: []string{"north"}, Same: []string{"east"}, Credentials: true, Pools: true, Restart: []string{"daemon listen"},
		Changed: []config.Change{{Connection: "west", What: []string{"remote identity", "child lan: remote_ts"}}}}
}

func traffic(context.Context, machine.Info, event.ChildSA) (event.Traffic, error) {
	return event.Traffic{BytesIn: 1 << 40, BytesOut: 840, PacketsIn: 1 << 30, PacketsOut: 10}, nil
}

// render stands for the mirror's CloudEvents.
func render(r event.Record) ([]byte, error) {
	return json.Marshal(map[string]string{"type": r.Event.Kind().Name, "subject": r.Subject.Conn})
}

// result is what a command did.
type result struct {
	status   int
	out, err string
}

// run executes a command line against the world. w may be nil.
func (w *world) run(ctx context.Context, a *app, line ...string) result {
	var out, err bytes.Buffer
	a.out, a.err, a.now = &out, &err, func() time.Time { return later }
	if a.in == nil {
		a.in = strings.NewReader("")
	}
	if w != nil {
		line = append(line, "--socket", w.socket)
	}
	status := a.run(ctx, line)
	return result{status, w.steady(out.String()), w.steady(err.String())}
}

var unsteady = []struct {
	is *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`up \S+, pid \d+`), "up 1m0s, pid 99"},
	{regexp.MustCompile(`"pid": \d+,\n  "started": "[^"]+",\n  "uptime_seconds": \d+`), `"pid": 99, "started": "...", "uptime_seconds": 60`},
}

// steady takes out what is different each time.
func (w *world) steady(s string) string {
	if w != nil {
		s = strings.ReplaceAll(s, w.dir, "/etc/parley")
	}
	for _, u := range unsteady {
		s = u.is.ReplaceAllString(s, u.to)
	}
	return s
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s\nwant:\n%s", path, got, want)
	}
}

// comesUp and isRefused are attempts.
func comesUp() []event.Event {
	return []event.Event{event.IKEInitiated{IKE: ikeSA()}, event.IKEStateChanged{From: "idle", To: "preparing"}, event.SuiteChosen{Scope: "ike", Suite: ikeSA().Suite},
		event.IKEEstablished{IKE: ikeSA()}, event.ChildEstablished{Child: lan()}}
}

func isRefused() []event.Event {
	return []event.Event{event.IKEInitiated{IKE: ikeSA()},
		event.RetransmitTimedOut{Exchange: "IKE_SA_INIT", Sent: 4, For: "7.5s", Remote: ikeSA().Remote},
		event.IKEFailed{IKE: ikeSA(), Stage: "IKE_SA_INIT", Cause: event.CauseTimeout, By: "peer", Reason: "192.0.2.2:500 did not answer"}}
}

func TestEveryCommandShowsTablesAndJSON(t *testing.T) {
	t.Parallel()
	up := []machine.Info{established(), halfOpen()}
	for _, tt := range []struct {
		name   string
		line   string
		sas    []machine.Info
		past   []event.Event // of connection north, or west when script is nil
		script []event.Event
		status int
	}{
		{name: "up", line: "up west", script: comesUp()},
		{name: "up-already", line: "up west", sas: up},
		{name: "up-failed", line: "up west", script: isRefused(), status: exitFailed},
		{name: "up-no-wait", line: "up west --no-wait", script: comesUp()},
		{name: "up-timeout", line: "up west --timeout 700ms", script: isRefused()[:1], status: exitTimeout},
		{name: "down", line: "down west --reason maintenance", sas: up},
		{name: "down-child", line: "down west --child lan", sas: up},
		{name: "down-not-up", line: "down north", sas: up},
		{name: "reauth", line: "reauth west", sas: up},
		{name: "redirect", line: "redirect west 192.0.2.9", sas: up},
		{name: "rekey", line: "rekey west", sas: up},
		{name: "rekey-child", line: "rekey west/lan", sas: up},
		{name: "status", line: "status", sas: up, past: isRefused()},
		{name: "sa-list", line: "sa list", sas: up},
		{name: "sa-show", line: "sa show west", sas: up},
		{name: "events-tail", line: "events tail --filter ike_sa.* --filter liveness.* --no-follow", past: isRefused()},
		{name: "plugin-list", line: "plugin list"},
		{name: "pool-list", line: "pool list"},
		{name: "sa-show-addresses", line: "sa show west", sas: []machine.Info{withAddresses()}},
		{name: "explain", line: "explain north", past: isRefused()},
		{name: "reload", line: "reload", sas: up},
		{name: "reload-dry-run", line: "reload --dry-run", sas: up},
		{name: "version", line: "version"},
	} {
		for _, output := range []string{"table", "wide", "json"} {
			t.Run(tt.name+" "+output, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.engine.sas, w.engine.script = tt.sas, tt.script
				tell(w.bus, uid3, "north", tt.past...)
				got := w.run(context.Background(), &app{}, append(strings.Fields(tt.line), "-o", output)...)
				if got.status != tt.status {
					t.Errorf("status %d, want %d: %s", got.status, tt.status, got.err)
				}
				golden(t, tt.name+"."+output+".txt", got.out)
			})
		}
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.engine.sas = []machine.Info{established()}
	for _, tt := range []struct {
		line   string
		status int
		want   string
	}{
		{"up wst", exitNotFound, `parley: control: there is no connection "wst": there are west, north`},
		{"up west --child wan", exitNotFound, `parley: control: connection "west" has no child "wan": there is lan`},
		{"up", exitUsage, "parley: parley up needs the name of a connection\nsee parley --help"},
		{"up a b", exitUsage, "parley: parley up: \"b\" is one argument too many\nsee parley --help"},
		{"down", exitUsage, "parley: parley down needs a connection, --child or --sa\nsee parley --help"},
		{"redirect west", exitUsage, "parley: parley redirect needs a connection, or --all, and a gateway\nsee parley --help"},
		{"redirect west 0.0.0.0", exitUsage, "parley: control: \"0.0.0.0\" is no gateway: name an address or a DNS name\nsee parley --help"},
		{"rekey", exitUsage, "parley: parley rekey needs a connection or --sa, and not both\nsee parley --help"},
		{"rekey west/nosuch", exitNotFound, "parley: control: connection \"west\" has no child \"nosuch\""},
		{"rekey north", exitFailed, "parley: control: there is nothing to rekey: `parley up north` brings it up"},
		{"reauth", exitUsage, "parley: parley reauth needs a connection or --sa, and not both\nsee parley --help"},
		{"reauth north", exitFailed, "parley: control: connection \"north\" is not up: `parley up north` brings it up"},
		{"down --sa 0193", exitUsage, `parley: control: "0193" begins the UIDs of 2 SAs, ` + uid1.String() + " and " + uid2.String() + " among them: write more of the UID\nsee parley --help"},
		{"sa show north", exitNotFound, "parley: control: connection \"north\" has no IKE SA: try `parley explain north`"},
		{"sa show ffff", exitNotFound, "parley: control: there is no SA and no connection \"ffff\": see `parley sa list`"},
		{"sa", exitUsage, "parley: parley sa needs a command: list, show\nsee parley --help"},
		{"sa lst", exitUsage, "parley: unknown command \"lst\" for \"parley sa\": did you mean \"list\"?\nsee parley --help"},
		{"frobnicate", exitUsage, "parley: unknown command \"frobnicate\" for \"parley\": there are completion, down, events, explain, plugin, pool, reauth, redirect, rekey, reload, replay, sa, status, up, version\nsee parley --help"},
		{"status --colour", exitUsage, "parley: unknown flag: --colour\nsee parley --help"},
		{"status -o yaml", exitUsage, "parley: unknown output \"yaml\": use table, wide or json\nsee parley --help"},
		{"events tail --severity loud", exitUsage, "parley: control: unknown severity \"loud\": use debug, info, notice, warning, error or critical\nsee parley --help"},
		{"events tail --since yesterday", exitUsage, "parley: --since \"yesterday\" is neither a duration such as 10m nor a time such as 2026-11-21T01:53:33Z\nsee parley --help"},
		{"explain wst", exitNotFound, `parley: control: not found: there is no connection "wst": there are west, north`},
	} {
		got := w.run(context.Background(), &app{}, strings.Fields(tt.line)...)
		if got.status != tt.status || strings.TrimSpace(got.err) != tt.want {
			t.Errorf("%s: status %d, want %d\n got %s\nwant %s", tt.line, got.status, tt.status, got.err, tt.want)
		}
	}
}

func TestWithoutADaemon(t *testing.T) {
	t.Parallel()
	var none *world
	got := none.run(context.Background(), &app{}, "status", "--socket", "/nonexistent/c.sock")
	const want = "parley: cannot reach parleyd at /nonexistent/c.sock: no such file or directory: is parleyd running? another socket is named with --socket\n"
	if got.status != exitUnreachable || got.err != want {
		t.Errorf("got %d, %s", got.status, got.err)
	}
	got = none.run(context.Background(), &app{}, "version", "--socket", "/nonexistent/c.sock")
	if got.status != exitOK || got.out != "parley  dev\nparleyd not reachable at /nonexistent/c.sock\n" {
		t.Errorf("got %d, %s", got.status, got.out)
	}
}

func TestTailFollowsUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	sub := w.bus.Subscribe("audit", bus.Collect(), func(r event.Record) bool {
		_, ok := r.Event.(event.ControlRequested)
		return ok
	})
	go func() {
		_, _ = sub.Next(context.Background()) // it follows now, or is about to
		time.Sleep(20 * time.Millisecond)
		tell(w.bus, uid1, "west", isRefused()...)
		time.Sleep(200 * time.Millisecond)
		cancel()
	}()
	got := w.run(ctx, &app{}, "events", "tail", "-n", "0", "--filter", "ike_sa.*")
	if got.status != exitOK || strings.Count(got.out, "\n") != 2 || !strings.Contains(got.out, "west: IKE SA failed in IKE_SA_INIT") {
		t.Errorf("got %d, %s %s", got.status, got.out, got.err)
	}
}

func TestColoursAreForTerminals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.engine.sas = []machine.Info{established()}
	plain := w.run(context.Background(), &app{}, "sa", "list")
	colour := w.run(context.Background(), &app{colour: true}, "sa", "list")
	if strings.Contains(plain.out, "\x1b") || !strings.Contains(colour.out, "\x1b[32m") {
		t.Errorf("plain:\n%q\ncolour:\n%q", plain.out, colour.out)
	}
	if stripped := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(colour.out, ""); stripped != plain.out {
		t.Errorf("colour changes more than colours:\n%s\n%s", stripped, plain.out)
	}
	bare := w.run(context.Background(), &app{}, "sa", "list", "--no-headers")
	if _, rest, _ := strings.Cut(plain.out, "\n"); strings.Join(strings.Fields(rest), " ") != strings.Join(strings.Fields(bare.out), " ") {
		t.Errorf("without headers:\n%s", bare.out)
	}
}

func TestCompletionKnowsWhatTheDaemonKnows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.engine.sas = []machine.Info{established()}
	for line, want := range map[string][]string{
		"up":                 {"west\tup, to fqdn:west.example.net", "north\tdown, to fqdn:north.example.net"},
		"explain":            {"west\t", "north\t"},
		"down --sa":          {uid1.String() + "\tIKE SA of west", uid2.String() + "\tchild SA lan of west"},
		"up west --child":    {"lan\tof west"},
		"sa show":            {"west\t", uid1.String()},
		"events tail --conn": {"west", "north"},
		"status -o":          {"table", "wide", "json"},
	} {
		var none *world // the word to complete must be the last
		got := none.run(context.Background(), &app{}, append([]string{"__complete", "--socket=" + w.socket}, append(strings.Fields(line), "")...)...)
		for _, word := range want {
			if !strings.Contains(got.out, word) {
				t.Errorf("%s: no %q in:\n%s%s", line, word, got.out, got.err)
			}
		}
	}
}

func TestHelpTellsTheExitStatuses(t *testing.T) {
	t.Parallel()
	var none *world
	for _, line := range []string{"", "up", "down", "rekey", "reauth", "redirect", "status", "sa list", "sa show", "events tail", "plugin list", "pool list", "explain", "replay", "version"} {
		got := none.run(context.Background(), &app{}, append(strings.Fields(line), "--help")...)
		if got.status != exitOK || !strings.Contains(got.out, exitHelp) {
			t.Errorf("%s --help: %d\n%s", line, got.status, got.out)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if got := none.run(context.Background(), &app{}, "completion", shell); got.status != exitOK || !strings.Contains(got.out, "parley") {
			t.Errorf("completion %s: %d %s", shell, got.status, got.err)
		}
	}
}

func TestManualPages(t *testing.T) {
	t.Parallel()
	var none *world
	dir := t.TempDir()
	if got := none.run(context.Background(), &app{}, "man", dir); got.status != exitOK {
		t.Fatal(got.err)
	}
	for _, page := range []string{"parley.1", "parley-up.1", "parley-sa-show.1", "parley-events-tail.1", "parley-replay.1"} {
		if _, err := os.Stat(filepath.Join(dir, page)); errors.Is(err, os.ErrNotExist) {
			t.Errorf("no %s", page)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "parley-down.1"))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "parley-down.1", string(b))
}
