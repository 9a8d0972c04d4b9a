package serve

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/internal/codec"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	credv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/cred/v1"
	"github.com/parley-ike/parley/sdk/secret"
)

// host is the daemon as an authenticator sees it; its calls ride on the same exchange.
type host exchange

var _ auth.Host = (*host)(nil)

// Find implements auth.Host.
func (h *host) Find(ctx context.Context, q cred.Query) ([]cred.Ref, error) {
	var r credv1.FindResponse
	err := h.question(ctx, basev1.Op_OP_CRED_FIND, &credv1.FindRequest{Query: codec.FromQuery(q)}, &r)
	return codec.ToRefs(r.GetRefs()), err
}

// MAC implements auth.Host.
func (h *host) MAC(ctx context.Context, q cred.Query, macs []cred.MAC) ([][]byte, error) {
	body, err := encodeMAC(q, macs)
	if err != nil {
		return nil, err
	}
	answer, err := h.ask(ctx, basev1.Op_OP_CRED_MAC, body)
	if err != nil {
		return nil, err
	}
	return decodeMAC(answer, macs)
}

// Sign implements auth.Host.
func (h *host) Sign(ctx context.Context, s cred.SignRequest) ([]byte, error) {
	var r credv1.SignResponse
	err := h.question(ctx, basev1.Op_OP_CRED_SIGN, codec.FromSignRequest(s), &r)
	return r.GetSignature(), err
}

// Decrypt implements auth.Host.
func (h *host) Decrypt(ctx context.Context, d cred.DecryptRequest) (secret.Bytes, error) {
	var r credv1.DecryptResponse
	err := h.question(ctx, basev1.Op_OP_CRED_DECRYPT, codec.FromDecryptRequest(d), &r)
	return r.GetPlain(), err
}

// Trust implements auth.Host.
func (h *host) Trust(ctx context.Context, t cred.TrustRequest) (cred.Verdict, error) {
	var r credv1.TrustResponse
	err := h.question(ctx, basev1.Op_OP_CRED_TRUST, codec.FromTrustRequest(t), &r)
	return codec.ToVerdict(&r), err
}

// CheckPassword implements auth.Host.
func (h *host) CheckPassword(ctx context.Context, user string, password secret.Bytes) error {
	request := &credv1.CheckPasswordRequest{User: user, Password: password}
	return h.question(ctx, basev1.Op_OP_CRED_CHECK_PASSWORD, request, &credv1.CheckPasswordResponse{})
}

// OwnPassword implements auth.Host.
func (h *host) OwnPassword(ctx context.Context, user string) (secret.Bytes, error) {
	var r credv1.OwnPasswordResponse
	err := h.question(ctx, basev1.Op_OP_CRED_OWN_PASSWORD, &credv1.OwnPasswordRequest{User: user}, &r)
	return r.GetPassword(), err
}

// question asks and reads the answer, in whose octets the response then lies.
func (h *host) question(ctx context.Context, op basev1.Op, request encoder, response interface{ ParseWire([]byte) error }) error {
	body, err := encode(request)
	if err != nil {
		return err
	}
	answer, err := h.ask(ctx, op, body)
	switch {
	case err != nil:
		return err
	case answer.GetError() != nil:
		return codec.ToError(answer.GetError())
	}
	if err := response.ParseWire(answer.GetBody()); err != nil {
		return fmt.Errorf("serve: the daemon's answer to %v is malformed: %w", op, err)
	}
	return nil
}

func encodeMAC(q cred.Query, macs []cred.MAC) ([]byte, error) {
	return encode(&credv1.MACRequest{Query: codec.FromQuery(q), Macs: codec.FromMACs(macs)})
}

// decodeMAC reads the answer to encodeMAC; the values lie in it.
func decodeMAC(answer *basev1.Frame, macs []cred.MAC) ([][]byte, error) {
	if answer.GetError() != nil {
		return nil, codec.ToError(answer.GetError())
	}
	var response credv1.MACResponse
	if err := response.ParseWire(answer.Body); err != nil {
		return nil, fmt.Errorf("serve: the daemon's answer to MAC is malformed: %w", err)
	}
	if len(response.GetMacs()) != len(macs) {
		return nil, fmt.Errorf("serve: the credential store answered %d derivations with %d values", len(macs), len(response.GetMacs()))
	}
	return response.GetMacs(), nil
}

func (h *host) ask(ctx context.Context, op basev1.Op, body []byte) (*basev1.Frame, error) {
	answer := make(chan *basev1.Frame, 1)
	x := (*exchange)(h)
	f := &basev1.Frame{Op: uint32(op), Body: body}
	if by, ok := ctx.Deadline(); ok {
		f.BudgetMs = budget(by)
	}
	f.Id = x.register(asked{answered: func(reply *basev1.Frame) { answer <- reply }})
	defer x.forget(f.Id)
	if err := h.sender.Push(f); err != nil {
		return nil, unavailable(err)
	}
	select {
	case reply := <-answer:
		return reply, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the daemon's answer to %v: %w", op, ctx.Err())
	}
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", sdk.ErrUnavailable, err) }

// budget is what is left until a deadline in milliseconds, at least 1.
func budget(by time.Time) uint32 {
	return uint32(min(max(1, time.Until(by).Milliseconds()), math.MaxUint32))
}
