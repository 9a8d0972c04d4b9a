package lab

import (
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
)

// Delay makes what leaves by a link take its time. The kernel needs netem for it.
func (ns *Namespace) Delay(link string, by time.Duration) error {
	l, err := ns.Links.LinkByName(link)
	if err != nil {
		return fmt.Errorf("lab: %s: %w", ns.Name, err)
	}
	qdisc := netlink.NewNetem(netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		netlink.NetemQdiscAttrs{Latency: uint32(by.Microseconds())})
	if err := ns.Links.QdiscReplace(qdisc); err != nil {
		return fmt.Errorf("lab: %s: delay what leaves by %s: %w", ns.Name, link, err)
	}
	return nil
}
