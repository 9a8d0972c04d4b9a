package kit

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"reflect"
	"testing"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/secret"
)

// AuthFixture is what the authentication suite works with: an implementation and two parties who can prove themselves
// to each other.
type AuthFixture struct {
	Open       func() auth.Plugin // another instance
	Auth       string             // the connection's setting
	East, West auth.Identity
	EastHost   auth.Host // the credentials of each
	WestHost   auth.Host
	WrongHost  auth.Host // of someone who claims to be East and has another key
	EmptyHost  auth.Host // has no credentials at all
	Hashes     []uint16  // that both announce (RFC 7427), none for authenticators that do not care
}

// PSKFixture returns a fixture for authenticators with pre-shared keys.
func PSKFixture(open func() auth.Plugin, setting string) AuthFixture {
	key := []byte("a pre-shared key for the conformance kit, 64 octets in its length")
	return AuthFixture{
		Open: open, Auth: setting,
		East:     auth.Identity{Type: 2, Data: []byte("east.example.net")},
		West:     auth.Identity{Type: 2, Data: []byte("west.example.net")},
		EastHost: &PSKHost{Key: key}, WestHost: &PSKHost{Key: key},
		WrongHost: &PSKHost{Key: []byte("another key")}, EmptyHost: &PSKHost{},
	}
}

// PSKHost is a host with one pre-shared key for everybody, and none when the key is empty.
type PSKHost struct {
	cred.Unsupported
	Key secret.Bytes
}

// MAC implements auth.Host.
func (h *PSKHost) MAC(ctx context.Context, q cred.Query, macs []cred.MAC) ([][]byte, error) {
	if len(h.Key) == 0 {
		return nil, fmt.Errorf("kit: no key for %v: %w", q.Remote, sdk.ErrNoCredential)
	}
	var sums [][]byte
	for _, m := range macs {
		sum, err := PSKMAC(h.Key, m)
		if err != nil {
			return nil, err
		}
		sums = append(sums, sum)
	}
	return sums, ctx.Err()
}

var prfs = map[uint16]func() hash.Hash{2: sha1.New, 5: sha256.New, 6: sha512.New384, 7: sha512.New}

// PSKMAC computes a derivation with a pre-shared key: prf(prf(key, "Key Pad for IKEv2"), data) of RFC 7296 section 2.15, or
// prf(key, data) of RFC 2409 section 5, for the PRFs 2 (HMAC-SHA1), 5, 6 and 7 (HMAC-SHA2-256, -384, -512).
func PSKMAC(key secret.Bytes, m cred.MAC) ([]byte, error) {
	h, ok := prfs[m.PRF]
	if !ok || m.Scheme != cred.IKEv2Auth && m.Scheme != cred.IKEv1SKEYID {
		return nil, fmt.Errorf("kit: scheme %d with PRF %d: %w", m.Scheme, m.PRF, sdk.ErrUnsupported)
	}
	if m.Scheme == cred.IKEv2Auth {
		key = sum(h, key, []byte("Key Pad for IKEv2"))
	}
	return sum(h, key, m.Data), nil
}

func sum(h func() hash.Hash, key, data []byte) []byte {
	mac := hmac.New(h, key)
	mac.Write(data)
	return mac.Sum(nil)
}

// Auth runs every check of the authentication contract.
func Auth(t *testing.T, f AuthFixture) {
	t.Helper()
	Run(t, AuthChecks(), f)
}

// AuthChecks returns the checks of the authentication contract.
func AuthChecks() []Check[AuthFixture] {
	return []Check[AuthFixture]{
		{"methods are named and constant", "sdk/auth Plugin", authMethods},
		{"each side accepts the other's proof, with every PRF", "RFC 7296 section 2.15", authBothWays},
		{"a changed proof is refused", "sdk ErrRefused", authChangedProof},
		{"a proof of other octets is refused", "RFC 7296 section 2.15", authOtherOctets},
		{"a proof with another key is refused", "sdk ErrRefused", authWrongKey},
		{"a missing key is no credential", "sdk ErrNoCredential", authNoKey},
		{"another AUTH method is not accepted", "RFC 7296 section 3.8", authOtherMethod},
		{"another auth setting is unsupported", "sdk ErrUnsupported", authOtherSetting},
		{"verify and sign in one call do the same", "sdk/auth Authenticator", authFused},
		{"no proof leaves when the peer's is wrong", "sdk/auth Authenticator", authFusedRefused},
		{"both sides derive one SKEYID, which every input changes", "RFC 2409 section 5", authSKEYID},
		{"without a key there is no SKEYID", "sdk ErrNoCredential", authNoSKEYID},
		{"IKEv1 has no signature of a pre-shared key", "sdk ErrUnsupported", authVersion},
		{"calls run at the same time", "sdk/auth Plugin", authConcurrent},
		{"a call whose context ended is not performed", "sdk/auth Plugin", authCanceled},
	}
}

// octets are long enough for an IKE_SA_INIT message, and different per direction.
func octets(direction byte) []byte { return bytes.Repeat([]byte{direction, 1, 2, 3}, 100) }

// signEast is what East is asked to sign.
func (f AuthFixture) signEast(prf uint16) auth.Sign {
	return auth.Sign{Auth: f.Auth, Local: f.East, Remote: f.West, PRF: prf, Octets: octets('e'), PeerHashes: f.Hashes}
}

func (f AuthFixture) signWest(prf uint16) auth.Sign {
	return auth.Sign{Auth: f.Auth, Local: f.West, Remote: f.East, PRF: prf, Octets: octets('w'), PeerHashes: f.Hashes}
}

// verifyAt is what the other side is asked to verify after s.
func verifyAt(s auth.Sign, p auth.Signed) auth.Verify {
	return auth.Verify{
		Auth: s.Auth, Local: s.Remote, Remote: s.Local, PRF: s.PRF, Octets: s.Octets,
		Method: p.Method, Data: p.Data, Certs: p.Certs,
	}
}

// proof makes East's proof and West's request to verify it.
func (f AuthFixture) proof(ctx context.Context, p auth.Plugin, host auth.Host, prf uint16) (auth.Verify, error) {
	s := f.signEast(prf)
	signed, err := p.Sign(ctx, host, s)
	if err != nil {
		return auth.Verify{}, fmt.Errorf("sign: %w", err)
	}
	return verifyAt(s, signed), nil
}

func authMethods(_ context.Context, f AuthFixture) error {
	methods := f.Open().Methods()
	if len(methods) == 0 || !reflect.DeepEqual(methods, f.Open().Methods()) {
		return fmt.Errorf("methods %q: none, or others in another instance", methods)
	}
	return nil
}

func authBothWays(ctx context.Context, f AuthFixture) error {
	east, west := f.Open(), f.Open()
	for prf := range prfs {
		for _, way := range []struct {
			sign               auth.Sign
			signer, verifier   auth.Plugin
			signHost, verifyAt auth.Host
		}{
			{f.signEast(prf), east, west, f.EastHost, f.WestHost},
			{f.signWest(prf), west, east, f.WestHost, f.EastHost},
		} {
			signed, err := way.signer.Sign(ctx, way.signHost, way.sign)
			if err != nil {
				return fmt.Errorf("PRF %d: sign: %w", prf, err)
			}
			who, err := way.verifier.Verify(ctx, way.verifyAt, verifyAt(way.sign, signed))
			if err != nil {
				return fmt.Errorf("PRF %d: verify: %w", prf, err)
			}
			if !reflect.DeepEqual(who, way.sign.Local) {
				return fmt.Errorf("PRF %d: proven %v, want %v", prf, who, way.sign.Local)
			}
		}
	}
	return nil
}

// refused expects both ways of verifying to refuse with an error that wraps want.
func (f AuthFixture) refused(ctx context.Context, p auth.Plugin, host auth.Host, what string, v auth.Verify, want error) error {
	who, err := p.Verify(ctx, host, v)
	problem := WantError(what, err, want)
	if who.Type != 0 || who.Data != nil {
		problem = errors.Join(problem, fmt.Errorf("%s: an identity beside the error", what))
	}
	fused, ok := p.(auth.Authenticator)
	if !ok {
		return problem
	}
	_, _, err = fused.Authenticate(ctx, host, v, f.signWest(v.PRF))
	return errors.Join(problem, WantError(what+", in one call", err, want))
}

func authChangedProof(ctx context.Context, f AuthFixture) error {
	p := f.Open()
	v, err := f.proof(ctx, p, f.EastHost, 5)
	if err != nil {
		return err
	}
	var problems []error
	for what, data := range changed(v.Data) {
		v.Data = data
		problems = append(problems, f.refused(ctx, p, f.WestHost, what, v, sdk.ErrRefused))
	}
	return errors.Join(problems...)
}

func changed(proof []byte) map[string][]byte {
	first, last := bytes.Clone(proof), bytes.Clone(proof)
	first[0] ^= 0x80
	last[len(last)-1] ^= 1
	return map[string][]byte{
		"first bit turned": first, "last bit turned": last,
		"cut": proof[:len(proof)-1], "one octet more": append(bytes.Clone(proof), 0),
		"empty": {}, "none": nil, "zeros": make([]byte, len(proof)), "twice": append(bytes.Clone(proof), proof...),
	}
}

func authOtherOctets(ctx context.Context, f AuthFixture) error {
	p := f.Open()
	v, err := f.proof(ctx, p, f.EastHost, 5)
	if err != nil {
		return err
	}
	v.Octets = octets('w') // as if West's own proof had come back
	return f.refused(ctx, p, f.WestHost, "other octets", v, sdk.ErrRefused)
}

func authWrongKey(ctx context.Context, f AuthFixture) error {
	p := f.Open()
	v, err := f.proof(ctx, p, f.WrongHost, 5)
	if err != nil {
		return err
	}
	return f.refused(ctx, p, f.WestHost, "a proof with another key", v, sdk.ErrRefused)
}

func authNoKey(ctx context.Context, f AuthFixture) error {
	p := f.Open()
	_, err := p.Sign(ctx, f.EmptyHost, f.signEast(5))
	problem := WantError("sign without a key", err, sdk.ErrNoCredential)
	v, err := f.proof(ctx, p, f.EastHost, 5)
	if err != nil {
		return err
	}
	if refused := f.refused(ctx, p, f.EmptyHost, "verify without a key", v, sdk.ErrRefused); refused == nil {
		return problem // nobody vouches for the peer's key, which is its failure and not ours
	}
	return errors.Join(problem, f.refused(ctx, p, f.EmptyHost, "verify without a key", v, sdk.ErrNoCredential))
}

func authOtherMethod(ctx context.Context, f AuthFixture) error {
	p := f.Open()
	v, err := f.proof(ctx, p, f.EastHost, 5)
	if err != nil {
		return err
	}
	for _, method := range []uint8{0, 255} { // reserved, and the last for private use
		v.Method = method
		_, err := p.Verify(ctx, f.WestHost, v)
		if !errors.Is(err, sdk.ErrUnsupported) && !errors.Is(err, sdk.ErrRefused) {
			return fmt.Errorf("AUTH method %d: got %v, want an error that wraps unsupported or refused", method, err)
		}
	}
	return nil
}

func authOtherSetting(ctx context.Context, f AuthFixture) error {
	p := f.Open()
	v, err := f.proof(ctx, p, f.EastHost, 5)
	if err != nil {
		return err
	}
	s := f.signEast(5)
	v.Auth, s.Auth = "no such method", "no such method"
	_, err = p.Sign(ctx, f.EastHost, s)
	return errors.Join(WantError("sign", err, sdk.ErrUnsupported), f.refused(ctx, p, f.WestHost, "verify", v, sdk.ErrUnsupported))
}

func authFused(ctx context.Context, f AuthFixture) error {
	p, ok := f.Open().(auth.Authenticator)
	if !ok {
		return nil
	}
	v, err := f.proof(ctx, f.Open(), f.EastHost, 5)
	if err != nil {
		return err
	}
	s := f.signWest(5)
	who, signed, err := p.Authenticate(ctx, f.WestHost, v, s)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(who, f.East) {
		return fmt.Errorf("proven %v, want %v", who, f.East)
	}
	_, err = f.Open().Verify(ctx, f.EastHost, verifyAt(s, signed))
	return err
}

func authFusedRefused(ctx context.Context, f AuthFixture) error {
	p, ok := f.Open().(auth.Authenticator)
	if !ok {
		return nil
	}
	v, err := f.proof(ctx, f.Open(), f.WrongHost, 5)
	if err != nil {
		return err
	}
	who, signed, err := p.Authenticate(ctx, f.WestHost, v, f.signWest(5))
	if signed.Data != nil || signed.Certs != nil || signed.Method != 0 || who.Data != nil {
		return errors.New("a proof or an identity beside the error")
	}
	return WantError("a proof with another key", err, sdk.ErrRefused)
}

func authConcurrent(ctx context.Context, f AuthFixture) error {
	p := f.Open()
	return Together(func(int) error {
		v, err := f.proof(ctx, p, f.EastHost, 5)
		if err != nil {
			return err
		}
		_, err = p.Verify(ctx, f.WestHost, v)
		return err
	})
}

func authCanceled(ctx context.Context, f AuthFixture) error {
	p := f.Open()
	v, err := f.proof(ctx, p, f.EastHost, 5)
	if err != nil {
		return err
	}
	_, sign := p.Sign(Canceled(ctx), f.EastHost, f.signEast(5))
	_, verify := p.Verify(Canceled(ctx), f.WestHost, v)
	return errors.Join(WantCanceled("sign", sign), WantCanceled("verify", verify))
}
