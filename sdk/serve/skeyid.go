package serve

import (
	"context"

	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/internal/codec"
	authv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/auth/v1"
	"github.com/parley-ike/parley/sdk/secret"
)

func authSKEYID(ctx context.Context, p auth.Plugin, host auth.Host, body []byte) ([]byte, error) {
	s, err := decodeSKEYID(body)
	if err != nil {
		return nil, err
	}
	value, err := auth.DeriveSKEYID(ctx, p, host, s)
	if err != nil {
		return nil, err
	}
	return encodeSKEYID(value)
}

func askForSKEYID(p auth.Questioner, body []byte) (auth.Question[[]byte], error) {
	s, err := decodeSKEYID(body)
	if err != nil {
		return auth.Question[[]byte]{}, err
	}
	q, ok := p.(auth.KeyQuestioner)
	if !ok {
		return auth.Question[[]byte]{}, auth.ErrNoSKEYID(s.Auth)
	}
	question, err := q.AskForSKEYID(s)
	return concluding(question, encodeSKEYID), err
}

func decodeSKEYID(body []byte) (auth.SKEYID, error) {
	r, err := decode[authv1.SKEYIDRequest](body)
	if err != nil {
		return auth.SKEYID{}, err
	}
	return codec.ToSKEYID(r)
}

// encodeSKEYID wipes the value: the body has it.
func encodeSKEYID(value secret.Bytes) ([]byte, error) {
	defer value.Wipe()
	return encode(&authv1.SKEYIDResponse{Skeyid: value})
}
