package daemon

import (
	"fmt"
	"slices"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/pluginhost"
	"github.com/parley-ike/parley/core/policy"
)

// fitted returns the policy with an SA backend written into every child that names none, so that events and displays say
// where a child is: the chosen one, or for a child that this cannot do another one that can. A child that none can do is barred,
// with the reason, so that nobody proposes it.
func fitted(p *policy.Snapshot, chosen string, probed map[string]pluginhost.Capabilities) *policy.Snapshot {
	out := &policy.Snapshot{Shunts: p.Shunts, Anchors: p.Anchors}
	for _, c := range p.Connections {
		conn := *c
		conn.Children = nil
		for _, child := range c.Children {
			copied := *child
			if fit(&copied, chosen, probed); copied.Barred == "" {
				narrow(&copied, onDevice(&copied, probed[copied.Backend]))
			}
			conn.Children = append(conn.Children, &copied)
		}
		out.Connections = append(out.Connections, &conn)
	}
	return out
}

// fitted does so with what the SA backends said they can do.
func (d *daemon) fitted(p *policy.Snapshot) *policy.Snapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fitted(p, d.backend.Backend, d.probed)
}

// fit says where a child goes, why there, and why it cannot be made there. What nobody has probed may do anything.
func fit(c *policy.Child, chosen string, probed map[string]pluginhost.Capabilities) {
	if c.Backend != "" {
		c.BackendReason, c.Barred = "it is configured", lacks(c, c.Backend, probed)
		return
	}
	c.Backend, c.BackendReason, c.Barred = chosen, "the first that is usable here", lacks(c, chosen, probed)
	if c.Barred == "" {
		return
	}
	for _, name := range backendOrder {
		if probed[name].Usable && lacks(c, name, probed) == "" {
			c.Backend, c.BackendReason, c.Barred = name, c.Barred, ""
			return
		}
	}
}

// lacks says what a backend cannot do of what a child needs, "" for nothing.
func lacks(c *policy.Child, backend string, probed map[string]pluginhost.Capabilities) string {
	can, known := probed[backend]
	if !known || !can.Usable {
		return ""
	}
	can = onDevice(c, can)
	switch {
	case c.Handling.Offload.Required && len(can.Devices) == 0:
		return fmt.Sprintf("no device here does what offload asks for (%v): leave require out, or see the backend's devices in `parley status`", c.Handling.Offload)
	case c.Mode == policy.Transport && !slices.Contains(can.Modes, machine.Transport):
		return fmt.Sprintf("SA backend %s does no transport mode: write mode = \"tunnel\", or name a backend that does", backend)
	case c.TFC != 0 && !can.TFC:
		return fmt.Sprintf("SA backend %s pads no packets: leave tfc out, or name a backend that does", backend)
	case needsESN(c) && !can.ESN:
		return fmt.Sprintf("SA backend %s has no extended sequence numbers: write esn = \"no\", or name a backend that has", backend)
	case c.ReplayWindow > max(can.MaxReplayWindow, policy.DefaultReplayWindow) && can.MaxReplayWindow != 0:
		return fmt.Sprintf("SA backend %s has replay windows of %d packets at most: write replay_window = %[2]d", backend, can.MaxReplayWindow)
	}
	for _, s := range c.Handling.Settings() {
		if !slices.Contains(can.Settings, s.Name) {
			return fmt.Sprintf("SA backend %s has no %s (%s): leave it out, or name a backend that has", backend, s.Name, s.Value)
		}
	}
	return lacksSuite(c, backend, can)
}

// needsESN reports whether a proposal of a child may lead to extended sequence numbers.
func needsESN(c *policy.Child) bool {
	return slices.ContainsFunc(c.ESP, policy.Proposal.MayESN)
}

// onDevice is what a backend can do for a child that insists on a device: what the devices in question can. Of several it is what the
// first one can, which the packets may not leave by; the installation then says so.
func onDevice(c *policy.Child, can pluginhost.Capabilities) pluginhost.Capabilities {
	o := c.Handling.Offload
	if !o.Required || !slices.Contains(can.Settings, "offload") {
		return can
	}
	fitting := slices.DeleteFunc(slices.Clone(can.Devices), func(d pluginhost.Device) bool {
		return o.Device != "" && d.Name != o.Device || o.Mode == policy.OffloadPacket && !d.Packet || o.Mode == policy.OffloadCrypto && !d.Crypto
	})
	if can.Devices = fitting; len(fitting) > 0 {
		d := fitting[0]
		can.Algorithms, can.ESN, can.MaxReplayWindow = d.Algorithms, d.ESN, d.MaxReplayWindow
	}
	return can
}
