package ikev1

import (
	"encoding/asn1"
	"slices"
)

// signedData is the object identifier of PKCS #7 SignedData (RFC 2315 section 14).
var signedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}

// unwrap returns the certificates of a PKCS #7 wrapped chain (RFC 2408 section 3.9, certificate encoding 1), at most so many, in the
// order in which they stand there; nil for what is no such chain. Their signatures and their order are for the authenticator to judge.
//
// ContentInfo is a sequence of an object identifier and [0] around the content (RFC 2315 section 7); SignedData is a sequence in which
// [0] holds the certificates (section 9.1).
func unwrap(der []byte, most int) (certs [][]byte) {
	var kind asn1.ObjectIdentifier
	outer, ok := sequence(der)
	if !ok || len(outer) != 2 || !isTagged0(outer[1]) {
		return nil
	}
	if rest, err := asn1.Unmarshal(outer[0].FullBytes, &kind); err != nil || len(rest) > 0 || !kind.Equal(signedData) {
		return nil
	}
	inner, ok := sequence(outer[1].Bytes)
	i := slices.IndexFunc(inner, isTagged0)
	if !ok || i < 0 {
		return nil
	}
	all, ok := elements(inner[i].Bytes)
	if !ok {
		return nil
	}
	for _, c := range all[:min(len(all), most)] {
		certs = append(certs, c.FullBytes)
	}
	return certs
}

func isTagged0(v asn1.RawValue) bool { return v.Class == asn1.ClassContextSpecific && v.Tag == 0 }

// sequence returns the elements of a sequence that is all of der.
func sequence(der []byte) ([]asn1.RawValue, bool) {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(der, &v)
	if err != nil || len(rest) > 0 || v.Class != asn1.ClassUniversal || v.Tag != asn1.TagSequence {
		return nil, false
	}
	return elements(v.Bytes)
}

// maxElements bounds what one level of a chain is read of.
const maxElements = 64

func elements(b []byte) (list []asn1.RawValue, ok bool) {
	for len(b) > 0 && len(list) < maxElements {
		var v asn1.RawValue
		var err error
		if b, err = asn1.Unmarshal(b, &v); err != nil {
			return nil, false
		}
		list = append(list, v)
	}
	return list, len(b) == 0
}
