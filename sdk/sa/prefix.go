package sa

import "net/netip"

// Prefixes splits the selector's range of addresses into its fewest prefixes: one for a subnet, at most 62 for IPv4 and 254
// for IPv6; nil for what is no range. Kernels' routes and policies know prefixes only.
func (s Selector) Prefixes() (out []netip.Prefix) {
	if !s.Start.IsValid() || s.Start.BitLen() != s.End.BitLen() || s.End.Less(s.Start) {
		return nil
	}
	from := s.Start
	for {
		p := widest(from, s.End)
		out = append(out, p)
		end := LastOf(p)
		if from = end.Next(); end == s.End || !from.IsValid() {
			return out
		}
	}
}

// widest is the largest prefix that begins at from and does not reach beyond to.
func widest(from, to netip.Addr) netip.Prefix {
	n := from.BitLen()
	for n > 0 {
		if p := netip.PrefixFrom(from, n-1); p.Masked().Addr() != from || to.Less(LastOf(p)) {
			break
		}
		n--
	}
	return netip.PrefixFrom(from, n)
}

// LastOf returns the last address of a prefix.
func LastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
