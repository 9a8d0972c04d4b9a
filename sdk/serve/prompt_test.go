package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/internal/codec"
	"github.com/parley-ike/parley/sdk/proto/link"
	authv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/auth/v1"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	credv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/cred/v1"
)

// daemon is the other end of an exchange.
type daemon struct {
	t      testing.TB
	c      link.Carrier
	sender *link.Sender
	x      *exchange
}

func serveTo(t testing.TB, items ...Item) *daemon {
	t.Helper()
	s, err := New(items...)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	x := newExchange(t.Context(), s, link.NewFramed(theirs))
	over := make(chan error, 1)
	go func() { over <- x.run() }()
	d := &daemon{t: t, c: link.NewFramed(ours), x: x}
	d.sender = link.NewSender(d.c)
	go func() { _ = d.sender.Run() }()
	t.Cleanup(func() {
		d.sender.Close()
		_ = ours.Close()
		if err := <-over; err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the exchange ended with %v", err)
		}
	})
	return d
}

// send sends one batch.
func (d *daemon) send(frames ...*basev1.Frame) {
	d.t.Helper()
	if err := d.sender.Push(frames...); err != nil {
		d.t.Fatal(err)
	}
}

func (d *daemon) receive() []*basev1.Frame {
	d.t.Helper()
	b, err := d.c.Recv()
	if err != nil {
		d.t.Fatal(err)
	}
	return b.GetFrames()
}

// store answers at once; its promise is what the tests are about.
type store struct{ calls []byte }

func (*store) Prompt() {}

func (*store) Find(context.Context, cred.Query) ([]cred.Ref, error) { panic("told to") }

func (s *store) MAC(_ context.Context, _ cred.Query, macs []cred.MAC) ([][]byte, error) {
	s.calls = append(s.calls, macs[0].Data...) // a race if two ran at the same time
	return [][]byte{slices.Clone(macs[0].Data)}, nil
}

func macFrame(id uint64, data string) *basev1.Frame {
	body, _ := encodeMAC(cred.Query{Purpose: cred.PSK}, []cred.MAC{{Scheme: cred.IKEv2Auth, Data: []byte(data)}})
	return &basev1.Frame{Id: id, Op: uint32(basev1.Op_OP_CRED_MAC), Body: body}
}

func TestPromptOperationsArePerformedInOrderAndAnsweredTogether(t *testing.T) {
	t.Parallel()
	s := &store{}
	d := serveTo(t, Cred("file", s))
	keyed := macFrame(2, "b")
	keyed.Key = 7
	bad := &basev1.Frame{Id: 4, Op: uint32(basev1.Op_OP_CRED_FIND)}
	none := &basev1.Frame{Id: 5, Op: uint32(basev1.Op_OP_SA_USAGE)}
	d.send(macFrame(1, "a"), keyed, macFrame(3, "c"), bad, none)
	answers := d.receive()
	if string(s.calls) != "abc" || len(answers) != 5 {
		t.Fatalf("performed %q; %d answers in the first batch", s.calls, len(answers))
	}
	for i, f := range answers[:3] {
		values, err := decodeMAC(f, make([]cred.MAC, 1))
		if f.GetId() != uint64(i+1) || err != nil || string(values[0]) != string(s.calls[i]) {
			t.Errorf("answer %d is %v with %q, error %v", i, f, values, err)
		}
	}
	if text := answers[3].GetError().GetText(); !strings.Contains(text, "panicked: told to") {
		t.Errorf("a panic: %q", text)
	}
	if answers[4].GetError().GetKind() != basev1.Error_UNSUPPORTED {
		t.Errorf("a service that is not there: %v", answers[4])
	}
}

// prover asks for one derivation of what it signs; its identity tells what to do with the answer.
type prover struct{ auth.Plugin }

func (prover) Methods() []string { return []string{"psk"} }

func (prover) AskToSign(s auth.Sign) (q auth.Question[auth.Signed], err error) {
	switch string(s.Remote.Data) {
	case "refused":
		return q, fmt.Errorf("not him: %w", sdk.ErrRefused)
	case "panic":
		panic("told to")
	}
	q.Query, q.MACs = cred.Query{Purpose: cred.PSK, Remote: s.Remote}, []cred.MAC{{Scheme: cred.IKEv2Auth, Data: s.Octets}}
	q.Conclude = func(values [][]byte, err error) (auth.Signed, error) {
		if err != nil {
			return auth.Signed{}, fmt.Errorf("asked for %s: %w", s.Remote.Data, err)
		}
		if string(s.Remote.Data) == "panic later" {
			panic("told to")
		}
		return auth.Signed{Method: 2, Data: values[0]}, nil
	}
	return q, nil
}

func (prover) AskToVerify(auth.Verify) (q auth.Question[auth.Identity], err error) {
	return q, sdk.ErrUnsupported
}

func (prover) AskToAuthenticate(auth.Verify, auth.Sign) (q auth.Question[auth.Authenticated], err error) {
	return q, sdk.ErrUnsupported
}

// Sign is for requests that have to be performed in order.
func (p prover) Sign(ctx context.Context, h auth.Host, s auth.Sign) (auth.Signed, error) {
	q, err := p.AskToSign(s)
	if err != nil {
		return auth.Signed{}, err
	}
	return q.Ask(ctx, h)
}

func signFrame(id uint64, remote, octets string) *basev1.Frame {
	body, _ := encode(codec.FromSign(auth.Sign{Auth: "psk", Remote: auth.Identity{Type: 2, Data: []byte(remote)}, Octets: []byte(octets)}))
	return &basev1.Frame{Id: id, Op: uint32(basev1.Op_OP_AUTH_SIGN), Body: body}
}

// answerMAC answers a question with its own octets.
func (d *daemon) answerMAC(f *basev1.Frame) *basev1.Frame {
	d.t.Helper()
	var r credv1.MACRequest
	if err := r.ParseWire(f.GetBody()); err != nil || f.GetOp() != uint32(basev1.Op_OP_CRED_MAC) || f.GetReply() {
		d.t.Fatalf("not a question for a MAC: %v, %v", f, err)
	}
	body, _ := encode(&credv1.MACResponse{Macs: [][]byte{r.GetMacs()[0].GetData()}})
	return &basev1.Frame{Id: f.GetId(), Reply: true, Body: body}
}

func signedData(t testing.TB, f *basev1.Frame) string {
	t.Helper()
	var r authv1.SignResponse
	if err := r.ParseWire(f.GetBody()); err != nil || f.GetError() != nil || !f.GetReply() {
		t.Fatalf("not an answer: %v, %v", f, err)
	}
	return string(r.GetData())
}

func TestQuestionsWaitWithoutAGoroutineAndAreConcludedInAnyOrder(t *testing.T) {
	d := serveTo(t, Auth("psk", prover{}))
	const n = 100
	var requests []*basev1.Frame
	for i := range n {
		requests = append(requests, signFrame(uint64(i+1), "east", fmt.Sprint(i)))
	}
	before := runtime.NumGoroutine()
	d.send(requests...)
	questions := d.receive()
	if len(questions) != n || runtime.NumGoroutine() > before+n/2 {
		t.Fatalf("%d questions; %d goroutines became %d", len(questions), before, runtime.NumGoroutine())
	}
	slices.Reverse(questions)
	var answers []*basev1.Frame
	for _, q := range questions {
		answers = append(answers, d.answerMAC(q))
	}
	d.send(answers...)
	for i, f := range d.receive() {
		if want := n - 1 - i; f.GetId() != uint64(want+1) || signedData(t, f) != fmt.Sprint(want) {
			t.Fatalf("answer %d is %v", i, f)
		}
	}
	if len(d.x.asked) != 0 {
		t.Errorf("%d questions are left", len(d.x.asked))
	}
}

func TestAQuestionFailsAsAnOperationDoes(t *testing.T) {
	t.Parallel()
	d := serveTo(t, Auth("psk", prover{}))
	d.send(signFrame(1, "refused", "x"), signFrame(2, "panic", "x"), signFrame(3, "panic later", "x"), signFrame(4, "nobody", "x"),
		&basev1.Frame{Id: 5, Op: uint32(basev1.Op_OP_AUTH_VERIFY)}, &basev1.Frame{Id: 6, Op: uint32(basev1.Op_OP_AUTH_SIGN), Body: []byte{255}})
	failed := map[uint64]*basev1.Frame{}
	for _, f := range d.receive() {
		if f.GetReply() {
			failed[f.GetId()] = f
			continue
		}
		answer := d.answerMAC(f)
		if f.GetId() == 2 { // the second question
			answer = &basev1.Frame{Id: f.GetId(), Reply: true, Error: codec.FromError(fmt.Errorf("nowhere: %w", sdk.ErrNoCredential))}
		}
		d.send(answer)
		for _, f := range d.receive() {
			failed[f.GetId()] = f
		}
	}
	for id, want := range map[uint64]string{
		1: "not him: refused", 2: "panicked: told to", 3: "panicked: told to", 4: "asked for nobody: nowhere: no credential", 5: "unsupported", 6: "invalid",
	} {
		if text := failed[id].GetError().GetText(); !strings.Contains(text, want) {
			t.Errorf("request %d failed with %q, want %q", id, text, want)
		}
	}
	if failed[4].GetError().GetKind() != basev1.Error_NO_CREDENTIAL {
		t.Errorf("a missing key is %v", failed[4].GetError())
	}
}

func TestAQuestionerKeepsRequestsWithAKeyInOrder(t *testing.T) {
	t.Parallel()
	d := serveTo(t, Auth("psk", prover{}))
	first, second := signFrame(1, "east", "1"), signFrame(2, "east", "2")
	first.Key, second.Key = 9, 9
	d.send(first, second)
	var order []string
	for len(order) < 4 {
		for _, f := range d.receive() {
			if f.GetReply() {
				order = append(order, "answer "+signedData(t, f))
				continue
			}
			order = append(order, "question")
			d.send(d.answerMAC(f))
		}
	}
	if want := []string{"question", "answer 1", "question", "answer 2"}; !slices.Equal(order, want) {
		t.Errorf("got %q, want %q", order, want)
	}
}

func TestQuestionsThatNobodyAnsweredAreForgotten(t *testing.T) {
	t.Parallel()
	x := &exchange{asked: map[uint64]asked{}}
	late := x.register(asked{by: time.Now().Add(-time.Second)})
	waits := x.register(asked{by: time.Now().Add(time.Hour)})
	own := x.register(asked{})
	x.swept = time.Now().Add(-sweepEvery - time.Second)
	x.register(asked{})
	for id, want := range map[uint64]bool{late: false, waits: true, own: true} {
		if _, there := x.asked[id]; there != want {
			t.Errorf("question %d is there: %t, want %t", id, there, want)
		}
	}
	x.answered(&basev1.Frame{Id: late, Reply: true}) // must not panic
}

func TestAProcessIsPromptWhenAllOfItIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		items []Item
		want  bool
	}{
		"store":               {[]Item{Cred("file", &store{})}, true},
		"store and questions": {[]Item{Cred("file", &store{}), Auth("psk", prover{})}, true},
		"another store":       {[]Item{Cred("file", &store{}), Cred("slow", struct{ cred.Plugin }{})}, false},
	} {
		s, err := New(c.items...)
		if err != nil || s.prompt() != c.want {
			t.Errorf("%s: %t, %v", name, s.prompt(), err)
		}
	}
}

func TestAnExchangeThatCannotAnswerEnds(t *testing.T) {
	t.Parallel()
	s, err := New(Cred("file", &store{}))
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	x := newExchange(t.Context(), s, &brokenCarrier{err: broken})
	if err := x.run(); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// brokenCarrier gives requests for ever and takes no answer.
type brokenCarrier struct{ err error }

func (c *brokenCarrier) Send(*basev1.Batch) error { return c.err }
func (c *brokenCarrier) Close() error             { return nil }
func (c *brokenCarrier) Recv() (*basev1.Batch, error) {
	return &basev1.Batch{Frames: []*basev1.Frame{macFrame(1, "a")}}, nil
}
