package serve

import (
	"context"

	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/internal/codec"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	credv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/cred/v1"
)

func credHandler(p cred.Plugin) handler {
	return func(ctx context.Context, _ auth.Host, op basev1.Op, body []byte) ([]byte, error) {
		switch op {
		case basev1.Op_OP_CRED_FIND:
			return credFind(ctx, p, body)
		case basev1.Op_OP_CRED_MAC:
			return credMAC(ctx, p, body)
		}
		return nil, unknownOp("cred", op)
	}
}

func credFind(ctx context.Context, p cred.Plugin, body []byte) ([]byte, error) {
	r, err := decode[credv1.FindRequest](body)
	if err != nil {
		return nil, err
	}
	query, err := codec.ToQuery(r.GetQuery())
	if err != nil {
		return nil, err
	}
	refs, err := p.Find(ctx, query)
	if err != nil {
		return nil, err
	}
	return encode(&credv1.FindResponse{Refs: codec.FromRefs(refs)})
}

func credMAC(ctx context.Context, p cred.Plugin, body []byte) ([]byte, error) {
	r, err := decode[credv1.MACRequest](body)
	if err != nil {
		return nil, err
	}
	query, err := codec.ToQuery(r.GetQuery())
	if err != nil {
		return nil, err
	}
	macs, err := codec.ToMACs(r.GetMacs())
	if err != nil {
		return nil, err
	}
	values, err := p.MAC(ctx, query, macs)
	if err != nil {
		return nil, err
	}
	return encode(&credv1.MACResponse{Macs: values})
}
