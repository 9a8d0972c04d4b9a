package pluginhost

import (
	"fmt"
	"time"

	"github.com/parley-ike/parley/core/machine"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	credv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/cred/v1"
)

// maxPassword is the contract of package cred, in octets.
const maxPassword = 1024

func encodePassword(op machine.Op) (service, basev1.Op, message) {
	stores := service{kind: "cred"}
	if check, ok := op.(machine.CheckPassword); ok {
		return stores, basev1.Op_OP_CRED_CHECK_PASSWORD, &credv1.CheckPasswordRequest{User: check.User, Password: check.Password}
	}
	return stores, basev1.Op_OP_CRED_OWN_PASSWORD, &credv1.OwnPasswordRequest{User: op.(machine.OwnPassword).User}
}

func decodePassword(op machine.Op, body []byte) (machine.Result, error) {
	if _, ok := op.(machine.CheckPassword); ok {
		return machine.PasswordChecked{}, unmarshal(body, &credv1.CheckPasswordResponse{})
	}
	var r credv1.OwnPasswordResponse
	if err := unmarshal(body, &r); err != nil {
		return nil, err
	}
	if n := len(r.GetPassword()); n == 0 || n > maxPassword {
		return nil, fmt.Errorf("a password of %d octets, limit %d", n, maxPassword)
	}
	return machine.OwnPasswordFound{Password: r.GetPassword()}, nil
}

// submitToStores performs what a machine asks of the credential stores, in their order until one has the credential; it reports
// whether that was meant.
func (h *Host) submitToStores(r machine.Request, now time.Time) bool {
	where, code, m := encode(r.Call.Op, h.cfg.Owner)
	if where.kind != "cred" {
		return false
	}
	by := r.Call.By
	if by.IsZero() {
		by = now.Add(h.cfg.CallTimeout)
	}
	c := &call{request: r}
	answer := func(f *basev1.Frame, err *machine.CallError) {
		back := c.failed(err)
		if err == nil {
			back.Reply = c.reply("of kind cred", f)
		}
		go h.cfg.Sink([]machine.Return{back})
	}
	body := marshal(m)
	if check, ok := r.Call.Op.(machine.CheckPassword); ok {
		check.Password.Wipe()
	}
	walk := &storeWalk{host: h, op: code, body: body, by: by, stores: h.routes.Load().cred, answer: answer}
	walk.next()
	return true
}
