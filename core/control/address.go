package control

import (
	"fmt"
	"strings"

	"github.com/parley-ike/parley/bus/event"
)

// addressSentence tells of inner addresses.
func addressSentence(e event.Event) string {
	switch e := e.(type) {
	case event.PoolLeased:
		return fmt.Sprintf("%s has %s from pool %s", e.Identity, list(addrs(e.Addresses)), list(e.Pools))
	case event.PoolReleased:
		return fmt.Sprintf("%s given back to the pools", list(addrs(e.Addresses)))
	case event.PoolExhausted:
		return fmt.Sprintf("no address for %s: %s", e.Identity, e.Reason)
	case event.PoolStoreFailed:
		return "leases are given, but cannot be stored: " + e.Reason
	case event.PoolStoreMended:
		return "leases are stored again in " + e.Path
	case event.AddressAssigned:
		return assignedSentence(e)
	case event.AddressWithdrawn:
		return fmt.Sprintf("%s no longer ours", list(addrs(e.Addresses)))
	case event.PeerVersion:
		return "the peer is " + e.Version
	}
	return ""
}

func assignedSentence(e event.AddressAssigned) string {
	s := fmt.Sprintf("the peer gave us %s", list(addrs(e.Addresses)))
	if len(e.DNS) > 0 {
		s += ", DNS " + list(addrs(e.DNS))
	}
	if len(e.Domains) > 0 {
		s += " for " + list(e.Domains)
	}
	if e.Banner != "" {
		s += ", and says: " + strings.Join(strings.Fields(e.Banner), " ")
	}
	return s
}

// noAddress: no inner address was asked for, or given (RFC 7296 section 3.15.4).
func (t *tale) noAddress(e event.ChildFailed) {
	exhausted, ours := last[event.PoolExhausted](t.a)
	switch {
	case e.By == "peer" && e.Notify == "FAILED_CP_REQUIRED":
		t.verdict("address_required", "the peer wants us to ask for an inner address, which %q does not", t.conn.name)
		t.remedy(t.setting("local.virtual"), "set virtual = [\"ipv4\"] (or \"ipv6\", or both) in local { ... }")
		t.note("the peer answers FAILED_CP_REQUIRED (RFC 7296 section 2.19)")
	case e.By == "peer":
		t.verdict("address_refused", "the peer has no inner address for us")
		t.remedy("", "see the address pool at the peer: it may be exhausted, or have none of the family that we ask for (%s)", t.families())
		t.note("INTERNAL_ADDRESS_FAILURE does not say why (RFC 7296 section 3.15.4); the peer's log does")
	case ours:
		t.verdict("pool_exhausted", "there is no inner address for %s: %s", exhausted.Identity, exhausted.Reason)
		t.remedy("pool."+append(exhausted.Pools, "NAME")[0]+".addresses", "add addresses to the pool, or see by `parley pool list` who has them")
	case e.Notify == "FAILED_CP_REQUIRED", e.Notify == "INVALID-ID-INFORMATION": // the latter is IKEv1's
		t.verdict("address_not_requested", "the peer asks for no inner address, and %q gives one to every peer", t.conn.name)
		t.remedy(t.setting("remote.pool"), "have the peer ask for an inner address (strongSwan: vips = 0.0.0.0), or write remote_ts and leave require_request out")
	default:
		t.verdict("no_address", "%s", e.Reason)
		t.remedy(t.setting("local.virtual"), "have the peer give us an address from a pool of its own, or leave virtual out")
	}
}

// families says what the connection asks for.
func (t *tale) families() string {
	if t.config != nil && t.config.Policy != nil {
		if c, ok := t.config.Policy.Connection(t.conn.name); ok {
			return list(addrs(c.Virtual))
		}
	}
	return "-"
}
