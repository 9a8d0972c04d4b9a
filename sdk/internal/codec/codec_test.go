package codec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/parley-ike/parley/sdk"
	credv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/cred/v1"
	sav1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/sa/v1"
)

func TestImpossibleNumbersAndAddressesAreInvalid(t *testing.T) {
	t.Parallel()
	uid := make([]byte, 16)
	for name, err := range map[string]error{
		"method":       second(Method(1 << 16)),
		"identity":     second(ToIdentity(&credv1.Identity{Type: 256})),
		"prf":          second(ToMACs([]*credv1.MAC{{Prf: 1 << 16}})),
		"hash":         second(ToSignRequest(&credv1.SignRequest{Hash: 1 << 16})),
		"sign scheme":  second(ToSignRequest(&credv1.SignRequest{Scheme: 256})),
		"decryption":   second(ToDecryptRequest(&credv1.DecryptRequest{Scheme: 256})),
		"trust":        second(ToTrustRequest(&credv1.TrustRequest{Purpose: 256})),
		"address":      second(ToAddr("local", make([]byte, 5))),
		"no uid":       second(ToChild(&sav1.Child{})),
		"port":         second(ToChild(&sav1.Child{Uid: uid, LocalPort: 1 << 16})),
		"mode":         second(ToChild(&sav1.Child{Uid: uid, Mode: -1})),
		"selector":     second(ToChild(&sav1.Child{Uid: uid, LocalTs: []*sav1.Selector{{Protocol: 256}}})),
		"no event":     second(ToEvent(&sav1.Event{})),
		"event port":   second(ToEvent(&sav1.Event{What: &sav1.Event_Moved{Moved: &sav1.Moved{RemotePort: 1 << 16}}})),
		"tfc":          second(ToChild(&sav1.Child{Uid: uid, Tfc: 1 << 16})),
		"no address":   second(ToChild(&sav1.Child{Uid: uid, Addresses: [][]byte{nil}})),
		"capabilities": second(ToCapabilities(&sav1.ProbeResponse{Algorithms: []*sav1.Algorithm{{Id: 1 << 16}}})),
	} {
		if !errors.Is(err, sdk.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := second(ToChild(&sav1.Child{Uid: uid})); err != nil {
		t.Errorf("a child of which little is told, as for a removal: %v", err)
	}
}

func TestTheKeysOfAChildOutliveItsMessage(t *testing.T) {
	t.Parallel()
	body := (&sav1.Child{Uid: make([]byte, 16), EncrIn: []byte{1}, EncrOut: []byte{2}, IntegIn: []byte{3}, IntegOut: []byte{4}}).AppendWire(nil)
	var m sav1.Child
	if err := m.ParseWire(body); err != nil {
		t.Fatal(err)
	}
	c, err := ToChild(&m)
	clear(body)
	if err != nil || !slices.Equal(slices.Concat(c.EncrIn, c.EncrOut, c.IntegIn, c.IntegOut), []byte{1, 2, 3, 4}) {
		t.Errorf("the keys of %+v were wiped with the message, error %v", c, err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestErrorsKeepTheirKindOnTheWay(t *testing.T) {
	t.Parallel()
	for _, want := range []error{sdk.ErrUnavailable, sdk.ErrOverloaded, sdk.ErrRefused, sdk.ErrNoCredential, sdk.ErrUnsupported, sdk.ErrInvalid} {
		got := ToError(FromError(fmt.Errorf("the slot: %w", want)))
		if !errors.Is(got, want) || got.Error() != "the slot: "+want.Error() {
			t.Errorf("%v became %v", want, got)
		}
	}
	if got := ToError(FromError(context.DeadlineExceeded)); !errors.Is(got, sdk.ErrUnavailable) {
		t.Errorf("a deadline became %v", got)
	}
	if got := ToError(FromError(errors.New("odd"))); errors.Is(got, sdk.ErrUnavailable) || got.Error() == "odd" {
		t.Errorf("another error became %v", got)
	}
}
