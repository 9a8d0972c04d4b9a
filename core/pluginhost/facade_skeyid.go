package pluginhost

import (
	"github.com/parley-ike/parley/core/machine"
	authv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/auth/v1"
)

func skeyidRequest(s machine.SKEYID) *authv1.SKEYIDRequest {
	return &authv1.SKEYIDRequest{Auth: s.Auth, Local: identity(s.Local), Remote: identity(s.Remote), Prf: uint32(s.PRF), Data: s.Data}
}

// decodeSKEYID refuses an empty value: keys would follow from what everybody sees.
func decodeSKEYID(body []byte) (machine.Result, error) {
	var r authv1.SKEYIDResponse
	if err := unmarshal(body, &r); err != nil {
		return nil, err
	}
	if err := checkLen("SKEYID", r.GetSkeyid(), 0); err != nil {
		return nil, err
	}
	return machine.SKEYIDDerived{Value: r.GetSkeyid()}, nil
}
