package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/internal/codec"
	"github.com/parley-ike/parley/sdk/proto/link"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// kinds names the kind of an operation by the hundreds of its number.
var kinds = map[uint32]string{1: "ke", 2: "auth", 3: "cred", 4: "sa"}

// exchange is one flow of batches.
type exchange struct {
	server  *Server
	carrier link.Carrier
	sender  *link.Sender
	workers *workers
	ctx     context.Context // ends with the exchange
	cancel  context.CancelFunc

	mu      sync.Mutex
	lanes   map[uint64][]*basev1.Frame // by key: requests that wait for the one that runs
	asked   map[uint64]asked           // by the id of our request
	lastAsk uint64
	swept   time.Time // when asked was last looked through
}

// ServeExchange performs the requests that arrive on c until the other side closes (nil), c fails or ctx ends. It closes c.
func (s *Server) ServeExchange(ctx context.Context, c link.Carrier) error {
	return newExchange(ctx, s, c).run()
}

func newExchange(ctx context.Context, s *Server, c link.Carrier) *exchange {
	x := &exchange{
		server: s, carrier: c, sender: link.NewSender(c), lanes: map[uint64][]*basev1.Frame{}, asked: map[uint64]asked{},
	}
	x.ctx, x.cancel = context.WithCancel(ctx)
	x.workers = &workers{perform: x.performInLane}
	return x
}

func (x *exchange) run() error {
	defer x.cancel()
	defer context.AfterFunc(x.ctx, func() { _ = x.carrier.Close() })()
	defer x.workers.end()
	go func() {
		if err := x.sender.Run(); err != nil && !isGone(err) { // when it is gone, the reader finds out in order
			x.cancel()
		}
	}()
	defer x.sender.Close()
	defer x.carrier.Close()
	x.watch()
	for {
		batch, err := x.carrier.Recv()
		if err == nil {
			err = x.acceptAll(batch.GetFrames())
		}
		if isGone(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("serve: exchange with the daemon: %w", err)
		}
	}
}

// acceptAll has requests performed, and sends what was answered at once.
func (x *exchange) acceptAll(frames []*basev1.Frame) error {
	for _, f := range frames {
		x.accept(f)
	}
	return x.sender.Flush()
}

// isGone tells the end of the other side from a fault. A socket that is closed with unread octets resets.
func isGone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

func (x *exchange) accept(f *basev1.Frame) {
	switch {
	case f.GetReply():
		x.answered(f)
	case x.promptly(f):
	case f.GetKey() == 0:
		x.workers.do(f)
	default:
		x.enqueue(f)
	}
}

// enqueue keeps requests with one key in order.
func (x *exchange) enqueue(f *basev1.Frame) {
	x.mu.Lock()
	defer x.mu.Unlock()
	waiting, running := x.lanes[f.GetKey()]
	if running {
		x.lanes[f.GetKey()] = append(waiting, f)
		return
	}
	x.lanes[f.GetKey()] = nil
	x.workers.do(f)
}

// performInLane performs a request and then those that waited for it.
func (x *exchange) performInLane(f *basev1.Frame) {
	for key := f.GetKey(); f != nil; f = x.next(key) {
		body, err := x.perform(f)
		x.reply(f, body, err, x.sender.Push)
	}
}

// next returns the lane's next request, or ends the lane.
func (x *exchange) next(key uint64) *basev1.Frame {
	if key == 0 {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	waiting := x.lanes[key]
	if len(waiting) == 0 {
		delete(x.lanes, key)
		return nil
	}
	x.lanes[key] = waiting[1:]
	return waiting[0]
}

// noBudget stands for no deadline: longer than any process lives.
const noBudget = 100 * 365 * 24 * time.Hour

func (x *exchange) perform(f *basev1.Frame) ([]byte, error) {
	v, err := x.find(f)
	if err != nil {
		return nil, err
	}
	ctx := &callContext{Context: x.ctx, deadline: deadline(f)}
	defer ctx.end()
	return guard(func() ([]byte, error) { return v.handle(ctx, (*host)(x), basev1.Op(f.GetOp()), f.GetBody()) })
}

// deadline is when nobody waits for the answer to f any more.
func deadline(f *basev1.Frame) time.Time {
	budget := noBudget
	if f.GetBudgetMs() > 0 {
		budget = time.Duration(f.GetBudgetMs()) * time.Millisecond
	}
	return time.Now().Add(budget)
}

func (x *exchange) find(f *basev1.Frame) (*service, error) {
	kind := kinds[f.GetOp()/100]
	v := x.server.find(kind, f.GetService())
	if v == nil {
		return nil, fmt.Errorf("%w: no service %q of kind %q in this plugin", sdk.ErrUnsupported, f.GetService(), kind)
	}
	return v, nil
}

// reply answers f, which is over, with a body or an error.
func (x *exchange) reply(f *basev1.Frame, body []byte, err error, put func(...*basev1.Frame) error) {
	clear(f.Body)
	reply := &basev1.Frame{Id: f.GetId(), Reply: true}
	if err != nil {
		reply.Error = codec.FromError(err)
	} else {
		reply.Body = body
	}
	if err := put(reply); errors.Is(err, link.ErrTooLarge) || errors.Is(err, link.ErrBacklog) {
		_ = put(&basev1.Frame{Id: f.GetId(), Reply: true, Error: codec.FromError(err)})
	}
}

// guard turns a panic into an error, so that one bad call does not take the others with it.
func guard(f func() ([]byte, error)) (body []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			slog.Error("plugin: an operation panicked", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			body, err = nil, fmt.Errorf("the plugin's code panicked: %v", r)
		}
	}()
	return f()
}
