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
	store := cred.Complete(p)
	return func(ctx context.Context, _ auth.Host, op basev1.Op, body []byte) ([]byte, error) {
		switch op {
		case basev1.Op_OP_CRED_FIND:
			return credFind(ctx, store, body)
		case basev1.Op_OP_CRED_MAC:
			return credMAC(ctx, store, body)
		case basev1.Op_OP_CRED_SIGN:
			return credSign(ctx, store, body)
		case basev1.Op_OP_CRED_DECRYPT:
			return credDecrypt(ctx, store, body)
		case basev1.Op_OP_CRED_TRUST:
			return credTrust(ctx, store, body)
		case basev1.Op_OP_CRED_CHECK_PASSWORD:
			return credCheckPassword(ctx, store, body)
		case basev1.Op_OP_CRED_OWN_PASSWORD:
			return credOwnPassword(ctx, store, body)
		}
		return nil, unknownOp("cred", op)
	}
}

// AnswerCred performs a request of kind cred with a store that is in this process: sdktest stands in for the daemon with it.
func AnswerCred(ctx context.Context, p cred.Plugin, op basev1.Op, body []byte) ([]byte, error) {
	return credHandler(p)(ctx, nil, op, body)
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
