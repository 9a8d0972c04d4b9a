package sdktest

import (
	"context"
	"encoding/binary"
	"net/netip"

	"google.golang.org/protobuf/proto"

	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/internal/codec"
	"github.com/parley-ike/parley/sdk/ke"
	authv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/auth/v1"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	credv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/cred/v1"
	kev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/ke/v1"
	sav1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/sa/v1"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/secret"
)

// KE is the key exchange service of that name, seen from the daemon.
func (c *Client) KE(name string) ke.Plugin { return keEnd{end{c, name}} }

type keEnd struct{ end }

func (e keEnd) Methods() []ke.Method {
	methods, _ := codec.ToMethods(e.client.service("ke", e.name).GetKeyExchanges())
	return methods
}

func (e keEnd) Initiate(ctx context.Context, method uint16) (secret.Bytes, []byte, error) {
	var r kev1.InitiateResponse
	err := e.call(ctx, basev1.Op_OP_KE_INITIATE, 0, &kev1.InitiateRequest{Method: uint32(method)}, &r)
	return r.GetState(), r.GetPublic(), err
}

func (e keEnd) Respond(ctx context.Context, method uint16, peer []byte) ([]byte, secret.Bytes, error) {
	var r kev1.RespondResponse
	err := e.call(ctx, basev1.Op_OP_KE_RESPOND, 0, &kev1.RespondRequest{Method: uint32(method), PeerPublic: peer}, &r)
	return r.GetPublic(), r.GetSecret(), err
}

func (e keEnd) Finish(ctx context.Context, method uint16, state secret.Bytes, peer []byte) (secret.Bytes, error) {
	var r kev1.FinishResponse
	err := e.call(ctx, basev1.Op_OP_KE_FINISH, 0, &kev1.FinishRequest{Method: uint32(method), State: state, PeerPublic: peer}, &r)
	return r.GetSecret(), err
}

// Auth is the authenticator of that name, seen from the daemon. It also implements auth.Authenticator. The host that is
// given to its methods takes the place of SetHost's, when it is not nil.
func (c *Client) Auth(name string) auth.Plugin { return authEnd{end{c, name}} }

type authEnd struct{ end }

var _ auth.Authenticator = authEnd{}

func (e authEnd) Methods() []string { return e.client.service("auth", e.name).GetAuths() }

func (e authEnd) use(h auth.Host) {
	if h != nil {
		e.client.SetHost(h)
	}
}

func (e authEnd) Sign(ctx context.Context, h auth.Host, s auth.Sign) (auth.Signed, error) {
	e.use(h)
	var r authv1.SignResponse
	if err := e.call(ctx, basev1.Op_OP_AUTH_SIGN, 0, codec.FromSign(s), &r); err != nil {
		return auth.Signed{}, err
	}
	return codec.ToSigned(&r)
}

func (e authEnd) Verify(ctx context.Context, h auth.Host, v auth.Verify) (auth.Identity, error) {
	e.use(h)
	var r authv1.VerifyResponse
	if err := e.call(ctx, basev1.Op_OP_AUTH_VERIFY, 0, codec.FromVerify(v), &r); err != nil {
		return auth.Identity{}, err
	}
	return codec.ToIdentity(r.GetRemote())
}

func (e authEnd) Authenticate(ctx context.Context, h auth.Host, v auth.Verify, s auth.Sign) (auth.Identity, auth.Signed, error) {
	e.use(h)
	var r authv1.AuthenticateResponse
	request := &authv1.AuthenticateRequest{Verify: codec.FromVerify(v), Sign: codec.FromSign(s)}
	if err := e.call(ctx, basev1.Op_OP_AUTH_AUTHENTICATE, 0, request, &r); err != nil {
		return auth.Identity{}, auth.Signed{}, err
	}
	remote, err := codec.ToIdentity(r.GetVerified().GetRemote())
	if err != nil {
		return auth.Identity{}, auth.Signed{}, err
	}
	signed, err := codec.ToSigned(r.GetSigned())
	return remote, signed, err
}

// SKEYID implements auth.KeyDeriver.
func (e authEnd) SKEYID(ctx context.Context, h auth.Host, s auth.SKEYID) (secret.Bytes, error) {
	e.use(h)
	var r authv1.SKEYIDResponse
	err := e.call(ctx, basev1.Op_OP_AUTH_SKEYID, 0, codec.FromSKEYID(s), &r)
	return r.GetSkeyid(), err
}

// Protect implements auth.Protector.
func (e authEnd) Protect(ctx context.Context, h auth.Host, p auth.Protect) (auth.Protected, error) {
	e.use(h)
	var r authv1.ProtectResponse
	err := e.call(ctx, basev1.Op_OP_AUTH_PROTECT, 0, codec.FromProtect(p), &r)
	return codec.ToProtected(&r), err
}

// Unprotect implements auth.Protector.
func (e authEnd) Unprotect(ctx context.Context, h auth.Host, u auth.Unprotect) ([]secret.Bytes, error) {
	e.use(h)
	var r authv1.UnprotectResponse
	err := e.call(ctx, basev1.Op_OP_AUTH_UNPROTECT, 0, codec.FromUnprotect(u), &r)
	return codec.ToSecrets(r.GetPlain()), err
}

// Cred is the credential store of that name, seen from the daemon.
func (c *Client) Cred(name string) cred.Store { return credEnd{end{c, name}} }

type credEnd struct{ end }

func (e credEnd) Find(ctx context.Context, q cred.Query) ([]cred.Ref, error) {
	var r credv1.FindResponse
	err := e.call(ctx, basev1.Op_OP_CRED_FIND, 0, &credv1.FindRequest{Query: codec.FromQuery(q)}, &r)
	return codec.ToRefs(r.GetRefs()), err
}

func (e credEnd) MAC(ctx context.Context, q cred.Query, macs []cred.MAC) ([][]byte, error) {
	var r credv1.MACResponse
	err := e.call(ctx, basev1.Op_OP_CRED_MAC, 0, &credv1.MACRequest{Query: codec.FromQuery(q), Macs: codec.FromMACs(macs)}, &r)
	return r.GetMacs(), err
}

func (e credEnd) Sign(ctx context.Context, s cred.SignRequest) ([]byte, error) {
	var r credv1.SignResponse
	err := e.call(ctx, basev1.Op_OP_CRED_SIGN, 0, codec.FromSignRequest(s), &r)
	return r.GetSignature(), err
}

func (e credEnd) Decrypt(ctx context.Context, d cred.DecryptRequest) (secret.Bytes, error) {
	var r credv1.DecryptResponse
	err := e.call(ctx, basev1.Op_OP_CRED_DECRYPT, 0, codec.FromDecryptRequest(d), &r)
	return r.GetPlain(), err
}

func (e credEnd) Trust(ctx context.Context, t cred.TrustRequest) (cred.Verdict, error) {
	var r credv1.TrustResponse
	err := e.call(ctx, basev1.Op_OP_CRED_TRUST, 0, codec.FromTrustRequest(t), &r)
	return codec.ToVerdict(&r), err
}

func (e credEnd) CheckPassword(ctx context.Context, user string, password secret.Bytes) error {
	m := &credv1.CheckPasswordRequest{User: user, Password: password}
	return e.call(ctx, basev1.Op_OP_CRED_CHECK_PASSWORD, 0, m, &credv1.CheckPasswordResponse{})
}

func (e credEnd) OwnPassword(ctx context.Context, user string) (secret.Bytes, error) {
	var r credv1.OwnPasswordResponse
	err := e.call(ctx, basev1.Op_OP_CRED_OWN_PASSWORD, 0, &credv1.OwnPasswordRequest{User: user}, &r)
	return r.GetPassword(), err
}

// SA is the SA backend of that name, seen from the daemon: calls about one child keep their order.
func (c *Client) SA(name string) sa.Plugin { return saEnd{end{c, name}} }

type saEnd struct{ end }

var (
	_ sa.Watcher = saEnd{}
	_ sa.Trapper = saEnd{}
)

// Watch gives the events of all SA backends of the process; what comes while nobody watches waits.
func (e saEnd) Watch(ctx context.Context, tell func(sa.Event)) error {
	return e.client.events.Watch(ctx, tell)
}

// told takes an event of a backend.
func (c *Client) told(f *basev1.Frame) {
	var m sav1.Event
	if proto.Unmarshal(f.GetBody(), &m) != nil {
		return
	}
	if e, err := codec.ToEvent(&m); err == nil {
		c.events.Tell(e)
	}
}

func (e saEnd) SetTraps(ctx context.Context, owner string, traps []sa.Trap) error {
	return e.call(ctx, basev1.Op_OP_SA_SET_TRAPS, 0, codec.FromTraps(owner, traps), &sav1.SetTrapsResponse{})
}

// order is the key that keeps calls about one child in order; it is never 0.
func order(c sa.Child) uint64 { return binary.BigEndian.Uint64(c.UID[8:]) | 1 }

func (e saEnd) Probe(ctx context.Context) (sa.Capabilities, error) {
	var r sav1.ProbeResponse
	if err := e.call(ctx, basev1.Op_OP_SA_PROBE, 0, &sav1.ProbeRequest{}, &r); err != nil {
		return sa.Capabilities{}, err
	}
	return codec.ToCapabilities(&r)
}

func (e saEnd) AllocateSPI(ctx context.Context, local, remote netip.Addr) (uint32, error) {
	var r sav1.AllocateSPIResponse
	err := e.call(ctx, basev1.Op_OP_SA_ALLOCATE_SPI, 0, &sav1.AllocateSPIRequest{Local: local.AsSlice(), Remote: remote.AsSlice()}, &r)
	return r.GetSpi(), err
}

func (e saEnd) FreeSPI(ctx context.Context, local, remote netip.Addr, spi uint32) error {
	return e.call(ctx, basev1.Op_OP_SA_FREE_SPI, 0, &sav1.FreeSPIRequest{Local: local.AsSlice(), Remote: remote.AsSlice(), Spi: spi}, &sav1.FreeSPIResponse{})
}

func (e saEnd) Update(ctx context.Context, c sa.Child) error {
	return e.call(ctx, basev1.Op_OP_SA_UPDATE_CHILD, order(c), &sav1.UpdateChildRequest{Child: codec.FromChild(c)}, &sav1.UpdateChildResponse{})
}

func (e saEnd) Install(ctx context.Context, c sa.Child) error {
	return e.call(ctx, basev1.Op_OP_SA_INSTALL_CHILD, order(c), &sav1.InstallChildRequest{Child: codec.FromChild(c)}, &sav1.InstallChildResponse{})
}

func (e saEnd) Remove(ctx context.Context, c sa.Child) (sa.Usage, error) {
	var r sav1.RemoveChildResponse
	err := e.call(ctx, basev1.Op_OP_SA_REMOVE_CHILD, order(c), &sav1.RemoveChildRequest{Child: codec.FromChild(c)}, &r)
	return codec.ToUsage(r.GetUsage()), err
}

// InstallThenRemove makes both calls before either is answered, as the core may.
func (e saEnd) InstallThenRemove(ctx context.Context, c sa.Child) (installed, removed error) {
	m := codec.FromChild(c)
	install := e.begin(ctx, basev1.Op_OP_SA_INSTALL_CHILD, order(c), &sav1.InstallChildRequest{Child: m})
	remove := e.begin(ctx, basev1.Op_OP_SA_REMOVE_CHILD, order(c), &sav1.RemoveChildRequest{Child: m})
	return install(&sav1.InstallChildResponse{}), remove(&sav1.RemoveChildResponse{})
}

func (e saEnd) Usage(ctx context.Context, c sa.Child) (sa.Usage, error) {
	var r sav1.UsageResponse
	err := e.call(ctx, basev1.Op_OP_SA_USAGE, order(c), &sav1.UsageRequest{Child: codec.FromChild(c)}, &r)
	return codec.ToUsage(r.GetUsage()), err
}

func (e saEnd) List(ctx context.Context, owner string) ([]sa.Child, error) {
	var r sav1.ListResponse
	if err := e.call(ctx, basev1.Op_OP_SA_LIST, 0, &sav1.ListRequest{Owner: owner}, &r); err != nil {
		return nil, err
	}
	var out []sa.Child
	for _, m := range r.GetChildren() {
		c, err := codec.ToChild(m)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}
