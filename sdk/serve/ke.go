package serve

import (
	"context"

	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/internal/codec"
	"github.com/parley-ike/parley/sdk/ke"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	kev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/ke/v1"
)

func describeKE(d *basev1.Provided, p ke.Plugin) {
	methods := p.Methods()
	d.Methods, d.KeyExchanges = codec.FromMethods(methods)
	for _, m := range methods {
		d.Capabilities = append(d.Capabilities, m.Name)
	}
}

func keHandler(p ke.Plugin) handler {
	return func(ctx context.Context, _ auth.Host, op basev1.Op, body []byte) ([]byte, error) {
		switch op {
		case basev1.Op_OP_KE_INITIATE:
			return keInitiate(ctx, p, body)
		case basev1.Op_OP_KE_RESPOND:
			return keRespond(ctx, p, body)
		case basev1.Op_OP_KE_FINISH:
			return keFinish(ctx, p, body)
		}
		return nil, unknownOp("ke", op)
	}
}

func keInitiate(ctx context.Context, p ke.Plugin, body []byte) ([]byte, error) {
	r, err := decode[kev1.InitiateRequest](body)
	if err != nil {
		return nil, err
	}
	method, err := codec.Method(r.GetMethod())
	if err != nil {
		return nil, err
	}
	state, public, err := p.Initiate(ctx, method)
	if err != nil {
		return nil, err
	}
	return encode(&kev1.InitiateResponse{State: state, Public: public}, state)
}

func keRespond(ctx context.Context, p ke.Plugin, body []byte) ([]byte, error) {
	r, err := decode[kev1.RespondRequest](body)
	if err != nil {
		return nil, err
	}
	method, err := codec.Method(r.GetMethod())
	if err != nil {
		return nil, err
	}
	public, shared, err := p.Respond(ctx, method, r.GetPeerPublic())
	if err != nil {
		return nil, err
	}
	return encode(&kev1.RespondResponse{Public: public, Secret: shared}, shared)
}

func keFinish(ctx context.Context, p ke.Plugin, body []byte) ([]byte, error) {
	r, err := decode[kev1.FinishRequest](body)
	if err != nil {
		return nil, err
	}
	method, err := codec.Method(r.GetMethod())
	if err != nil {
		return nil, err
	}
	shared, err := p.Finish(ctx, method, r.GetState(), r.GetPeerPublic())
	if err != nil {
		return nil, err
	}
	return encode(&kev1.FinishResponse{Secret: shared}, shared)
}
