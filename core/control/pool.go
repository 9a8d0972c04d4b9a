package control

import (
	"context"
	"net/netip"
	"time"

	"github.com/parley-ike/parley/bus/event"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// Pool describes an address pool.
type Pool struct {
	Name       string
	Ranges     []string // "10.9.0.1-10.9.0.254"
	Size       string   // addresses of both families
	Used, Kept int      // addresses that IKE SAs hold, and that wait for the identity that had them
	Leases     []Lease
}

// Lease describes an address that an identity has, or had.
type Lease struct {
	Addr     netip.Addr
	Identity string
	Holders  []event.UID // IKE SAs that asked for it; none: it is kept
	From     netip.Addr  // outer address of the last one
	Since    time.Time   // when the last one came
	Until    time.Time   // till when it is kept
}

// Pools implements the RPC.
func (s *Server) Pools(context.Context, *controlv1.PoolsRequest) (*controlv1.PoolsResponse, error) {
	out := &controlv1.PoolsResponse{}
	if s.c.Pools == nil {
		return out, nil
	}
	for _, p := range s.c.Pools() {
		m := &controlv1.Pool{Name: p.Name, Ranges: p.Ranges, Size: p.Size, Used: uint32(p.Used), Kept: uint32(p.Kept)}
		for _, l := range p.Leases {
			m.Leases = append(m.Leases, leaseMessage(l))
		}
		out.Pools = append(out.Pools, m)
	}
	return out, nil
}

func leaseMessage(l Lease) *controlv1.Lease {
	m := &controlv1.Lease{Address: l.Addr.String(), Identity: clean(l.Identity), State: "kept", Since: timestamp(l.Since), Until: timestamp(l.Until)}
	if l.From.IsValid() {
		m.From = l.From.String()
	}
	for _, uid := range l.Holders {
		m.State = "used"
		m.IkeUids = append(m.IkeUids, uid.String())
	}
	return m
}

func addrs(list []netip.Addr) (out []string) {
	for _, a := range list {
		out = append(out, a.String())
	}
	return out
}
