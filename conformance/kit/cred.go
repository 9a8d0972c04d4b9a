package kit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/secret"
)

// CredFixture is what the credential store suite works with: a store that holds one pre-shared key for Known.
type CredFixture struct {
	Open    func() cred.Plugin // another instance over the same credentials
	Known   cred.Query
	Key     secret.Bytes // that of Known; nil when it is not to be had, the suite then trusts the store's values
	Unknown cred.Query   // for whom there is no credential
}

// Cred runs every check of the credential store contract.
func Cred(t *testing.T, f CredFixture) {
	t.Helper()
	Run(t, CredChecks(), f)
}

// CredChecks returns the checks of the credential store contract.
func CredChecks() []Check[CredFixture] {
	return []Check[CredFixture]{
		{"a known identity is found, with a stable reference", "sdk/cred Ref", credFinds},
		{"derivations are right, for every scheme and PRF and in order", "RFC 7296 section 2.15, RFC 2409 section 5", credDerives},
		{"two instances derive the same", "sdk/cred Plugin", credInstances},
		{"an unknown identity is no credential and named", "sdk/cred Plugin", credUnknown},
		{"an unknown scheme, PRF or purpose is unsupported", "sdk ErrUnsupported", credUnsupported},
		{"a result belongs to the caller", "sdk/cred Plugin", credOwned},
		{"calls run at the same time", "sdk/cred Plugin", credConcurrent},
		{"a call whose context ended is not performed", "sdk/cred Plugin", credCanceled},
	}
}

func credFinds(ctx context.Context, f CredFixture) error {
	refs, err := f.Open().Find(ctx, f.Known)
	if err != nil {
		return err
	}
	if len(refs) == 0 {
		return errors.New("nothing found")
	}
	seen := map[string]bool{}
	for _, ref := range refs {
		if ref.ID == "" || ref.Source == "" || seen[ref.ID] {
			return fmt.Errorf("incomplete or repeated: %+v", ref)
		}
		seen[ref.ID] = true
	}
	again, err := f.Open().Find(ctx, f.Known)
	if err != nil || !reflect.DeepEqual(refs, again) {
		return fmt.Errorf("another instance found %+v, want %+v, error %v", again, refs, err)
	}
	return nil
}

// credMACs are derivations with every PRF that the kit knows, over different data.
func credMACs() []cred.MAC {
	var macs []cred.MAC
	for _, prf := range []uint16{5, 7, 2, 6, 5} {
		macs = append(macs, cred.MAC{Scheme: cred.IKEv2Auth, PRF: prf, Data: octets(byte(len(macs)))})
		macs = append(macs, cred.MAC{Scheme: cred.IKEv1SKEYID, PRF: prf, Data: octets(byte(len(macs)))})
	}
	return macs
}

func credDerives(ctx context.Context, f CredFixture) error {
	macs := credMACs()
	got, err := f.Open().MAC(ctx, f.Known, macs)
	if err != nil {
		return err
	}
	if len(got) != len(macs) {
		return fmt.Errorf("%d results for %d derivations", len(got), len(macs))
	}
	for n, m := range macs {
		if want := prfs[m.PRF]().Size(); len(got[n]) != want {
			return fmt.Errorf("PRF %d: %d octets, want %d", m.PRF, len(got[n]), want)
		}
		if f.Key == nil {
			continue
		}
		want, err := PSKMAC(f.Key, m)
		if err != nil {
			return err
		}
		if !bytes.Equal(got[n], want) {
			return fmt.Errorf("scheme %d, PRF %d: another value than prf(prf(key, \"Key Pad for IKEv2\"), data) or prf(key, data)", m.Scheme, m.PRF)
		}
	}
	return nil
}

func credInstances(ctx context.Context, f CredFixture) error {
	a, errA := f.Open().MAC(ctx, f.Known, credMACs())
	b, errB := f.Open().MAC(ctx, f.Known, credMACs())
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	if !reflect.DeepEqual(a, b) {
		return errors.New("different values")
	}
	return nil
}

func credUnknown(ctx context.Context, f CredFixture) error {
	_, find := f.Open().Find(ctx, f.Unknown)
	_, mac := f.Open().MAC(ctx, f.Unknown, credMACs())
	if err := errors.Join(WantError("find", find, sdk.ErrNoCredential), WantError("MAC", mac, sdk.ErrNoCredential)); err != nil {
		return err
	}
	if name := f.Unknown.Remote.String(); !strings.Contains(mac.Error(), name) {
		return fmt.Errorf("the error %q does not name %s", mac, name)
	}
	return nil
}

func credUnsupported(ctx context.Context, f CredFixture) error {
	p := f.Open()
	_, scheme := p.MAC(ctx, f.Known, []cred.MAC{{Scheme: 255, PRF: 5}})
	_, prf := p.MAC(ctx, f.Known, []cred.MAC{{Scheme: cred.IKEv2Auth, PRF: 5}, {Scheme: cred.IKEv2Auth, PRF: 65535}})
	strange := f.Known
	strange.Purpose = 255
	_, purpose := p.MAC(ctx, strange, credMACs())
	return errors.Join(WantError("scheme 255", scheme, sdk.ErrUnsupported), WantError("PRF 65535", prf, sdk.ErrUnsupported),
		WantError("purpose 255", purpose, sdk.ErrUnsupported))
}

func credOwned(ctx context.Context, f CredFixture) error {
	p := f.Open()
	first, err := p.MAC(ctx, f.Known, credMACs())
	if err != nil {
		return err
	}
	kept := bytes.Clone(first[0])
	for _, sum := range first {
		clear(sum)
	}
	second, err := p.MAC(ctx, f.Known, credMACs())
	if err != nil {
		return err
	}
	if !bytes.Equal(second[0], kept) {
		return errors.New("wiping a result changed the next one")
	}
	return nil
}

func credConcurrent(ctx context.Context, f CredFixture) error {
	p := f.Open()
	want, err := p.MAC(ctx, f.Known, credMACs())
	if err != nil {
		return err
	}
	return Together(func(int) error {
		got, err := p.MAC(ctx, f.Known, credMACs())
		if err == nil && !reflect.DeepEqual(got, want) {
			err = errors.New("another value")
		}
		return err
	})
}

func credCanceled(ctx context.Context, f CredFixture) error {
	_, find := f.Open().Find(Canceled(ctx), f.Known)
	_, mac := f.Open().MAC(Canceled(ctx), f.Known, credMACs())
	return errors.Join(WantCanceled("find", find), WantCanceled("MAC", mac))
}
