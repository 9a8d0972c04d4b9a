package machine_test

import (
	"testing"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/sdk/secret"
)

func TestWipeOverwritesEveryKeyOfEveryChild(t *testing.T) {
	t.Parallel()
	var all []machine.ChildSA
	var keys []secret.Bytes
	for range 2 {
		k := []secret.Bytes{[]byte("a key in"), []byte("a key out"), []byte("integ in"), []byte("integ out")}
		keys = append(keys, k...)
		all = append(all, machine.ChildSA{EncrIn: k[0], EncrOut: k[1], IntegIn: k[2], IntegOut: k[3]})
	}
	machine.WipeChildren(all)
	for i, k := range keys {
		if !k.Equal(make([]byte, len(k))) {
			t.Errorf("key %d of 8 remains", i+1)
		}
	}
}

func TestWipeOverwritesTheSecretOfEveryAnswer(t *testing.T) {
	t.Parallel()
	state, responded, finished, skeyid, plain, password := secret.Bytes("state"), secret.Bytes("shared"), secret.Bytes("shared"), secret.Bytes("skeyid"), secret.Bytes("nonce"), secret.Bytes("sesame")
	for _, r := range []machine.Result{machine.KEInitiated{State: state}, machine.KEResponded{Secret: responded},
		machine.KEFinished{Secret: finished}, machine.SKEYIDDerived{Value: skeyid}, machine.Unprotected{Plain: []secret.Bytes{plain}},
		machine.OwnPasswordFound{Password: password}, machine.Installed{}, nil} {
		machine.Wipe(r)
	}
	for i, k := range []secret.Bytes{state, responded, finished, skeyid, plain, password} {
		if !k.Equal(make([]byte, len(k))) {
			t.Errorf("secret %d of 6 remains", i+1)
		}
	}
}
