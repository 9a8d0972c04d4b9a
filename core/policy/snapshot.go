package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Snapshot is the policy at one time. It never changes, so any number of goroutines may read it.
type Snapshot struct {
	Connections []*Connection
	Shunts      []*Shunt // by name
	Anchors     []Anchor // the authorities whose certificates peers are asked for
}

// Connection returns the connection of that name.
func (s *Snapshot) Connection(name string) (*Connection, bool) {
	for _, c := range s.Connections {
		if c.Name == name {
			return c, true
		}
	}
	return nil, false
}

// Candidates returns the connections that a pair of addresses may belong to, the most specific first: a remote address before
// a prefix, a longer prefix before a shorter one, anywhere last; then those that name the local address; then in the order of
// the configuration.
func (s *Snapshot) Candidates(local, remote netip.Addr) []*Connection {
	var found []*Connection
	for _, c := range s.Connections {
		if c.Local.specificity(local) >= 0 && c.Remote.specificity(remote) >= 0 {
			found = append(found, c)
		}
	}
	slices.SortStableFunc(found, func(a, b *Connection) int {
		if d := b.Remote.specificity(remote) - a.Remote.specificity(remote); d != 0 {
			return d
		}
		return b.Local.specificity(local) - a.Local.specificity(local)
	})
	return found
}

// exactAddr is the specificity of an address; a prefix has its length and anywhere has 0. Both come out one higher than the
// longest prefix so that an address beats a prefix of full length.
const exactAddr = 129

// specificity tells how closely the endpoint describes an address, -1 when it does not.
func (e *Endpoint) specificity(a netip.Addr) int {
	a = a.Unmap().WithZone("")
	if e.Addr.IsValid() && e.Addr.Unmap().WithZone("") == a {
		return exactAddr
	}
	best := -1
	if !e.Addr.IsValid() && len(e.Prefixes) == 0 {
		best = 0
	}
	for _, p := range e.Prefixes {
		if p.Contains(a) {
			best = max(best, p.Bits())
		}
	}
	return best
}

// maxListed bounds the identities in the text of a SelectError.
const maxListed = 8

// SelectError says that no connection expects an identity. Expected lists what the candidates would have taken.
type SelectError struct {
	Claimed  Identity
	Expected []Expectation
}

// Expectation is what one connection takes.
type Expectation struct {
	Connection string
	Identity   Identity
}

func (e *SelectError) Error() string {
	if len(e.Expected) == 0 {
		return fmt.Sprintf("policy: no connection for peer %v at these addresses: add one whose remote address allows it", e.Claimed)
	}
	var all []string
	for _, x := range e.Expected[:min(len(e.Expected), maxListed)] {
		all = append(all, fmt.Sprintf("connection %q expects %v", x.Connection, x.Identity))
	}
	if n := len(e.Expected) - maxListed; n > 0 {
		all = append(all, fmt.Sprintf("and %d more", n))
	}
	return fmt.Sprintf("policy: no connection expects peer %v: %s: set the remote identity to what the peer claims, or mend the peer's",
		e.Claimed, strings.Join(all, ", "))
}

// Select returns the connection for a peer that claims an identity and may have asked for one of ours (IDr, nil: it has
// not). An exact identity beats a wildcard, which beats any; then the candidates' order decides. The wish narrows the choice
// where a candidate can fulfil it and is passed over where none can: a responder may answer with another identity (RFC 7296
// section 1.2), and the peer decides. The error is a *SelectError.
func Select(candidates []*Connection, remoteID Identity, localID *Identity) (*Connection, error) {
	best := selectBest(candidates, remoteID, localID)
	if best == nil {
		best = selectBest(candidates, remoteID, nil)
	}
	if best != nil {
		return best, nil
	}
	e := &SelectError{Claimed: remoteID}
	for _, c := range candidates {
		e.Expected = append(e.Expected, Expectation{c.Name, c.Remote.Identity})
	}
	return nil, e
}

func selectBest(candidates []*Connection, remoteID Identity, localID *Identity) *Connection {
	var best *Connection
	for _, c := range candidates {
		if !c.Remote.Identity.Matches(remoteID) || localID != nil && !c.Local.Identity.Matches(*localID) {
			continue
		}
		if best == nil || c.Remote.Identity.exactness() > best.Remote.Identity.exactness() {
			best = c
		}
	}
	return best
}
