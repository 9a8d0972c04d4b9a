package kit

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/ke"
	"github.com/parley-ike/parley/sdk/secret"
)

// The reference implementations of this file fulfil the contracts, but for the fault that is named.

// keeper is what an implementation must not have: state between calls.
type keeper struct {
	private atomic.Pointer[ecdh.PrivateKey]
	calls   atomic.Int32
}

// crowded says that another call is running, once calls had a chance to meet.
func (k *keeper) crowded() bool {
	defer k.calls.Add(-1)
	n := k.calls.Add(1)
	for range 200 {
		runtime.Gosched()
		n = max(n, k.calls.Load())
	}
	return n > 1
}

const oneAtATime = "one call at a time or wrong"

type curve struct {
	fault     string
	keep, own *keeper // shared by all instances, and of one
}

func (c *curve) Methods() []ke.Method {
	m := ke.Method{ID: 31, Name: "CURVE25519", PublicLen: 32, ResponseLen: 32, SecretLen: 32}
	switch c.fault {
	case "no name":
		m.Name = ""
	case "wrong size described":
		m.SecretLen = 64
	}
	return []ke.Method{m}
}

func (c *curve) check(ctx context.Context, method uint16) error {
	switch {
	case method != 31 && c.fault == "unknown method is internal":
		return errors.New("reference: what is that?")
	case method != 31 && c.fault != "unknown method taken":
		return sdk.ErrUnsupported
	case c.fault == oneAtATime && c.own.crowded():
		return errors.New("reference: two calls met")
	case c.fault == "context ignored":
		return nil
	}
	return ctx.Err()
}

func (c *curve) private() *ecdh.PrivateKey {
	private, _ := ecdh.X25519().GenerateKey(rand.Reader)
	if c.fault == "same private value" && !c.keep.private.CompareAndSwap(nil, private) {
		return c.keep.private.Load()
	}
	return private
}

func (c *curve) Initiate(ctx context.Context, method uint16) (secret.Bytes, []byte, error) {
	if err := c.check(ctx, method); err != nil {
		return nil, nil, err
	}
	private := c.private()
	c.own.private.Store(private)
	return private.Bytes(), private.PublicKey().Bytes(), nil
}

func (c *curve) Respond(ctx context.Context, method uint16, peer []byte) ([]byte, secret.Bytes, error) {
	if err := c.check(ctx, method); err != nil {
		return nil, nil, err
	}
	private := c.private()
	shared, err := c.agree(private, peer)
	if err == nil && c.fault == "sides disagree" {
		shared[0] ^= 1
	}
	return private.PublicKey().Bytes(), shared, err
}

func (c *curve) Finish(ctx context.Context, method uint16, state secret.Bytes, peer []byte) (secret.Bytes, error) {
	if err := c.check(ctx, method); err != nil {
		return nil, err
	}
	private, err := ecdh.X25519().NewPrivateKey(state)
	if err != nil && c.fault == "broken state accepted" {
		private, err = c.private(), nil
	}
	if err != nil {
		return nil, errors.New("reference: state")
	}
	if c.fault == "state kept in the instance" {
		if private = c.own.private.Load(); private == nil {
			return nil, errors.New("reference: this instance initiated nothing")
		}
	}
	if c.fault == "finish wipes its state" {
		state.Wipe()
	}
	return c.agree(private, peer)
}

func (c *curve) agree(private *ecdh.PrivateKey, peer []byte) (secret.Bytes, error) {
	if c.fault == "long values cut" && len(peer) > 32 {
		peer = peer[:32]
	}
	public, err := ecdh.X25519().NewPublicKey(peer)
	if err != nil || c.fault == "top bit refused" && peer[31]&0x80 != 0 {
		return nil, sdk.ErrInvalid
	}
	shared, err := private.ECDH(public)
	if err != nil {
		if c.fault == "low order accepted" {
			return make(secret.Bytes, 32), nil
		}
		return nil, sdk.ErrInvalid
	}
	return shared, nil
}

type authenticator struct {
	fault string
	busy  *keeper
}

func (a *authenticator) Methods() []string {
	if a.fault == "no methods" {
		return nil
	}
	return []string{"psk"}
}

func (a *authenticator) prove(ctx context.Context, host auth.Host, setting string, prf uint16, octets []byte) ([]byte, error) {
	if setting != "psk" && a.fault != "auth setting ignored" {
		return nil, sdk.ErrUnsupported
	}
	switch a.fault {
	case oneAtATime:
		if a.busy.crowded() {
			return nil, errors.New("reference: two calls met")
		}
	case "context ignored":
		ctx = context.WithoutCancel(ctx)
	case "one PRF for all":
		if prf != 5 {
			return nil, sdk.ErrUnsupported
		}
	case "octets ignored":
		octets = nil
	}
	sums, err := host.MAC(ctx, cred.Query{Purpose: cred.PSK}, []cred.MAC{{Scheme: cred.IKEv2Auth, PRF: prf, Data: octets}})
	if err != nil && a.fault == "missing key is internal" {
		return nil, errors.New("reference: no key")
	}
	if err != nil {
		return nil, err
	}
	return sums[0], nil
}

func (a *authenticator) Sign(ctx context.Context, host auth.Host, s auth.Sign) (auth.Signed, error) {
	if s.Version == 1 && a.fault != "version ignored" {
		return auth.Signed{}, sdk.ErrUnsupported
	}
	data, err := a.prove(ctx, host, s.Auth, s.PRF, s.Octets)
	if err != nil {
		return auth.Signed{}, err
	}
	return auth.Signed{Method: 2, Data: data}, nil
}

func (a *authenticator) Verify(ctx context.Context, host auth.Host, v auth.Verify) (auth.Identity, error) {
	if v.Version == 1 && a.fault != "version ignored" {
		return auth.Identity{}, sdk.ErrUnsupported
	}
	if v.Method != 2 && a.fault != "AUTH method ignored" {
		return auth.Identity{}, sdk.ErrUnsupported
	}
	want, err := a.prove(ctx, host, v.Auth, v.PRF, v.Octets)
	if err != nil {
		return auth.Identity{}, err
	}
	if !a.equal(want, v.Data) {
		return auth.Identity{}, sdk.ErrRefused
	}
	if a.fault == "claimed identity lost" {
		return auth.Identity{}, nil
	}
	return v.Remote, nil
}

// SKEYID implements auth.KeyDeriver.
func (a *authenticator) SKEYID(ctx context.Context, host auth.Host, s auth.SKEYID) (secret.Bytes, error) {
	if s.Auth != "psk" {
		return nil, sdk.ErrUnsupported
	}
	if a.fault == "nonces ignored" {
		s.Data = nil
	}
	sums, err := host.MAC(ctx, cred.Query{Purpose: cred.PSK}, []cred.MAC{{Scheme: cred.IKEv1SKEYID, PRF: s.PRF, Data: s.Data}})
	switch {
	case err != nil && a.fault == "no SKEYID is internal":
		return nil, errors.New("reference: no key")
	case err != nil:
		return nil, err
	}
	return sums[0], nil
}

func (a *authenticator) equal(want, got []byte) bool {
	switch a.fault {
	case "everything accepted":
		return true
	case "only the beginning compared":
		return len(got) >= 8 && bytes.Equal(want[:8], got[:8])
	case "empty proof accepted":
		return bytes.HasPrefix(want, got) && (len(got) == 0 || len(got) == len(want))
	}
	return bytes.Equal(want, got)
}

func (a *authenticator) Authenticate(ctx context.Context, host auth.Host, v auth.Verify, s auth.Sign) (auth.Identity, auth.Signed, error) {
	who, refused := a.Verify(ctx, host, v)
	if refused != nil && a.fault != "fused signs anyway" {
		return auth.Identity{}, auth.Signed{}, refused
	}
	if a.fault == "fused signs other octets" {
		s.Octets = v.Octets
	}
	signed, err := a.Sign(ctx, host, s)
	return who, signed, errors.Join(refused, err)
}

type store struct {
	fault, instance string
	known           cred.Identity
	busy            *keeper

	mu     sync.Mutex
	shared [][]byte
}

func (s *store) match(ctx context.Context, q cred.Query) error {
	switch {
	case q.Purpose != cred.PSK:
		return sdk.ErrUnsupported
	case reflect.DeepEqual(q.Remote, s.known) && s.fault == "context ignored":
		return nil
	case reflect.DeepEqual(q.Remote, s.known):
		return ctx.Err()
	case s.fault == "unknown is internal":
		return fmt.Errorf("reference: nothing for %v", q.Remote)
	case s.fault == "unknown is not named":
		return sdk.ErrNoCredential
	}
	return fmt.Errorf("reference: %v: %w", q.Remote, sdk.ErrNoCredential)
}

func (s *store) Find(ctx context.Context, q cred.Query) ([]cred.Ref, error) {
	if err := s.match(ctx, q); err != nil {
		return nil, err
	}
	ref := cred.Ref{ID: "1", Source: "reference"}
	if s.fault == "a new ID each time" {
		ref.ID = s.instance
	}
	return []cred.Ref{ref}, nil
}

func (s *store) MAC(ctx context.Context, q cred.Query, macs []cred.MAC) ([][]byte, error) {
	if err := s.match(ctx, q); err != nil {
		return nil, err
	}
	if s.fault == oneAtATime && s.busy.crowded() {
		return nil, errors.New("reference: two calls met")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault == "results are shared" && len(s.shared) == len(macs) {
		return s.shared, nil
	}
	var sums [][]byte
	for _, m := range macs {
		sum, err := s.sum(m)
		if err != nil {
			return nil, err
		}
		sums = append(sums, sum)
	}
	if s.fault == "out of order" {
		slices.Reverse(sums)
	}
	s.shared = sums
	return sums, nil
}

func (s *store) sum(m cred.MAC) ([]byte, error) {
	key := secret.Bytes(Key)
	switch s.fault {
	case "instances differ":
		key = append(key, s.instance...)
	case "any scheme":
		if m.Scheme != cred.IKEv1SKEYID {
			m.Scheme = cred.IKEv2Auth
		}
	case "one scheme for all":
		m.Scheme = cred.IKEv2Auth
	case "inner derivation left out":
		sum, err := PSKMAC(key, m)
		return append(sum[:len(sum)-1], 0), err
	}
	return PSKMAC(key, m)
}
