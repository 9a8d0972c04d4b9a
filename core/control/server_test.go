package control_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/config"
	"github.com/parley-ike/parley/core/control"
	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/machine"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeEngine plays an engine: Initiate tells a story, Terminate ends what it is told to.
type fakeEngine struct {
	rekeyed []string
	bus     *bus.Bus
	mu      sync.Mutex
	sas     []machine.Info
	begun   int
	told    []string // of Terminate
	err     error    // of Initiate
	script  []event.Event
	after   []machine.Info // the SAs when the script is through
	listing func()         // what happens while the SAs are listed
}

func (e *fakeEngine) SAs(context.Context) ([]machine.Info, error) {
	if e.listing != nil {
		e.listing()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.sas), nil
}

func (e *fakeEngine) Rekey(_ context.Context, sel engine.Selector, child string) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rekeyed = append(e.rekeyed, sel.UID.String()+" "+child)
	go publish(e.bus, []story{{event.UID{77}, "west", e.script}})
	return 1, nil
}

func (e *fakeEngine) Up(_ context.Context, conn string, children []string) (event.UID, bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.begun++
	if e.err != nil {
		return event.UID{}, false, e.err
	}
	joined := len(e.sas) > 0 && e.sas[0].Conn == conn && !e.sas[0].Established.IsZero()
	e.sas = append(e.sas, e.after...)
	script := e.script
	go publish(e.bus, []story{{uid1, conn, script}})
	return uid1, joined, nil
}

func (e *fakeEngine) Terminate(_ context.Context, sel engine.Selector, child, reason string) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = append(e.told, fmt.Sprintf("%v %q %q", sel.UID, child, reason))
	for _, info := range e.sas {
		if info.UID != sel.UID {
			continue
		}
		var events []event.Event
		for _, c := range info.Children {
			if child == "" || child == c.Name {
				events = append(events, event.ChildDeleted{Child: c, By: "operator", Reason: reason})
			}
		}
		if child == "" {
			events = append(events, event.IKEDeleted{IKE: info.IKE, By: "operator", Reason: reason})
		}
		go publish(e.bus, []story{{info.UID, info.Conn, events}})
		return 1, nil
	}
	return 0, nil
}

// established is the SA of connection west.
func established() machine.Info {
	return machine.Info{UID: uid1, Conn: "west", State: "established", IKE: known(initiated(), west), Created: begin, Established: begin.Add(time.Second),
		Children: []event.ChildSA{lan()}}
}

// world is a server with a fake engine and a client of it.
type world struct {
	*control.Client
	engine *fakeEngine
	bus    *bus.Bus
	server *control.Server
	config control.Config
	audit  *bus.Subscription
}

func newWorld(t *testing.T, change func(*control.Config)) *world {
	t.Helper()
	b := bus.New()
	w := &world{bus: b, engine: &fakeEngine{bus: b}}
	w.audit = b.Subscribe("audit", bus.Collect(), func(r event.Record) bool {
		_, ok := r.Event.(event.ControlRequested)
		return ok
	})
	c := snapshot(t)
	h := control.NewHistory(b)
	t.Cleanup(h.Close)
	w.config = control.Config{Socket: filepath.Join(t.TempDir(), "c.sock"), Node: "gw1", Version: "1.2.3", Source: "/etc/parley/parley.hcl",
		Started: time.Now().Add(-time.Minute), Bus: b, History: h, Engine: w.engine, Snapshot: func() *config.Snapshot { return c }}
	if change != nil {
		change(&w.config)
	}
	server, err := control.Listen(w.config)
	if err != nil {
		t.Fatal(err)
	}
	w.server = server
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	if w.Client, err = control.Dial(w.config.Socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Client.Close() })
	return w
}

// patience ends tests that would wait for ever.
const patience = 20 * time.Second

func (w *world) up(t *testing.T, req *controlv1.UpRequest) (names []string, v *controlv1.Verdict, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := w.Up(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	for {
		r, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return names, v, nil
		case err != nil:
			return names, v, err
		case r.GetVerdict() != nil:
			v = r.GetVerdict()
		default:
			names = append(names, r.GetEvent().Name)
		}
	}
}

// requested waits for the next audit event and returns it in one line.
func (w *world) requested(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := w.audit.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	e := r.Event.(event.ControlRequested)
	if e.UID != uint32(os.Geteuid()) || e.PID != int32(os.Getpid()) {
		t.Errorf("told as uid %d, pid %d, want %d, %d", e.UID, e.PID, os.Geteuid(), os.Getpid())
	}
	return e.Verb + " " + e.Target + ": " + e.Result
}

func TestUpFollowsTheAttemptUntilTheChildIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.engine.script = []event.Event{event.IKEInitiated{IKE: initiated()}, event.SuiteChosen{Scope: "ike", Suite: suite},
		event.IKEEstablished{IKE: known(initiated(), west)}, event.ChildEstablished{Child: lan()}}
	w.engine.after = []machine.Info{established()}
	names, v, err := w.up(t, &controlv1.UpRequest{Connection: "west"})
	if err != nil || v.GetResult() != controlv1.Verdict_UP || v.GetSa().GetChildren()[0].Name != "lan" {
		t.Fatalf("got %v, %v", v, err)
	}
	want := []string{"ike_sa.initiated", "negotiation.suite_chosen", "ike_sa.established", "child_sa.established"}
	if !slices.Equal(names, want) {
		t.Errorf("events %v, want %v", names, want)
	}
	if got := w.requested(t); got != "up west: up" {
		t.Errorf("audit: %s", got)
	}
}

func TestUpExplainsAFailure(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]string{"silent_peer initiator": "silent_peer", "selectors_refused initiator": "selectors_refused", "auth_refused initiator": "auth_refused"} {
		w := newWorld(t, nil)
		w.engine.script = stories[name][0].events
		_, v, err := w.up(t, &controlv1.UpRequest{Connection: "west"})
		if err != nil || v.GetResult() != controlv1.Verdict_FAILED || v.GetExplanation().GetCode() != code || v.GetExplanation().GetRemedy().GetLine() == 0 {
			t.Errorf("%s: got %v, %v", name, v, err)
		}
		if got := w.requested(t); got != "up west: failed: "+code {
			t.Errorf("audit: %s", got)
		}
	}
}

func TestUpTimesOutWithWhatIsKnownSoFar(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.engine.script = []event.Event{event.IKEInitiated{IKE: initiated()}, event.Retransmitted{Exchange: "IKE_SA_INIT", Attempt: 2}}
	_, v, err := w.up(t, &controlv1.UpRequest{Connection: "west", TimeoutMs: 50})
	if err != nil || v.GetResult() != controlv1.Verdict_TIMED_OUT {
		t.Fatalf("got %v, %v", v, err)
	}
	if want := "it is being tried: we sent 3 packets and wait for an answer from 192.0.2.2:500"; v.Explanation.Sentence != want {
		t.Errorf("got %s", v.Explanation.Sentence)
	}
}

func TestUpDoesNotTouchWhatIsUpOrUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.engine.sas = []machine.Info{established()}
	_, v, err := w.up(t, &controlv1.UpRequest{Connection: "west"})
	if err != nil || v.GetResult() != controlv1.Verdict_ALREADY_UP || v.IkeUid != uid1.String() {
		t.Errorf("up: got %v, %v", v, err)
	}
	trying := established()
	trying.State, trying.Established, trying.Children = "init sent", time.Time{}, nil
	w.engine.sas = []machine.Info{trying}
	_, v, err = w.up(t, &controlv1.UpRequest{Connection: "west", NoWait: true})
	if err != nil || v.GetResult() != controlv1.Verdict_STARTED || v.IkeUid != uid1.String() {
		t.Errorf("under way: got %v, %v", v, err)
	}
	if w.engine.begun != 0 {
		t.Errorf("%d attempts were begun", w.engine.begun)
	}
}

// A child that is missing is made in the IKE SA that is up.
func TestUpAddsAChildToWhatIsUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	bare := established()
	bare.Children = nil
	w.engine.sas = []machine.Info{bare}
	w.engine.script = []event.Event{event.ChildEstablished{Child: lan()}}
	names, v, err := w.up(t, &controlv1.UpRequest{Connection: "west", Children: []string{"lan"}})
	if err != nil || v.GetResult() != controlv1.Verdict_UP || !slices.Equal(names, []string{"child_sa.established"}) {
		t.Errorf("got %v, %v, %v", names, v, err)
	}
}

func TestUpRefusesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, tt := range []struct {
		req  *controlv1.UpRequest
		code codes.Code
		want string
	}{
		{&controlv1.UpRequest{Connection: "wst"}, codes.NotFound, `control: there is no connection "wst": there are west, any`},
		{&controlv1.UpRequest{Connection: "west", Children: []string{"wan"}}, codes.NotFound, `control: connection "west" has no child "wan": there is lan`},
	} {
		_, _, err := w.up(t, tt.req)
		if status.Code(err) != tt.code || status.Convert(err).Message() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
	w.engine.err = errors.New(`engine: cannot initiate "any": it names no remote address`)
	if _, _, err := w.up(t, &controlv1.UpRequest{Connection: "any"}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("got %v", err)
	}
}

func TestDownEndsWhatIsNamed(t *testing.T) {
	t.Parallel()
	ike, child := uid1.String(), lan().UID.String()
	for _, tt := range []struct {
		req   *controlv1.DownRequest
		ended string
		told  string
	}{
		{&controlv1.DownRequest{Connection: "west", Reason: "maintenance"}, ike, ike + ` "" "maintenance"`},
		{&controlv1.DownRequest{Connection: "west", Child: "lan"}, child, ike + ` "lan" ""`},
		{&controlv1.DownRequest{Child: "lan"}, child, ike + ` "lan" ""`},
		{&controlv1.DownRequest{Sa: ike}, ike, ike + ` "" ""`},
		{&controlv1.DownRequest{Sa: child}, child, ike + ` "lan" ""`},
	} {
		w := newWorld(t, nil)
		w.engine.sas = []machine.Info{established()}
		out, err := w.Down(context.Background(), tt.req)
		if err != nil || len(out.Pending) > 0 || !slices.Equal(out.Ended, []string{tt.ended}) || !slices.Equal(w.engine.told, []string{tt.told}) {
			t.Errorf("%v: got %v, %v, told %v", tt.req, out, err, w.engine.told)
		}
	}
}

func TestDownReportsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.engine.sas = []machine.Info{established()}
	w.engine.sas[0].Children = nil
	w.engine.bus = bus.New() // nobody hears of the end
	out, err := w.Down(context.Background(), &controlv1.DownRequest{Connection: "west", TimeoutMs: 20})
	if err != nil || !slices.Equal(out.Pending, []string{uid1.String()}) {
		t.Errorf("got %v, %v", out, err)
	}
}

func TestDownRefusesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.engine.sas = []machine.Info{established()}
	for _, tt := range []struct {
		req  *controlv1.DownRequest
		code codes.Code
	}{
		{&controlv1.DownRequest{}, codes.InvalidArgument},
		{&controlv1.DownRequest{Connection: "wst"}, codes.NotFound},
		{&controlv1.DownRequest{Child: "wan"}, codes.NotFound},
		{&controlv1.DownRequest{Sa: "ffff"}, codes.NotFound},
		{&controlv1.DownRequest{Sa: "0193"}, codes.InvalidArgument}, // both the IKE SA and its child
		{&controlv1.DownRequest{Sa: uid1.String(), Connection: "west"}, codes.InvalidArgument},
		{&controlv1.DownRequest{Connection: "any"}, codes.OK}, // it is not up: nothing to do
	} {
		if _, err := w.Down(context.Background(), tt.req); status.Code(err) != tt.code {
			t.Errorf("%v: got %v, want %v", tt.req, err, tt.code)
		}
	}
	if len(w.engine.told) > 0 {
		t.Errorf("told %v", w.engine.told)
	}
}

func TestStatusTellsWhyAConnectionIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *control.Config) {
		c.State = func() control.State {
			return control.State{Listen: []string{"0.0.0.0:500"}, NATS: control.NATS{Mode: "embedded", Connected: true, Waiting: 3}, Backend: control.Backend{Name: "xfrm", Reason: "the kernel has ESP"}}
		}
		c.Plugins = func() []control.Plugin {
			return []control.Plugin{{Name: "ke", State: "up"}, {Name: "sa", State: "degraded"}}
		}
	})
	publish(w.bus, stories["wrong_key responder"])
	out, err := w.Status(context.Background(), &controlv1.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	c := out.Connections[0]
	if c.State != "down" || c.LastCode != "wrong_key" || out.Counts.Plugins != 2 || out.Counts.PluginsUp != 1 || out.Backend.Name != "xfrm" || out.Nats.Waiting != 3 {
		t.Errorf("got %v", out)
	}
	w.engine.mu.Lock()
	w.engine.sas = []machine.Info{established()}
	w.engine.mu.Unlock()
	if out, err = w.Status(context.Background(), &controlv1.StatusRequest{}); err != nil {
		t.Fatal(err)
	}
	if c = out.Connections[0]; c.State != "up" || c.LastCode != "" || !c.Children[0].Up || out.Counts.ChildSas != 1 || out.Connections[1].State != "down" {
		t.Errorf("got %v", out)
	}
}

func TestShowSAFindsByConnectionAndByUID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *control.Config) {
		c.Traffic = func(context.Context, machine.Info, event.ChildSA) (event.Traffic, error) {
			return event.Traffic{BytesIn: 7}, nil
		}
	})
	w.engine.sas = []machine.Info{established()}
	for _, name := range []string{"west", uid1.String(), lan().UID.String()} {
		out, err := w.ShowSA(context.Background(), &controlv1.ShowSARequest{Sa: name})
		if err != nil || len(out.Sas) != 1 || out.Sas[0].Children[0].Traffic.BytesIn != 7 {
			t.Errorf("%s: got %v, %v", name, out, err)
		}
	}
	for name, want := range map[string]string{
		"any": "control: connection \"any\" has no IKE SA: try `parley explain any`",
		"ff":  "control: there is no SA and no connection \"ff\": see `parley sa list`",
	} {
		if _, err := w.ShowSA(context.Background(), &controlv1.ShowSARequest{Sa: name}); status.Code(err) != codes.NotFound || status.Convert(err).Message() != want {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestEventsJoinPastAndPresentWithoutHoleOrRepetition(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var publisher sync.WaitGroup
	publisher.Go(func() { // all the time, so that some events come between subscribing and looking back
		for i := 0; ctx.Err() == nil; i++ {
			w.bus.Publish(event.Record{Event: event.PluginStarted{Plugin: event.PluginRef{Name: fmt.Sprint(i)}}})
			time.Sleep(20 * time.Microsecond)
		}
	})
	for range 30 {
		checkJoin(t, w)
	}
	cancel()
	publisher.Wait()
}

// checkJoin reads some past and some new events and wants their numbers in order.
func checkJoin(t *testing.T, w *world) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	const past = 20
	stream, err := w.Events(ctx, &controlv1.EventsRequest{Names: []string{"plugin.*"}, Backlog: past})
	if err != nil {
		t.Fatal(err)
	}
	before := -1
	for range 3 * past {
		e, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if _, err := fmt.Sscanf(e.Text, "plugin %d runs", &n); err != nil || before >= 0 && n != before+1 {
			t.Fatalf("after %d: %q, %v", before, e.Text, err)
		}
		before = n
	}
}

func TestEventsAreFiltered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	publish(w.bus, stories["silent_peer initiator"])
	publish(w.bus, []story{{event.UID{}, "", []event.Event{event.DaemonReady{Listen: []string{"0.0.0.0:500"}}}}})
	for _, tt := range []struct {
		req  *controlv1.EventsRequest
		want string
	}{
		{&controlv1.EventsRequest{}, "ike_sa.initiated liveness.retransmit_timeout ike_sa.failed daemon.ready"},
		{&controlv1.EventsRequest{Severity: "warning"}, "liveness.retransmit_timeout ike_sa.failed"},
		{&controlv1.EventsRequest{Names: []string{"ike_sa.*", "daemon.ready"}}, "ike_sa.initiated ike_sa.failed daemon.ready"},
		{&controlv1.EventsRequest{Names: []string{"*retransmit"}, Severity: "debug", Connection: "west"}, "liveness.retransmit liveness.retransmit liveness.retransmit"},
		{&controlv1.EventsRequest{Connection: "any"}, ""},
		{&controlv1.EventsRequest{Backlog: 2}, "ike_sa.failed daemon.ready"},
		{&controlv1.EventsRequest{Since: timestamppb.New(begin.Add(500 * time.Millisecond))}, "ike_sa.failed"},
	} {
		tt.req.NoFollow = true
		if tt.req.Backlog == 0 && tt.req.Since == nil {
			tt.req.Backlog = 100
		}
		if len(tt.req.Names) == 0 && tt.req.Connection == "" {
			tt.req.Names = []string{"ike_sa.*", "liveness.*", "daemon.*"} // not who asks
		}
		stream, err := w.Events(context.Background(), tt.req)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for {
			e, err := stream.Recv()
			if err != nil {
				break
			}
			got = append(got, e.Name)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%v: got %v, want %s", tt.req, got, tt.want)
		}
	}
	for _, req := range []*controlv1.EventsRequest{{Severity: "loud"}, {Names: []string{"["}}} {
		stream, err := w.Events(context.Background(), req)
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: got %v", req, err)
		}
	}
}

func TestCloseEndsWhoeverFollows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	other := w.config
	other.Socket = filepath.Join(t.TempDir(), "other.sock")
	server, err := control.Listen(other)
	if err != nil {
		t.Fatal(err)
	}
	client, err := control.Dial(other.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	stream, err := client.Events(context.Background(), &controlv1.EventsRequest{Severity: "critical"})
	if err != nil {
		t.Fatal(err)
	}
	w.requested(t) // it has begun
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestEveryRequestIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	ctx := context.Background()
	_, _ = w.Version(ctx, &controlv1.VersionRequest{})
	_, _ = w.ListSAs(ctx, &controlv1.ListSAsRequest{Connection: "wst"})
	_, _ = w.Explain(ctx, &controlv1.ExplainRequest{Target: "west\x1b[31m"})
	_, _ = w.Client.Plugins(ctx, &controlv1.PluginsRequest{})
	for _, want := range []string{"version : ok", "listsas wst: notfound", `explain west\x1b[31m: notfound`, "plugins : ok"} {
		if got := w.requested(t); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestManyClientsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.engine.sas = []machine.Info{established()}
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			c, err := control.Dial(w.config.Socket)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for range 10 {
				if _, err := c.Status(context.Background(), &controlv1.StatusRequest{}); err != nil {
					t.Error(err)
				}
				publish(w.bus, stories["wrong_key responder"])
				if _, err := c.Explain(context.Background(), &controlv1.ExplainRequest{Target: "west"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func TestASocketThatADeadDaemonLeftIsReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	if _, err := control.Dial(path); err == nil || !strings.Contains(err.Error(), "parleyd has ended and left its socket") {
		t.Errorf("a dead socket: %v", err)
	}
	s, err := control.Listen(control.Config{Socket: path, Bus: bus.New()})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != control.SocketMode {
		t.Errorf("mode %v, %v", info, err)
	}
	if _, err := control.Listen(control.Config{Socket: path, Bus: bus.New()}); !errors.Is(err, control.ErrInUse) {
		t.Errorf("a second daemon: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket stayed: %v", err)
	}
}

func TestASocketThatSomebodyElseServesIsLeftAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := control.Listen(control.Config{Socket: path, Bus: bus.New()}); !errors.Is(err, control.ErrInUse) {
		t.Errorf("got %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Listen(control.Config{Socket: file, Bus: bus.New()}); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("a file: %v", err)
	}
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Error("the file is gone")
	}
}

func TestAnUnreachableDaemonSaysWhatToDo(t *testing.T) {
	t.Parallel()
	_, err := control.Dial("/nonexistent/parley.sock")
	var u *control.UnreachableError
	const want = "cannot reach parleyd at /nonexistent/parley.sock: no such file or directory: is parleyd running? another socket is named with --socket"
	if !errors.As(err, &u) || err.Error() != want {
		t.Errorf("got %v", err)
	}
	_, err = control.Dial(t.TempDir())
	if !errors.As(err, &u) || !strings.Contains(err.Error(), "it is no socket; name the daemon's with --socket") {
		t.Errorf("got %v", err)
	}
}
