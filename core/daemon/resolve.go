package daemon

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// resolve finds the address of a peer that is named by DNS; the system's resolver decides about the family.
func resolve(ctx context.Context, host string) (netip.Addr, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("daemon: the address of %q: %w", host, err)
	}
	return addrs[0].Unmap(), nil
}
