package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/ke"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	"github.com/parley-ike/parley/sdk/sdktest"
	"github.com/parley-ike/parley/sdk/secret"
	"github.com/parley-ike/parley/sdk/serve"
)

// TestMain lets the test binary be a plugin that a person runs by hand.
func TestMain(m *testing.M) {
	if os.Getenv("SERVE_TEST_PLUGIN") != "" {
		serve.Main(serve.Info{Name: "acme-ke", Version: "1.2.0", Vendor: "ACME"}, serve.KE("acme", &exchange{}))
	}
	goleak.VerifyTestMain(m)
}

func byHand(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	var out, problems bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "SERVE_TEST_PLUGIN=1"), &out, &problems
	err = cmd.Run()
	return out.String(), problems.String(), err
}

func TestDescribePrintsTheManifest(t *testing.T) {
	t.Parallel()
	stdout, stderr, err := byHand(t, "describe")
	var manifest struct {
		Name, Version, Vendor string
		Provides              []struct {
			Kind, Name string
			Methods    []int
		}
	}
	if err != nil || json.Unmarshal([]byte(stdout), &manifest) != nil {
		t.Fatalf("%v\n%s%s", err, stdout, stderr)
	}
	if manifest.Name != "acme-ke" || manifest.Version != "1.2.0" || len(manifest.Provides) != 1 || manifest.Provides[0].Methods[0] != 1024 {
		t.Errorf("manifest %+v", manifest)
	}
}

func TestByHandAPluginSaysWhatItIs(t *testing.T) {
	t.Parallel()
	stdout, stderr, err := byHand(t)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || stdout != "" || !strings.Contains(stderr, "is a plugin for the Parley IKE daemon (acme-ke 1.2.0)") {
		t.Errorf("%v\n%s%s", err, stdout, stderr)
	}
}

func TestServicesMustBeDistinctAndThere(t *testing.T) {
	t.Parallel()
	for want, items := range map[string][]serve.Item{
		"no service given":         {serve.Info{Name: "x"}},
		`"a" is given twice`:       {serve.KE("a", &exchange{}), serve.KE("a", &exchange{})},
		"a name and an implementa": {serve.KE("", &exchange{})},
	} {
		if _, err := serve.New(items...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// exchange does what the first octet of the peer's value says.
type exchange struct {
	running, most atomic.Int32
	config        atomic.Pointer[string]
	env           serve.Env
	drained       atomic.Bool
	sick          bool
}

func (e *exchange) Methods() []ke.Method { return []ke.Method{{ID: 1024, Name: "ACME"}} }

func (e *exchange) Initiate(context.Context, uint16) (secret.Bytes, []byte, error) {
	return secret.Bytes("state"), []byte("public"), nil
}

func (e *exchange) Finish(_ context.Context, _ uint16, state secret.Bytes, peer []byte) (secret.Bytes, error) {
	return append(state.Clone(), peer...), nil
}

func (e *exchange) Respond(ctx context.Context, _ uint16, peer []byte) ([]byte, secret.Bytes, error) {
	switch string(peer) {
	case "panic":
		panic("told to")
	case "deadline":
		deadline, ok := ctx.Deadline()
		if !ok || ctx.Err() != nil || time.Until(deadline) > time.Minute {
			return nil, nil, fmt.Errorf("deadline %v %v", deadline, ok)
		}
		<-ctx.Done()
		return nil, nil, ctx.Err()
	case "together":
		n := e.running.Add(1)
		for ; n > e.most.Load(); n = e.running.Load() {
			e.most.Store(n)
		}
		time.Sleep(50 * time.Millisecond)
		e.running.Add(-1)
	case "huge":
		return make([]byte, 13<<20), secret.Bytes("x"), nil
	case "long error":
		return nil, nil, fmt.Errorf("%w: %s", sdk.ErrInvalid, strings.Repeat("é", 1000))
	}
	return []byte("public"), secret.Bytes(peer).Clone(), nil
}

func (e *exchange) Schema() string { return `{"type":"object"}` }

func (e *exchange) Validate(config []byte) []string {
	if bytes.Contains(config, []byte("bad")) {
		return []string{"bad is bad; use good"}
	}
	return nil
}

func (e *exchange) Configure(_ context.Context, env serve.Env, config []byte) error {
	text := string(config)
	e.config.Store(&text)
	e.env = env
	return nil
}

func (e *exchange) Drain(_ context.Context, remove bool) { e.drained.Store(remove) }

func (e *exchange) Canary(context.Context) error {
	if e.sick {
		panic("so sick that it panics")
	}
	return nil
}

func TestThreeVerbsCrossTheCodec(t *testing.T) {
	t.Parallel()
	p := sdktest.Serve(t, serve.KE("acme", &exchange{})).KE("acme")
	state, public, err := p.Initiate(t.Context(), 1024)
	if err != nil || string(state) != "state" || string(public) != "public" {
		t.Errorf("%q, %v", public, err)
	}
	if shared, err := p.Finish(t.Context(), 1024, state, []byte("!")); err != nil || !shared.Equal([]byte("state!")) {
		t.Errorf("finish: %v", err)
	}
	if m := p.Methods(); len(m) != 1 || m[0].ID != 1024 || m[0].Name != "ACME" {
		t.Errorf("methods %+v", m)
	}
}

func TestErrorsKeepTheirKind(t *testing.T) {
	t.Parallel()
	c := sdktest.Serve(t, serve.KE("acme", &exchange{}), serve.Cred("file", failing{}))
	for i, want := range []error{sdk.ErrUnavailable, sdk.ErrOverloaded, sdk.ErrRefused, sdk.ErrNoCredential, sdk.ErrUnsupported, sdk.ErrInvalid} {
		_, err := c.Cred("file").Find(t.Context(), cred.Query{Purpose: cred.Purpose(i)})
		if !errors.Is(err, want) || !strings.Contains(err.Error(), "of the store") {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	_, _, err := c.KE("acme").Respond(t.Context(), 1024, []byte("long error"))
	if !errors.Is(err, sdk.ErrInvalid) || len(err.Error()) > 600 {
		t.Errorf("an error of %d octets: %v", len(err.Error()), err)
	}
	if _, _, err := c.KE("other").Initiate(t.Context(), 1024); !errors.Is(err, sdk.ErrUnsupported) {
		t.Errorf("a service that is not there: %v", err)
	}
	if _, _, err := c.KE("acme").Respond(t.Context(), 1024, []byte("huge")); err == nil {
		t.Error("an answer above the limit arrived")
	}
}

// failing fails with the error that the purpose numbers.
type failing struct{}

func (failing) Find(_ context.Context, q cred.Query) ([]cred.Ref, error) {
	all := []error{sdk.ErrUnavailable, sdk.ErrOverloaded, sdk.ErrRefused, sdk.ErrNoCredential, sdk.ErrUnsupported, sdk.ErrInvalid}
	return nil, fmt.Errorf("of the store: %w", all[q.Purpose])
}

func (failing) MAC(context.Context, cred.Query, []cred.MAC) ([][]byte, error) { return nil, nil }

func TestAPanicIsAnErrorOfOneCall(t *testing.T) {
	t.Parallel()
	p := sdktest.Serve(t, serve.KE("acme", &exchange{})).KE("acme")
	if _, _, err := p.Respond(t.Context(), 1024, []byte("panic")); err == nil || !strings.Contains(err.Error(), "panicked: told to") {
		t.Errorf("got %v", err)
	}
	if _, _, err := p.Respond(t.Context(), 1024, []byte("x")); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func TestTheBudgetEndsTheContext(t *testing.T) {
	t.Parallel()
	p := sdktest.Serve(t, serve.KE("acme", &exchange{})).KE("acme")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, _, err := p.Respond(ctx, 1024, []byte("deadline"))
	if err == nil || strings.Contains(err.Error(), "deadline 0001") || time.Since(began) > 10*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

func TestCallsRunAtTheSameTime(t *testing.T) {
	t.Parallel()
	e := &exchange{}
	p := sdktest.Serve(t, serve.KE("acme", e)).KE("acme")
	const calls = 600 // more than workers are kept
	errs := make(chan error, calls)
	for range calls {
		go func() {
			_, _, err := p.Respond(t.Context(), 1024, []byte("together"))
			errs <- err
		}()
	}
	for range calls {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := e.most.Load(); got < 100 {
		t.Errorf("at most %d calls ran at the same time", got)
	}
}

func TestConfigurationIsValidatedAndApplied(t *testing.T) {
	t.Parallel()
	e := &exchange{}
	c := sdktest.Serve(t, serve.KE("acme", e), serve.Cred("file", failing{}))
	for _, bad := range []struct{ kind, name, json, want string }{
		{"ke", "acme", `{"bad":1}`, `ke "acme": bad is bad; use good`},
		{"ke", "nobody", `{}`, "provides no such service"},
		{"cred", "file", `{"x":1}`, "takes no configuration"},
	} {
		r, err := c.Base.Configure(t.Context(), &basev1.ConfigureRequest{Services: []*basev1.ServiceConfig{sdktest.Config(bad.kind, bad.name, bad.json)}})
		if err != nil || len(r.GetProblems()) != 1 || !strings.Contains(r.GetProblems()[0], bad.want) {
			t.Errorf("%v: %v %q", bad, err, r.GetProblems())
		}
	}
	if e.config.Load() != nil {
		t.Error("a bad configuration was applied")
	}
	c.Configure(t)
	if got := *e.config.Load(); got != "{}" || e.env.Owner != "sdktest" || e.env.RuntimeDir == "" {
		t.Errorf("without a configuration: %q in %+v", got, e.env)
	}
	c.Configure(t, sdktest.Config("ke", "", `{"good":1}`)) // an empty name: the kind's only one
	if got := *e.config.Load(); got != `{"good":1}` {
		t.Errorf("got %q", got)
	}
}

func TestHealthAndDrain(t *testing.T) {
	t.Parallel()
	e := &exchange{}
	c := sdktest.Serve(t, serve.KE("acme", e), serve.KE("sick", &exchange{sick: true}))
	r, err := c.Base.Health(t.Context(), &basev1.HealthRequest{})
	if err != nil || !r.GetServices()[0].GetOk() || r.GetServices()[1].GetOk() || !strings.Contains(r.GetServices()[1].GetDetail(), "so sick") {
		t.Errorf("%v %v", r, err)
	}
	if _, err := c.Base.Drain(t.Context(), &basev1.DrainRequest{Remove: true}); err != nil || !e.drained.Load() {
		t.Errorf("drain: %v", err)
	}
}
