package control_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/control"
	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/machine"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// The stories of IKE SAs that meet others of their peer.
func init() {
	stories["duplicate responder"] = []story{{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: asked()},
		event.AuthSucceeded{Method: "SHARED_KEY_MESSAGE_INTEGRITY_CODE", RemoteID: west},
		event.IKEUniqueness{IKE: known(asked(), west), Policy: "keep", Stays: uid2},
		failedBy("us", known(asked(), west), failSite.auth, event.CauseDuplicate, "AUTHENTICATION_FAILED",
			`connection "west" keeps the IKE SA that it has with fqdn:west.example.net (unique = "keep")`),
	}}}
	stories["expired responder"] = []story{{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: asked()},
		event.IKEEstablished{IKE: known(asked(), west)},
		event.ChildEstablished{Child: lan()},
		event.IKEDeleted{IKE: known(asked(), west), By: "expired", Reason: "the peer did not repeat its authentication within 1h0m0s (reauth)"},
	}}}
	stories["up after reauthentication"] = []story{{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.IKEEstablished{IKE: known(initiated(), west)},
		event.ChildEstablished{Child: lan()},
		event.IKEReauthenticated{IKE: known(initiated(), west), Old: uid2},
	}}}
	stories["redirected initiator"] = []story{{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.IKERedirected{IKE: initiated(), To: "192.0.2.9", Exchange: "IKE_SA_INIT", By: "peer", Result: "followed"},
		failedBy("peer", initiated(), failSite.ike, event.CauseRedirected, "", "the peer sends us to 192.0.2.9"),
	}}}
	stories["redirect_loop initiator"] = []story{{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.IKERedirected{IKE: initiated(), To: "192.0.2.9", Exchange: "IKE_SA_INIT", By: "peer", Result: "refused"},
		failedBy("peer", initiated(), failSite.ike, event.CauseRedirectLoop, "", "the peer sends us to 192.0.2.9, and we were sent around 5 times in 5m0s already"),
	}}}
	stories["mode initiator"] = []story{{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.IKEEstablished{IKE: known(initiated(), west)},
		event.ChildFailed{Name: "lan", Cause: event.CauseMode, By: "peer", Reason: `child "lan" is to be in transport mode, and the peer made it in the other one`, KeptIKE: true},
	}}}
	stories["replaced initiator"] = []story{{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.IKEEstablished{IKE: known(initiated(), west)},
		event.ChildEstablished{Child: lan()},
		event.IKEUniqueness{IKE: known(initiated(), west), Policy: "replace", Stays: uid2},
		event.IKEDeleted{IKE: known(initiated(), west), By: "replaced", Reason: `another IKE SA of the peer took its place (unique = "replace")`},
	}}}
}

func (e *fakeEngine) Reauthenticate(_ context.Context, sel engine.Selector) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = append(e.told, fmt.Sprintf("reauthenticate %v", sel.UID))
	return 1, nil
}

func (e *fakeEngine) Redirect(_ context.Context, sel engine.Selector, to machine.Gateway) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = append(e.told, fmt.Sprintf("redirect %v %v %v", sel.All, sel.Conn, to))
	return len(e.sas), nil
}

func TestRedirectTellsTheEngine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.engine.sas = []machine.Info{established()}
	for req, code := range map[*controlv1.RedirectRequest]codes.Code{
		{Connection: "west", To: "192.0.2.9"}:      codes.OK,
		{All: true, To: "gw2.example.net"}:         codes.OK,
		{To: "192.0.2.9"}:                          codes.InvalidArgument,
		{Connection: "west", All: true, To: "gw2"}: codes.InvalidArgument,
		{Connection: "wst", To: "192.0.2.9"}:       codes.NotFound,
		{Connection: "west", To: "0.0.0.0"}:        codes.InvalidArgument,
		{Connection: "west", To: ""}:               codes.InvalidArgument,
		{Connection: "west", To: "ff02::1"}:        codes.InvalidArgument,
	} {
		if _, err := w.Redirect(context.Background(), req); status.Code(err) != code {
			t.Errorf("%v: got %v, want %v", req, err, code)
		}
	}
	slices.Sort(w.engine.told)
	if want := []string{"redirect false west 192.0.2.9", "redirect true  gw2.example.net"}; !slices.Equal(w.engine.told, want) {
		t.Errorf("told %q, want %q", w.engine.told, want)
	}
}

func TestReauthenticateBeginsOrAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	theirs := established()
	theirs.UID, theirs.IKE.Role = uid2, "responder"
	halfOpen := established()
	halfOpen.UID, halfOpen.State = event.UID{9}, "auth sent"
	w.engine.sas = []machine.Info{established(), theirs, halfOpen}
	out, err := w.Reauthenticate(context.Background(), &controlv1.ReauthenticateRequest{Connection: "west"})
	if err != nil || !slices.Equal(out.Begun, []string{uid1.String()}) || !slices.Equal(out.Asked, []string{uid2.String()}) || len(w.engine.told) != 2 {
		t.Errorf("got %v, %v, told %v", out, err, w.engine.told)
	}
	for req, code := range map[*controlv1.ReauthenticateRequest]codes.Code{
		{}: codes.InvalidArgument, {Connection: "wst"}: codes.NotFound, {Connection: "any"}: codes.FailedPrecondition, {Sa: "ffff"}: codes.NotFound} {
		if _, err := w.Reauthenticate(context.Background(), req); status.Code(err) != code {
			t.Errorf("%v: got %v, want %v", req, err, code)
		}
	}
}

// Who keeps connections up is told what an operator wants, also of what is not there.
func TestOrdersOfAnOperatorAreToldWhetherOrNotThereIsAnSA(t *testing.T) {
	t.Parallel()
	var orders []string
	w := newWorld(t, func(c *control.Config) {
		c.Ordered = func(conn string, children []string, down bool) {
			orders = append(orders, fmt.Sprintf("%s%v%v", conn, children, down))
		}
	})
	ctx := context.Background()
	for _, req := range []*controlv1.DownRequest{{Connection: "west"}, {Connection: "any", Child: "branch"}, {Child: "lan"}, {Connection: "wst"}} {
		_, _ = w.Down(ctx, req)
	}
	stream, err := w.Up(ctx, &controlv1.UpRequest{Connection: "west", NoWait: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	want := []string{"west[]true", "any[branch]true", "west[lan]true", "west[]false"}
	if !slices.Equal(orders, want) {
		t.Errorf("got %v, want %v", orders, want)
	}
}
