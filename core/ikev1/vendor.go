package ikev1

import (
	"github.com/parley-ike/parley/core/wire/wire1"
)

// vendorIDs announces what we can, in the first two messages (RFC3947-3.1-1, RFC3706-5.1-1).
func (s *SA) vendorIDs() (ps []wire1.Payload) {
	for _, v := range []wire1.Vendor{wire1.VendorDPD, wire1.VendorNATT, wire1.VendorNATTDraft03, wire1.VendorNATTDraft02n, wire1.VendorNATTDraft02} {
		ps = append(ps, v.ID())
	}
	if s.method.IsXAuth() {
		ps = append(ps, wire1.VendorXAUTH.ID())
	}
	if s.announcesFragments() {
		ps = append(ps, wire1.VendorFragmentation.ID())
	}
	return append(ps, s.unityID()...)
}

// detectVendors notes what the peer can. Of several ways of NAT traversal the RFC's counts before those of the drafts.
func (s *SA) detectVendors(p packet) {
	for _, v := range wire1.All[wire1.VendorID](p.Payloads) {
		switch v.Vendor() {
		case wire1.VendorXAUTH:
			s.xauthAble = true
		case wire1.VendorDPD:
			s.dpd.able = true
		case wire1.VendorFragmentation:
			s.peerFragments = true
		case wire1.VendorUnity:
			s.unity = true
		case wire1.VendorNATT:
			s.nat.can, s.nat.draft = true, false
		case wire1.VendorNATTDraft03, wire1.VendorNATTDraft02n, wire1.VendorNATTDraft02:
			s.nat.draft = s.nat.draft || !s.nat.can
			s.nat.can = true
		}
	}
}
