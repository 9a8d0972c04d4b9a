package policy

import (
	"net/netip"
	"slices"
)

// Addresses says which inner addresses a connection gives its peer or asks it for (RFC 7296 section 2.19), and what goes
// with them in Configuration payloads.
type Addresses struct {
	Pools              []string     // that the peer's addresses come from, by name; empty: it gets none
	RequireRequest     bool         // a peer that asks for no address gets no child SA (FAILED_CP_REQUIRED)
	Virtual            []netip.Addr // what we ask for: 0.0.0.0 or :: for any of a family, else this one if possible; empty: nothing
	Push               bool         // IKEv1: who gives addresses sets them, in place of who wants some asking (draft-dukes-ike-mode-cfg-02 section 2)
	ApplicationVersion string       // APPLICATION_VERSION that a peer is told when it asks (RFC 7296 section 2.20); "": none
}

// Requesting returns the connection as it is before the peer has assigned addresses to us: where a child's local selectors
// are the assigned addresses, it offers all of the families that we ask for.
func (c *Connection) Requesting() *Connection {
	var all []Selector
	for _, a := range c.Virtual {
		sel := SelectorOf(netip.PrefixFrom(a, 0))
		if !slices.Contains(all, sel) {
			all = append(all, sel)
		}
	}
	return c.with(all, nil)
}

// Assigned returns the connection with addresses in the place of those that children leave to be assigned: to us by the
// peer, and to the peer by us. c is the connection of the configuration, and stays as it is.
func (c *Connection) Assigned(local, remote []netip.Addr) *Connection {
	return c.with(hosts(local), hosts(remote))
}

func hosts(all []netip.Addr) (list []Selector) {
	for _, a := range all {
		list = append(list, SelectorOf(netip.PrefixFrom(a, a.BitLen())))
	}
	return list
}

// with returns a copy of the connection in which selectors are added to those of children that leave them to be assigned.
func (c *Connection) with(local, remote []Selector) *Connection {
	conn := *c
	conn.Children = nil
	for _, child := range c.Children {
		copied := *child
		if child.LocalAssigned {
			copied.LocalTS = slices.Concat(child.LocalTS, local)
		}
		if child.RemoteAssigned {
			copied.RemoteTS = slices.Concat(child.RemoteTS, remote)
		}
		conn.Children = append(conn.Children, &copied)
	}
	return &conn
}

// NeedsRequest reports whether a peer must ask for an address: because it is required, or because no child could be made
// without one.
func (c *Connection) NeedsRequest() bool {
	return c.RequireRequest || len(c.Children) > 0 && !slices.ContainsFunc(c.Children, func(child *Child) bool { return len(child.RemoteTS) > 0 })
}
