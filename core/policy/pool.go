package policy

import (
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"time"
)

// Pool is a set of inner addresses that are given to peers (RFC 7296 section 2.19), and what peers are told with them.
type Pool struct {
	Name    string
	Ranges  []Range
	DNS     []netip.Addr
	Subnets []netip.Prefix // what lies behind us (RFC 7296 section 3.15.2)
	Domains []string       // to be resolved by DNS only (RFC 8598)
	Banner  string         // what a client shows its user, in IKEv1 only (an attribute of Cisco's Unity clients); "": nothing
	Keep    time.Duration  // how long an address stays with its identity after it was given back
}

// DefaultKeep is long enough for a night's sleep of a laptop.
const DefaultKeep = 24 * time.Hour

// Range is a range of addresses of one family, both ends included.
type Range struct{ First, Last netip.Addr }

// RangeError says what is wrong with the addresses of a pool.
type RangeError struct {
	Range  string
	Reason string // a clause that ends with the remedy
}

func (e *RangeError) Error() string {
	return fmt.Sprintf("policy: addresses %q: %s", e.Range, e.Reason)
}

// ParseRange reads the addresses of a pool: a prefix "10.9.0.0/24", an address or a range "10.9.0.10-10.9.0.99". Of a prefix
// that has more than two addresses the first is left out, and of an IPv4 prefix the last: what they mean on a link (network,
// broadcast, subnet-router anycast of RFC 4291 section 2.6.1) some peers heed. The error is a *RangeError.
func ParseRange(s string) (Range, error) {
	sel, reason := parseAddresses(strings.TrimSpace(s))
	if reason != "" {
		return Range{}, &RangeError{s, reason}
	}
	r := Range{sel.Start, sel.End}
	switch {
	case r.First.IsUnspecified() && r.First == r.Last, r.First.IsMulticast(), r.Last.IsMulticast(), r.First.IsLoopback():
		return Range{}, &RangeError{s, "no host can have these addresses: take unicast ones, such as \"10.9.0.0/24\""}
	case !strings.Contains(s, "/") || r.Size().Cmp(big.NewInt(2)) <= 0:
	case r.First.Is4():
		r.First, r.Last = r.First.Next(), r.Last.Prev()
	default:
		r.First = r.First.Next()
	}
	return r, nil
}

// Contains reports whether an address lies in the range.
func (r Range) Contains(a netip.Addr) bool {
	return a.BitLen() == r.First.BitLen() && r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0
}

// Overlaps reports whether two ranges have an address in common.
func (r Range) Overlaps(o Range) bool {
	return r.First.BitLen() == o.First.BitLen() && r.First.Compare(o.Last) <= 0 && o.First.Compare(r.Last) <= 0
}

// Size returns how many addresses the range has.
func (r Range) Size() *big.Int {
	first, last := new(big.Int).SetBytes(r.First.AsSlice()), new(big.Int).SetBytes(r.Last.AsSlice())
	return last.Sub(last, first).Add(last, big.NewInt(1))
}

// String returns "10.9.0.1-10.9.0.254", or one address.
func (r Range) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}
