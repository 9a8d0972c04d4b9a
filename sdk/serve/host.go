package serve

import (
	"context"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/internal/codec"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	credv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/cred/v1"
)

// host is the daemon as an authenticator sees it; its calls ride on the same exchange.
type host exchange

var _ auth.Host = (*host)(nil)

// MAC implements auth.Host.
func (h *host) MAC(ctx context.Context, q cred.Query, macs []cred.MAC) ([][]byte, error) {
	body, err := h.ask(ctx, basev1.Op_OP_CRED_MAC, &credv1.MACRequest{Query: codec.FromQuery(q), Macs: codec.FromMACs(macs)})
	if err != nil {
		return nil, err
	}
	defer clear(body)
	var response credv1.MACResponse
	if err := proto.Unmarshal(body, &response); err != nil {
		return nil, fmt.Errorf("serve: the daemon's answer to MAC is malformed: %w", err)
	}
	if len(response.GetMacs()) != len(macs) {
		return nil, fmt.Errorf("serve: the credential store answered %d derivations with %d values", len(macs), len(response.GetMacs()))
	}
	return response.GetMacs(), nil
}

func (h *host) ask(ctx context.Context, op basev1.Op, m proto.Message) ([]byte, error) {
	body, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	answer := make(chan *basev1.Frame, 1)
	f := &basev1.Frame{Op: uint32(op), Body: body, BudgetMs: budget(ctx)}
	f.Id = h.register(answer)
	defer h.forget(f.Id)
	if err := h.sender.Push(f); err != nil {
		return nil, fmt.Errorf("%w: %w", sdk.ErrUnavailable, err)
	}
	select {
	case reply := <-answer:
		if reply.GetError() != nil {
			return nil, codec.ToError(reply.GetError())
		}
		return reply.GetBody(), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the daemon's answer to %v: %w", op, ctx.Err())
	}
}

// budget is what is left until the context's deadline in milliseconds, 0 for no deadline.
func budget(ctx context.Context) uint32 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return uint32(min(max(1, time.Until(deadline).Milliseconds()), math.MaxUint32))
}

func (h *host) register(answer chan<- *basev1.Frame) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastAsk++
	h.asked[h.lastAsk] = answer
	return h.lastAsk
}

func (h *host) forget(id uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.asked, id)
}

// answered hands a reply to whoever asked; one that nobody awaits is dropped.
func (x *exchange) answered(f *basev1.Frame) {
	x.mu.Lock()
	answer := x.asked[f.GetId()]
	delete(x.asked, f.GetId())
	x.mu.Unlock()
	if answer != nil {
		answer <- f
	}
}
