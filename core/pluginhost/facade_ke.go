package pluginhost

import (
	"errors"

	"github.com/parley-ike/parley/core/machine"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	kev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/ke/v1"
)

func encodeKE(op machine.Op) (service, basev1.Op, message) {
	ke := func(method uint16) service { return service{kind: "ke", method: method} }
	switch op := op.(type) {
	case machine.KEInitiate:
		return ke(op.Method), basev1.Op_OP_KE_INITIATE, &kev1.InitiateRequest{Method: uint32(op.Method)}
	case machine.KERespond:
		return ke(op.Method), basev1.Op_OP_KE_RESPOND, &kev1.RespondRequest{Method: uint32(op.Method), PeerPublic: op.Peer}
	case machine.KEFinish:
		return ke(op.Method), basev1.Op_OP_KE_FINISH, &kev1.FinishRequest{Method: uint32(op.Method), State: op.State, PeerPublic: op.Peer}
	}
	return service{}, 0, nil
}

func decodeKE(op machine.Op, m *basev1.KEMethod, body []byte) (machine.Result, error) {
	switch op.(type) {
	case machine.KEInitiate:
		var r kev1.InitiateResponse
		err := unmarshal(body, &r)
		if err == nil {
			err = errors.Join(checkLen("state", r.GetState(), 0), checkLen("public value", r.GetPublic(), m.GetPublicLen()))
		}
		return machine.KEInitiated{State: r.GetState(), Public: r.GetPublic()}, err
	case machine.KERespond:
		var r kev1.RespondResponse
		err := unmarshal(body, &r)
		if err == nil {
			err = errors.Join(checkLen("public value", r.GetPublic(), m.GetResponseLen()), checkLen("secret", r.GetSecret(), m.GetSecretLen()))
		}
		return machine.KEResponded{Public: r.GetPublic(), Secret: r.GetSecret()}, err
	}
	var r kev1.FinishResponse
	err := unmarshal(body, &r)
	if err == nil {
		err = checkLen("secret", r.GetSecret(), m.GetSecretLen())
	}
	return machine.KEFinished{Secret: r.GetSecret()}, err
}
