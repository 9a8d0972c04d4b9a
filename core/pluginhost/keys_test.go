package pluginhost

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/secret"
)

// keyUser is an authenticator that asks a host everything: its proof is what Find, Sign, Trust and Decrypt gave.
type keyUser struct{}

func (keyUser) Methods() []string { return []string{"keys"} }

func (keyUser) Sign(ctx context.Context, h auth.Host, s auth.Sign) (auth.Signed, error) {
	refs, err := h.Find(ctx, cred.Query{Purpose: cred.Signature, Local: s.Local, Issuers: [][]byte{[]byte("issuer")}})
	if err != nil {
		return auth.Signed{}, err
	}
	data, err := h.Sign(ctx, cred.SignRequest{Ref: refs[0].ID, Scheme: cred.ECDSA, Hash: cred.HashSHA384, Data: s.Octets})
	return auth.Signed{Method: 10, Data: data, Certs: append(refs[0].Chain, refs[0].Public)}, err
}

func (keyUser) Verify(ctx context.Context, h auth.Host, v auth.Verify) (auth.Identity, error) {
	verdict, err := h.Trust(ctx, cred.TrustRequest{Chain: v.Certs, Purpose: cred.Signature, Identity: v.Remote, Now: time.Unix(1, 0)})
	if err != nil {
		return auth.Identity{}, err
	}
	plain, err := h.Decrypt(ctx, cred.DecryptRequest{Ref: "deep", Scheme: cred.RSAPKCS1v15, Data: v.Data})
	return auth.Identity{Type: 2, Data: fmt.Appendf(plain, "|%s|%s|%s|%s|%d", verdict.Public, verdict.Subject, verdict.Issuer, verdict.Anchor, verdict.Until.Unix())}, err
}

// keyStore repeats what it is asked.
type keyStore struct{ store }

func (keyStore) Find(_ context.Context, q cred.Query) ([]cred.Ref, error) {
	return []cred.Ref{{ID: fmt.Sprintf("%d-%s", q.Purpose, q.Local.Data), Source: "s", Chain: q.Issuers, Public: []byte("public")}}, nil
}

func (keyStore) Sign(_ context.Context, r cred.SignRequest) ([]byte, error) {
	if r.Ref != "2-east" {
		return nil, fmt.Errorf("no key %q here: %w", r.Ref, sdk.ErrNoCredential)
	}
	return fmt.Appendf(nil, "%d %d %s", r.Scheme, r.Hash, r.Data), nil
}

func (keyStore) Decrypt(_ context.Context, r cred.DecryptRequest) (secret.Bytes, error) {
	return fmt.Appendf(nil, "%s %d %s", r.Ref, r.Scheme, r.Data), nil
}

func (keyStore) Trust(_ context.Context, r cred.TrustRequest) (cred.Verdict, error) {
	return cred.Verdict{Public: r.Chain[0], Subject: string(r.Identity.Data), Issuer: fmt.Sprint(r.Purpose), Anchor: "a", Until: r.Now.Add(time.Second)}, nil
}

func (keyStore) CheckPassword(_ context.Context, user string, password secret.Bytes) error {
	switch {
	case user != "alice":
		return fmt.Errorf("no user %q here: %w", user, sdk.ErrNoCredential)
	case !password.Equal([]byte("sesame")):
		return sdk.ErrRefused
	}
	return nil
}

func (keyStore) OwnPassword(_ context.Context, user string) (secret.Bytes, error) {
	return secret.Bytes(user + "'s own"), nil
}

// The core asks the stores itself, in the same order as authenticators do.
func TestAPasswordIsCheckedByTheStoreThatKnowsTheUser(t *testing.T) {
	t.Parallel()
	w := started(t, quick, fixture(t, "psks", []string{"cred"}, "psks"), fixture(t, "keys", []string{"auth", "cred"}, "keys"))
	check := func(user, password string) machine.Reply {
		return w.call(machine.CheckPassword{User: user, Password: secret.Bytes(password)})
	}
	if reply := check("alice", "sesame"); reply.Err != nil || reply.Result != (machine.PasswordChecked{}) {
		t.Errorf("a good password gave %+v", reply)
	}
	if reply := check("alice", "simsim"); reply.Err == nil || reply.Err.Kind != machine.Refused {
		t.Errorf("a wrong password gave %+v", reply.Err)
	}
	if reply := check("bob", "sesame"); reply.Err == nil || reply.Err.Kind != machine.NoCredential || !strings.Contains(reply.Err.Text, `no user "bob" here`) {
		t.Errorf("an unknown user gave %+v", reply.Err)
	}
	if found, ok := w.call(machine.OwnPassword{User: "carol"}).Result.(machine.OwnPasswordFound); !ok || string(found.Password) != "carol's own" {
		t.Errorf("our password is %+v", found)
	}
}

// A store for pre-shared keys alone stands first: it does not understand what is asked about private keys, and the next is asked.
func TestAnAuthenticatorAsksForKeysBehindAStoreThatHasNone(t *testing.T) {
	t.Parallel()
	carriers(t, func(t *testing.T, cfg Config) {
		w := started(t, cfg, fixture(t, "psks", []string{"cred"}, "psks"), fixture(t, "keys", []string{"auth", "cred"}, "keys"))
		east := machine.Identity{Type: 2, Data: []byte("east")}
		signed, ok := w.call(machine.Sign{Auth: "keys", Local: east, Octets: []byte("ours")}).Result.(machine.Signed)
		if !ok || string(signed.Data) != "4 3 ours" || len(signed.Certs) != 2 || string(signed.Certs[0]) != "issuer" || string(signed.Certs[1]) != "public" {
			t.Errorf("sign gave %+v", signed)
		}
		verify := machine.Verify{Auth: "keys", Local: east, Remote: east, Method: 14, Data: []byte("theirs"), Certs: [][]byte{[]byte("leaf")}}
		verified, ok := w.call(verify).Result.(machine.Verified)
		if want := "deep 1 theirs|leaf|east|2|a|2"; !ok || string(verified.Remote.Data) != want {
			t.Errorf("verify gave %q, want %q", verified.Remote.Data, want)
		}
	})
}

func TestAKeyThatNoStoreHasIsNoCredentialAndOneThatNoneUnderstandsIsUnsupported(t *testing.T) {
	t.Parallel()
	keys := fixture(t, "keys", []string{"auth", "cred"}, "keys")
	north := machine.Sign{Auth: "keys", Local: machine.Identity{Type: 2, Data: []byte("north")}, Octets: []byte("x")}
	w := started(t, quick, fixture(t, "psks", []string{"cred"}, "psks"), keys)
	if reply := w.call(north); reply.Err == nil || reply.Err.Kind != machine.NoCredential || !strings.Contains(reply.Err.Text, "cannot sign") || !strings.Contains(reply.Err.Text, `no key "2-north" here`) {
		t.Errorf("a key that no store has gave %+v", reply.Err)
	}
	w = started(t, quick, fixture(t, "psks", []string{"cred"}, "psks"), fixture(t, "user", []string{"auth"}, "keyuser"))
	if reply := w.call(north); reply.Err == nil || reply.Err.Kind != machine.Unsupported {
		t.Errorf("a question that no store understands gave %+v", reply.Err)
	}
}

// pskStore is a store of before there were private keys.
type pskStore struct{ store }

func (pskStore) Find(_ context.Context, q cred.Query) ([]cred.Ref, error) {
	return nil, fmt.Errorf("purpose %d: %w", q.Purpose, sdk.ErrUnsupported)
}
