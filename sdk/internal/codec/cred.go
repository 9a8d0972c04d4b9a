package codec

import (
	"github.com/parley-ike/parley/sdk/cred"
	credv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/cred/v1"
)

// FromIdentity returns the message for an identity.
func FromIdentity(i cred.Identity) *credv1.Identity {
	return &credv1.Identity{Type: uint32(i.Type), Data: i.Data}
}

func (n *narrower) identity(i *credv1.Identity) cred.Identity {
	return cred.Identity{Type: n.u8("identity.type", i.GetType()), Data: i.GetData()}
}

// ToIdentity is the reverse of FromIdentity.
func ToIdentity(i *credv1.Identity) (cred.Identity, error) {
	var n narrower
	return n.identity(i), n.err
}

// FromQuery returns the message for a query.
func FromQuery(q cred.Query) *credv1.Query {
	return &credv1.Query{
		Purpose: credv1.Query_Purpose(q.Purpose), Local: FromIdentity(q.Local), Remote: FromIdentity(q.Remote), Issuers: q.Issuers,
	}
}

// ToQuery is the reverse of FromQuery.
func ToQuery(q *credv1.Query) (cred.Query, error) {
	var n narrower
	purpose := cred.Purpose(n.u8("purpose", uint32(q.GetPurpose())))
	return cred.Query{Purpose: purpose, Local: n.identity(q.GetLocal()), Remote: n.identity(q.GetRemote()), Issuers: q.GetIssuers()}, n.err
}

// FromMACs returns the messages for derivations.
func FromMACs(macs []cred.MAC) []*credv1.MAC {
	var out []*credv1.MAC
	for _, m := range macs {
		out = append(out, &credv1.MAC{Scheme: credv1.MAC_Scheme(m.Scheme), Prf: uint32(m.PRF), Data: m.Data})
	}
	return out
}

// ToMACs is the reverse of FromMACs.
func ToMACs(macs []*credv1.MAC) ([]cred.MAC, error) {
	var n narrower
	var out []cred.MAC
	for _, m := range macs {
		scheme := cred.Scheme(n.u8("scheme", uint32(m.GetScheme())))
		out = append(out, cred.MAC{Scheme: scheme, PRF: n.u16("prf", m.GetPrf()), Data: m.GetData()})
	}
	return out, n.err
}

// FromRefs returns the messages for references.
func FromRefs(refs []cred.Ref) []*credv1.Ref {
	var out []*credv1.Ref
	for _, r := range refs {
		out = append(out, &credv1.Ref{Id: r.ID, Source: r.Source, Chain: r.Chain, Public: r.Public})
	}
	return out
}

// ToRefs is the reverse of FromRefs.
func ToRefs(refs []*credv1.Ref) []cred.Ref {
	var out []cred.Ref
	for _, r := range refs {
		out = append(out, cred.Ref{ID: r.GetId(), Source: r.GetSource(), Chain: r.GetChain(), Public: r.GetPublic()})
	}
	return out
}
