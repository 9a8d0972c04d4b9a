package codec

import (
	"github.com/parley-ike/parley/sdk/ke"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// FromMethods returns the messages that describe methods.
func FromMethods(methods []ke.Method) (ids []uint32, described []*basev1.KEMethod) {
	for _, m := range methods {
		ids = append(ids, uint32(m.ID))
		described = append(described, &basev1.KEMethod{
			Id: uint32(m.ID), Ikev1Group: uint32(m.IKEv1Group), Name: m.Name, PublicLen: uint32(m.PublicLen),
			ResponseLen: uint32(m.ResponseLen), SecretLen: uint32(m.SecretLen), Kem: m.KEM,
		})
	}
	return ids, described
}

// ToMethods is the reverse of FromMethods.
func ToMethods(described []*basev1.KEMethod) ([]ke.Method, error) {
	var n narrower
	var methods []ke.Method
	for _, m := range described {
		methods = append(methods, ke.Method{
			ID: n.u16("id", m.GetId()), IKEv1Group: n.u16("ikev1_group", m.GetIkev1Group()), Name: m.GetName(),
			PublicLen: int(m.GetPublicLen()), ResponseLen: int(m.GetResponseLen()), SecretLen: int(m.GetSecretLen()), KEM: m.GetKem(),
		})
	}
	return methods, n.err
}

// Method checks a method number.
func Method(v uint32) (uint16, error) {
	var n narrower
	return n.u16("method", v), n.err
}
