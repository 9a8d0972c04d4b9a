package psk_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/parley-ike/parley/plugins/auth/psk"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
)

var _ auth.KeyQuestioner = psk.New()

func TestPSKAsksTheStoreForTheWholeSKEYID(t *testing.T) {
	t.Parallel()
	host := &recorder{answer: func([]cred.MAC) ([][]byte, error) { return [][]byte{{1, 2, 3}}, nil }}
	value, err := psk.New().SKEYID(t.Context(), host, auth.SKEYID{Auth: "psk", Local: east, Remote: west, PRF: 2, Data: []byte("NiNr")})
	if err != nil || !bytes.Equal(value, []byte{1, 2, 3}) {
		t.Fatalf("got %x, %v", []byte(value), err)
	}
	if m := host.macs[0]; len(m) != 1 || m[0].Scheme != cred.IKEv1SKEYID || m[0].PRF != 2 || string(m[0].Data) != "NiNr" {
		t.Errorf("asked for %+v (RFC 2409 section 5: prf(pre-shared key, Ni_b | Nr_b))", m)
	}
	if q := host.queries[0]; q.Purpose != cred.PSK || q.Remote.String() != west.String() || q.Local.String() != east.String() {
		t.Errorf("asked with %+v", q)
	}
}

// Keys that follow from an empty SKEYID would be known to everybody who saw the exchange.
func TestPSKGivesNoSKEYIDWhenTheStoreHasNone(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func([]cred.MAC) ([][]byte, error){
		"nothing":   func([]cred.MAC) ([][]byte, error) { return nil, nil },
		"an empty":  func([]cred.MAC) ([][]byte, error) { return [][]byte{{}}, nil },
		"two":       func([]cred.MAC) ([][]byte, error) { return [][]byte{{1}, {2}}, nil },
		"a failure": func([]cred.MAC) ([][]byte, error) { return nil, sdk.ErrNoCredential },
	} {
		value, err := psk.New().SKEYID(t.Context(), &recorder{answer: answer}, auth.SKEYID{Auth: "psk", Local: east, Remote: west, PRF: 2})
		if err == nil || value != nil {
			t.Errorf("%s: got %x", name, []byte(value))
		}
		if name == "a failure" && !errors.Is(err, sdk.ErrNoCredential) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
