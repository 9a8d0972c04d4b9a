package lab

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
)

// DefaultVia gives the namespace a default route, as gateways have one: what no tunnel catches goes there in clear.
func (ns *Namespace) DefaultVia(gateway string) error {
	if err := ns.Links.RouteAdd(&netlink.Route{Gw: net.ParseIP(gateway)}); err != nil {
		return fmt.Errorf("lab: %s: default route by %s: %w", ns.Name, gateway, err)
	}
	return nil
}
