package policy

import (
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// phase1Attributes returns encryption, key length, hash and group as attributes of phase 1 (RFC 2409 appendix A); false when IKEv1
// has no number for one of them.
func phase1Attributes(s suite.Suite) (as []wire1.Attribute, ok bool) {
	encr, ok1 := s.Encr.IKEv1()
	hash, ok2 := s.PRF.IKEv1()
	group, ok3 := s.KE.IKEv1()
	as = []wire1.Attribute{wire1.NumberAttribute(wire1.AttrEncryption, uint64(encr))}
	if s.KeyBits != 0 { // RFC2409-A-3
		as = append(as, wire1.NumberAttribute(wire1.AttrKeyLength, uint64(s.KeyBits)))
	}
	as = append(as, wire1.NumberAttribute(wire1.AttrHash, uint64(hash)), wire1.NumberAttribute(wire1.AttrGroup, uint64(group)))
	return as, ok1 && ok2 && ok3
}

// phase1Suite reads them back. It fails for numbers that we do not know, for an attribute that stands there twice, and for others
// than these and what phase 1 has besides.
func phase1Suite(as []wire1.Attribute) (s suite.Suite, ok bool) {
	ok = true
	seen := map[uint16]bool{} // only looked up, never walked
	for _, a := range as {
		v, number := a.Number()
		known := true
		switch a.Type {
		case wire1.AttrLifeType, wire1.AttrLifeDuration:
			continue
		case wire1.AttrEncryption:
			s.Encr, known = suite.EncrFromIKEv1(uint16(v))
		case wire1.AttrHash:
			s.PRF, known = suite.PRFFromIKEv1(uint16(v))
		case wire1.AttrGroup:
			s.KE, known = suite.KEFromIKEv1(uint16(v))
		case wire1.AttrKeyLength:
			s.KeyBits = int(v)
		case wire1.AttrAuthMethod:
		default:
			known = false
		}
		ok = ok && known && number && v <= maxBasic && !seen[a.Type]
		seen[a.Type] = true
	}
	return s, ok
}

// phase2Transform returns the ESP transform ID of a suite, and key length, integrity algorithm and group as attributes (RFC 2407
// sections 4.4.4 and 4.5).
func phase2Transform(s suite.Suite) (id uint8, as []wire1.Attribute, ok bool) {
	id, ok = s.Encr.ESP()
	if s.KeyBits != 0 {
		as = append(as, wire1.NumberAttribute(wire1.AttrSAKeyLength, uint64(s.KeyBits)))
	}
	if s.Integ != suite.IntegNone {
		integ, known := s.Integ.ESP()
		as, ok = append(as, wire1.NumberAttribute(wire1.AttrIntegrity, uint64(integ))), ok && known
	}
	if s.KE != suite.KENone {
		group, known := s.KE.IKEv1()
		as, ok = append(as, wire1.NumberAttribute(wire1.AttrSAGroup, uint64(group))), ok && known
	}
	return id, as, ok
}

// phase2Suite reads a transform back, as phase1Suite does.
func phase2Suite(t wire1.Transform) (s suite.Suite, ok bool) {
	s.Encr, ok = suite.EncrFromESP(t.ID)
	seen := map[uint16]bool{} // only looked up, never walked
	for _, a := range t.Attributes {
		v, number := a.Number()
		known := true
		switch a.Type {
		case wire1.AttrSALifeType, wire1.AttrSALifeDuration:
			continue
		case wire1.AttrSAKeyLength:
			s.KeyBits = int(v)
		case wire1.AttrIntegrity:
			s.Integ, known = suite.IntegFromESP(uint16(v))
		case wire1.AttrSAGroup:
			s.KE, known = suite.KEFromIKEv1(uint16(v))
		case wire1.AttrEncapsulation:
		default: // extended sequence numbers (RFC 4304) among them
			known = false
		}
		ok = ok && known && number && v <= maxBasic && !seen[a.Type]
		seen[a.Type] = true
	}
	return s, ok
}

// maxBasic is the largest number of a basic attribute (RFC 2409 appendix A).
const maxBasic = 1<<16 - 1

// hashes pairs each PRF with the integrity algorithm of the same hash.
var hashes = map[suite.PRFID]suite.IntegID{
	suite.PRFHMACSHA1: suite.IntegHMACSHA1_96, suite.PRFHMACSHA256: suite.IntegHMACSHA256_128,
	suite.PRFHMACSHA384: suite.IntegHMACSHA384_192, suite.PRFHMACSHA512: suite.IntegHMACSHA512_256,
}
