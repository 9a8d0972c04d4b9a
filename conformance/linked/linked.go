// Package linked performs a machine's operations by plugins that are linked into the process: no codec, no process, no
// stream. The simulator uses it for determinism, the benchmarks as what plugins out of process are compared with.
package linked

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/ke"
	"github.com/parley-ike/parley/sdk/sa"
)

// Plugins are one implementation of each kind. It is safe for concurrent use when they are.
type Plugins struct {
	KE   map[uint16]ke.Plugin // by method
	Auth map[string]auth.Plugin
	Cred cred.Store
	SA   sa.Plugin
}

// New sorts key exchange and authentication plugins by what they serve.
func New(kes []ke.Plugin, auths []auth.Plugin, store cred.Plugin, backend sa.Plugin) *Plugins {
	p := &Plugins{KE: map[uint16]ke.Plugin{}, Auth: map[string]auth.Plugin{}, Cred: cred.Complete(store), SA: backend}
	for _, k := range kes {
		for _, m := range k.Methods() {
			p.KE[m.ID] = k
		}
	}
	for _, a := range auths {
		for _, name := range a.Methods() {
			p.Auth[name] = a
		}
	}
	return p
}

// Perform does one operation.
func (p *Plugins) Perform(ctx context.Context, op machine.Op) (machine.Result, *machine.CallError) {
	result, err := p.perform(ctx, op)
	if err != nil {
		return nil, callError(err)
	}
	return result, nil
}

func (p *Plugins) perform(ctx context.Context, op machine.Op) (machine.Result, error) {
	switch op := op.(type) {
	case machine.KEInitiate, machine.KERespond, machine.KEFinish:
		return p.keyExchange(ctx, op)
	case machine.Sign, machine.Verify, machine.Authenticate, machine.SKEYID, machine.Protect, machine.Unprotect:
		return p.authenticate(ctx, op)
	case machine.CheckPassword:
		return machine.PasswordChecked{}, p.Cred.CheckPassword(ctx, op.User, op.Password)
	case machine.OwnPassword:
		password, err := p.Cred.OwnPassword(ctx, op.User)
		return machine.OwnPasswordFound{Password: password}, err
	default:
		return p.backend(ctx, op)
	}
}

func (p *Plugins) keyExchange(ctx context.Context, op machine.Op) (machine.Result, error) {
	switch op := op.(type) {
	case machine.KEInitiate:
		k, err := p.method(op.Method)
		if err != nil {
			return nil, err
		}
		state, public, err := k.Initiate(ctx, op.Method)
		return machine.KEInitiated{State: state, Public: public}, err
	case machine.KERespond:
		k, err := p.method(op.Method)
		if err != nil {
			return nil, err
		}
		public, shared, err := k.Respond(ctx, op.Method, op.Peer)
		return machine.KEResponded{Public: public, Secret: shared}, err
	default:
		finish := op.(machine.KEFinish)
		k, err := p.method(finish.Method)
		if err != nil {
			return nil, err
		}
		shared, err := k.Finish(ctx, finish.Method, finish.State, finish.Peer)
		return machine.KEFinished{Secret: shared}, err
	}
}

func (p *Plugins) method(id uint16) (ke.Plugin, error) {
	if k, ok := p.KE[id]; ok {
		return k, nil
	}
	return nil, fmt.Errorf("linked: %w: no plugin for key exchange method %d", sdk.ErrUnsupported, id)
}

func (p *Plugins) authenticator(name string) (auth.Plugin, error) {
	if a, ok := p.Auth[name]; ok {
		return a, nil
	}
	return nil, fmt.Errorf("linked: %w: no plugin for authentication %q", sdk.ErrUnsupported, name)
}

func (p *Plugins) authenticate(ctx context.Context, op machine.Op) (machine.Result, error) {
	switch op := op.(type) {
	case machine.Sign:
		a, err := p.authenticator(op.Auth)
		if err != nil {
			return nil, err
		}
		signed, err := a.Sign(ctx, p.Cred, toSign(op))
		return machine.Signed(signed), err
	case machine.Verify:
		a, err := p.authenticator(op.Auth)
		if err != nil {
			return nil, err
		}
		id, err := a.Verify(ctx, p.Cred, toVerify(op))
		return machine.Verified{Remote: machine.Identity(id)}, err
	case machine.SKEYID:
		return p.skeyid(ctx, op)
	case machine.Protect, machine.Unprotect:
		return p.protect(ctx, op)
	default:
		return p.both(ctx, op.(machine.Authenticate))
	}
}

func (p *Plugins) both(ctx context.Context, op machine.Authenticate) (machine.Result, error) {
	a, err := p.authenticator(op.Verify.Auth)
	if err != nil {
		return nil, err
	}
	if fused, ok := a.(auth.Authenticator); ok && op.Sign.Auth == op.Verify.Auth {
		id, signed, err := fused.Authenticate(ctx, p.Cred, toVerify(op.Verify), toSign(op.Sign))
		return authenticated(id, signed), err
	}
	id, err := a.Verify(ctx, p.Cred, toVerify(op.Verify))
	if err != nil {
		return nil, err
	}
	if a, err = p.authenticator(op.Sign.Auth); err != nil {
		return nil, err
	}
	signed, err := a.Sign(ctx, p.Cred, toSign(op.Sign))
	return authenticated(id, signed), err
}

func (p *Plugins) skeyid(ctx context.Context, op machine.SKEYID) (machine.Result, error) {
	a, err := p.authenticator(op.Auth)
	if err != nil {
		return nil, err
	}
	value, err := auth.DeriveSKEYID(ctx, a, p.Cred, auth.SKEYID{Auth: op.Auth, Local: auth.Identity(op.Local), Remote: auth.Identity(op.Remote),
		PRF: op.PRF, Data: op.Data})
	return machine.SKEYIDDerived{Value: value}, err
}

func authenticated(id auth.Identity, signed auth.Signed) machine.Authenticated {
	return machine.Authenticated{Verified: machine.Verified{Remote: machine.Identity(id)}, Signed: machine.Signed(signed)}
}

func toSign(op machine.Sign) auth.Sign {
	return auth.Sign{Version: op.Version, Auth: op.Auth, Local: auth.Identity(op.Local), Remote: auth.Identity(op.Remote), PRF: op.PRF, Octets: op.Octets, PeerHashes: op.PeerHashes, Issuers: op.Issuers}
}

func toVerify(op machine.Verify) auth.Verify {
	return auth.Verify{Version: op.Version, Auth: op.Auth, Local: auth.Identity(op.Local), Remote: auth.Identity(op.Remote), PRF: op.PRF,
		Octets: op.Octets, Method: op.Method, Data: op.Data, Certs: op.Certs}
}

func (p *Plugins) backend(ctx context.Context, op machine.Op) (machine.Result, error) {
	switch op := op.(type) {
	case machine.AllocateSPI:
		spi, err := p.SA.AllocateSPI(ctx, op.Local, op.Remote)
		return machine.AllocatedSPI{SPI: spi}, err
	case machine.FreeSPI:
		return machine.Freed{}, p.SA.FreeSPI(ctx, op.Local, op.Remote, op.SPI)
	case machine.UpdateChild:
		return machine.Installed{}, p.SA.Update(ctx, toChild(op.Child))
	case machine.InstallChild:
		return machine.Installed{}, p.SA.Install(ctx, toChild(op.Child))
	case machine.RemoveChild:
		usage, err := p.SA.Remove(ctx, toChild(op.Child))
		return machine.Removed{Traffic: event.Traffic(usage)}, err
	case machine.QueryUsage:
		usage, err := p.SA.Usage(ctx, toChild(op.Child))
		return machine.Usage{Traffic: event.Traffic(usage)}, err
	default:
		return nil, fmt.Errorf("linked: %w: operation %T", sdk.ErrUnsupported, op)
	}
}

func toChild(c machine.ChildSA) sa.Child {
	return sa.Child{
		UID: sa.UID(c.UID), Owner: Owner, Conn: c.Conn, Name: c.Name, ReqID: c.ReqID, SPIIn: c.SPIIn, SPIOut: c.SPIOut,
		Mode: sa.Mode(c.Mode), Local: c.Local, Remote: c.Remote, LocalPort: c.LocalPort, RemotePort: c.RemotePort, Encap: c.Encap,
		Encr: c.Encr, KeyBits: c.KeyBits, Integ: c.Integ, ESN: c.ESN, EncrIn: c.EncrIn, EncrOut: c.EncrOut,
		IntegIn: c.IntegIn, IntegOut: c.IntegOut, ReplayWindow: c.ReplayWindow, LocalTS: toSelectors(c.LocalTS), RemoteTS: toSelectors(c.RemoteTS),
		Held: c.Held, Soft: sa.Volume(c.Soft), Hard: sa.Volume(c.Hard), TFC: c.TFC, Addresses: c.Addresses,
	}
}

// Owner marks every child that a Plugins installs.
const Owner = "linked"

func toSelectors(all []machine.Selector) []sa.Selector {
	out := make([]sa.Selector, len(all))
	for i, s := range all {
		out[i] = sa.Selector(s)
	}
	return out
}

func callError(err error) *machine.CallError {
	kind := machine.Internal
	for sentinel, k := range map[error]machine.ErrorKind{
		sdk.ErrUnavailable: machine.Unavailable, sdk.ErrOverloaded: machine.Overloaded, sdk.ErrRefused: machine.Refused,
		sdk.ErrNoCredential: machine.NoCredential, sdk.ErrUnsupported: machine.Unsupported, sdk.ErrInvalid: machine.Invalid,
	} {
		if errors.Is(err, sentinel) {
			kind = k
		}
	}
	return &machine.CallError{Kind: kind, Text: err.Error()}
}
