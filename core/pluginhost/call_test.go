package pluginhost

import (
	"bytes"
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// carriers runs a test over both carriers.
func carriers(t *testing.T, f func(t *testing.T, cfg Config)) {
	t.Helper()
	for name, grpcOnly := range map[string]bool{"framed": false, "grpc": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := quick
			cfg.GRPCOnly = grpcOnly
			f(t, cfg)
		})
	}
}

func TestEveryKindAnswersOverBothCarriers(t *testing.T) {
	t.Parallel()
	carriers(t, func(t *testing.T, cfg Config) {
		cfg.DefaultBackend = "memory"
		w := started(t, cfg, fixture(t, "empty", []string{"cred"}, "cred"), fixture(t, "all", []string{"ke", "auth", "cred", "sa"}, "all"))
		if want := map[bool]string{false: "framed", true: "grpc"}[cfg.GRPCOnly]; w.Status()[1].Carrier != want {
			t.Errorf("carrier %q, want %q", w.Status()[1].Carrier, want)
		}
		testKE(t, w)
		testAuth(t, w)
		testSA(t, w)
	})
}

func testKE(t *testing.T, w *world) {
	t.Helper()
	begun, ok := w.call(machine.KEInitiate{Method: echoMethod}).Result.(machine.KEInitiated)
	if !ok || len(begun.Public) != publicLen || string(begun.State) != "state" {
		t.Errorf("initiate gave %d public octets and state of %d", len(begun.Public), len(begun.State))
	}
	finished := w.call(machine.KEFinish{Method: echoMethod, State: begun.State, Peer: []byte("peer")})
	if got, ok := finished.Result.(machine.KEFinished); !ok || string(got.Secret) != "statepeer" {
		t.Errorf("finish gave %+v", finished)
	}
	reply := w.do(doEcho, 'x')
	if got, ok := reply.Result.(machine.KEResponded); !ok || got.Secret[1] != 'x' {
		t.Errorf("respond gave %+v", reply)
	}
	reply = w.do(doRefuse)
	if reply.Err == nil || reply.Err.Kind != machine.Invalid || strings.Contains(reply.Err.Text, "\n") {
		t.Errorf("a refused value gave %+v", reply.Err)
	}
	reply = w.call(machine.KEInitiate{Method: 2})
	if reply.Err == nil || reply.Err.Kind != machine.Unsupported || !strings.Contains(reply.Err.Text, "key exchange method 2") {
		t.Errorf("a method that nobody has gave %+v", reply.Err)
	}
}

// testAuth also proves that stores are asked in the catalogue's order until one has the key: the first has none.
func testAuth(t *testing.T, w *world) {
	t.Helper()
	west := machine.Identity{Type: 2, Data: []byte("west")}
	east := machine.Identity{Type: 2, Data: []byte("east")}
	sign := machine.Sign{Auth: "psk", Local: east, Remote: west, PRF: 5, Octets: []byte("ours")}
	verify := machine.Verify{Auth: "psk", Local: east, Remote: west, PRF: 5, Octets: []byte("theirs"), Method: 2, Data: []byte("keytheirs")}
	signed, ok := w.call(sign).Result.(machine.Signed)
	if !ok || string(signed.Data) != "keyours" || signed.Method != 2 {
		t.Errorf("sign gave %+v", signed)
	}
	both, ok := w.call(machine.Authenticate{Verify: verify, Sign: sign}).Result.(machine.Authenticated)
	if !ok || string(both.Verified.Remote.Data) != "west" || string(both.Signed.Data) != "keyours" {
		t.Errorf("authenticate gave %+v", both)
	}
	verify.Data = []byte("wrong")
	if reply := w.call(machine.Authenticate{Verify: verify, Sign: sign}); reply.Err == nil || reply.Err.Kind != machine.Refused {
		t.Errorf("a wrong proof gave %+v", reply)
	}
	sign.Remote = east
	reply := w.call(sign)
	if reply.Err == nil || reply.Err.Kind != machine.NoCredential {
		t.Fatalf("an unknown identity gave %+v", reply)
	}
	if !strings.Contains(reply.Err.Text, "east among 0; ") || !strings.Contains(reply.Err.Text, "east among 1") {
		t.Errorf("the error does not say where was looked: %s", reply.Err.Text)
	}
}

func testSA(t *testing.T, w *world) {
	t.Helper()
	ctx := context.Background()
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	if spi, ok := w.call(machine.AllocateSPI{Local: a, Remote: b}).Result.(machine.AllocatedSPI); !ok || spi.SPI != 256 {
		t.Errorf("allocate gave %+v", spi)
	}
	child := machine.ChildSA{
		UID: event.UID{1, 2}, Backend: "memory", Conn: "west", Name: "lan", SPIIn: 300, SPIOut: 400, Local: a, Remote: b, Encap: true, LocalPort: 4500,
		Encr: 20, KeyBits: 128, EncrIn: bytes.Repeat([]byte{1}, 20), EncrOut: bytes.Repeat([]byte{2}, 20), ESN: true, ReplayWindow: 64,
		LocalTS: []machine.Selector{{Protocol: 6, EndPort: 65535, Start: a, End: a}},
	}
	if r := w.call(machine.InstallChild{Child: child}); r.Result != (machine.Installed{}) {
		t.Errorf("install gave %+v", r)
	}
	list, err := w.List(ctx, "memory")
	if err != nil || len(list) != 1 || list[0].UID != child.UID || list[0].Local != a || list[0].LocalTS[0] != child.LocalTS[0] {
		t.Errorf("list gave %+v, %v", list, err)
	}
	if len(list) == 1 && list[0].EncrIn != nil {
		t.Error("a listed child carries its keys")
	}
	if r, ok := w.call(machine.QueryUsage{Child: child}).Result.(machine.Usage); !ok || r.Traffic.BytesOut != 9 {
		t.Errorf("usage gave %+v", r)
	}
	if r, ok := w.call(machine.RemoveChild{Child: child}).Result.(machine.Removed); !ok || r.Traffic.BytesIn != 7 {
		t.Errorf("remove gave %+v", r)
	}
	if c := w.Probe(ctx)["memory"]; !c.Usable || c.Algorithms[0].ID != 20 {
		t.Errorf("probe gave %+v", c)
	}
}

func TestTwoAuthenticatorsShareOneAuthentication(t *testing.T) {
	t.Parallel()
	w := started(t, quick, fixture(t, "all", []string{"ke", "auth", "cred", "sa"}, "all"), fixture(t, "other", []string{"auth"}, "auth2"))
	west := machine.Identity{Type: 2, Data: []byte("west")}
	op := machine.Authenticate{
		Verify: machine.Verify{Auth: "other", Remote: west, Octets: []byte("theirs"), Data: []byte("keytheirs")},
		Sign:   machine.Sign{Auth: "psk", Remote: west, Octets: []byte("ours")},
	}
	got, ok := w.call(op).Result.(machine.Authenticated)
	if !ok || string(got.Signed.Data) != "keyours" || string(got.Verified.Remote.Data) != "west" {
		t.Errorf("got %+v", got)
	}
	op.Verify.Data = []byte("bad")
	if r := w.call(op); r.Err == nil || r.Err.Kind != machine.Refused || r.Result != nil {
		t.Errorf("a wrong proof gave %+v", r)
	}
}

func TestALyingPluginCausesInternalErrorsOnly(t *testing.T) {
	t.Parallel()
	w := started(t, quick, fixture(t, "liar", []string{"ke", "sa"}, "liar"))
	for name, op := range map[string]machine.Op{
		"a short public value": machine.KEInitiate{Method: liarMethod},
		"a reserved SPI":       machine.AllocateSPI{Backend: "liar"},
	} {
		if r := w.call(op); r.Err == nil || r.Err.Kind != machine.Internal || !strings.Contains(r.Err.Text, "plugin liar") {
			t.Errorf("%s gave %+v", name, r)
		}
	}
	if list, err := w.List(context.Background(), "liar"); err == nil {
		t.Errorf("an impossible child was listed: %+v", list)
	}
}

func TestAPanicFailsOneCallAndNotTheProcess(t *testing.T) {
	t.Parallel()
	w := started(t, quick, fixture(t, "ke", []string{"ke"}, "ke"))
	pid := w.Status()[0].PID
	if r := w.do(doPanic); r.Err == nil || r.Err.Kind != machine.Internal || !strings.Contains(r.Err.Text, "panicked") {
		t.Errorf("got %+v", r)
	}
	if r := w.do(doEcho); r.Err != nil || w.Status()[0].PID != pid {
		t.Errorf("after the panic: %+v, process %d, was %d", r, w.Status()[0].PID, pid)
	}
	w.await("the log of the panic", func() bool { return w.logs.FilterMessageSnippet("panicked").Len() == 1 })
	if e := w.logs.FilterMessageSnippet("panicked").All()[0]; e.Level != zap.ErrorLevel || e.ContextMap()["plugin"] != "ke" {
		t.Errorf("log entry %+v", e)
	}
}

func TestRequestsWithOneKeyKeepTheirOrder(t *testing.T) {
	t.Parallel()
	carriers(t, func(t *testing.T, cfg Config) {
		w := started(t, cfg, fixture(t, "ke", []string{"ke"}, "ke"))
		var requests []machine.Request
		for i := range byte(20) {
			r := respond(machine.Ticket(i), doOrdered, i)
			r.Call.Key = 77
			requests = append(requests, r)
		}
		w.Submit(requests)
		last := w.reply(19).Result.(machine.KEResponded).Secret
		if len(last) != 20 {
			t.Fatalf("the last call saw %d before it, want all 20", len(last))
		}
		for i := range last {
			if last[i] != byte(i) {
				t.Fatalf("order %v", []byte(last))
			}
		}
	})
}

func TestAFullWindowFailsAtOnce(t *testing.T) {
	t.Parallel()
	cfg := quick
	cfg.Window = 8
	w := started(t, cfg, fixture(t, "ke", []string{"ke"}, "ke"))
	var requests []machine.Request
	for i := range 20 {
		requests = append(requests, respond(machine.Ticket(i), doSlow))
	}
	w.Submit(requests)
	w.await("all returns", func() bool { return w.returned() == 20 })
	overloaded := 0
	for i := range machine.Ticket(20) {
		if r := w.reply(i); r.Err != nil && r.Err.Kind == machine.Overloaded {
			overloaded++
		} else if r.Err != nil {
			t.Errorf("ticket %d: %v", i, r.Err)
		}
	}
	if overloaded != 12 {
		t.Errorf("%d calls were turned away with a window of 8 and 20 calls", overloaded)
	}
	if r := w.do(doEcho); r.Err != nil {
		t.Errorf("after the rush: %v", r.Err)
	}
}

func TestSilenceFreesTheSlot(t *testing.T) {
	t.Parallel()
	cfg := quick
	cfg.Window = 1
	w := started(t, cfg, fixture(t, "raw", []string{"ke"}, "raw-mute"))
	r := respond(1, doEcho)
	r.Call.By = time.Now().Add(20 * time.Millisecond)
	w.Submit([]machine.Request{r})
	w.await("the slot", func() bool { s := w.Status()[0]; return s.InFlight == 0 && s.Unanswered == 1 })
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.got[1] != 0 {
		t.Errorf("the call past its deadline was answered with %+v", w.last[1])
	}
}

func TestALateReplyIsDropped(t *testing.T) {
	t.Parallel()
	w := started(t, quick, fixture(t, "ke", []string{"ke"}, "ke"))
	r := respond(1, doSlow)
	r.Call.By = time.Now().Add(5 * time.Millisecond)
	w.Submit([]machine.Request{r})
	w.await("the late reply", func() bool { return w.Status()[0].Late == 1 })
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.got[1] != 0 {
		t.Errorf("the late reply was delivered: %+v", w.last[1])
	}
}

func TestCancelFreesTheSlotAtOnce(t *testing.T) {
	t.Parallel()
	cfg := quick
	cfg.Window = 1
	w := started(t, cfg, fixture(t, "ke", []string{"ke"}, "ke"))
	w.Submit([]machine.Request{respond(1, doSlow)})
	w.Cancel(1, 1)
	if got := w.Status()[0].InFlight; got != 0 {
		t.Errorf("%d calls in flight after the cancellation", got)
	}
	w.await("the late reply", func() bool { return w.Status()[0].Late == 1 })
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.got[1] != 0 {
		t.Error("a cancelled call was answered")
	}
}

func TestACallWhoseDeadlinePassedIsNotMade(t *testing.T) {
	t.Parallel()
	w := started(t, quick, fixture(t, "ke", []string{"ke"}, "ke"))
	r := respond(1, doEcho)
	r.Call.By = time.Now().Add(-time.Second)
	w.Submit([]machine.Request{r})
	if got := w.reply(1); got.Err == nil || got.Err.Kind != machine.Unavailable {
		t.Errorf("got %+v", got)
	}
}

// A store that answers late must not keep its asker's place for ever.
func TestALateReplyToACallOfOurOwnEndsItOnce(t *testing.T) {
	t.Parallel()
	s := newSession("cred", 4, nil)
	var answers []*machine.CallError
	s.pending[1] = &call{by: time.Now().Add(-time.Millisecond), done: func(f *basev1.Frame, err *machine.CallError) {
		if f != nil {
			t.Error("the late reply was delivered")
		}
		answers = append(answers, err)
	}}
	s.receive([]*basev1.Frame{{Id: 1, Reply: true, Body: []byte("late")}, {Id: 1, Reply: true}})
	s.sweep()
	if len(answers) != 1 || answers[0] == nil || answers[0].Kind != machine.Unavailable {
		t.Errorf("answers %v", answers)
	}
}

func TestWithoutAUsableBackendCallsFailWithTheReason(t *testing.T) {
	t.Parallel()
	w := started(t, quick, fixture(t, "all", []string{"ke", "auth", "cred", "sa"}, "all"))
	w.SetDefaultBackend("", "the kernel has no ESP; load esp4")
	reply := w.call(machine.AllocateSPI{})
	if reply.Err == nil || reply.Err.Kind != machine.Unsupported || !strings.Contains(reply.Err.Text, "no SA backend can be used here: the kernel has no ESP; load esp4") {
		t.Errorf("got %+v", reply)
	}
}
