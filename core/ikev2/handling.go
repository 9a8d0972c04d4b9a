package ikev2

import (
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// Handling is what an SA backend is told of a child's.
func Handling(h policy.Handling) machine.Handling {
	return machine.Handling{Mark: h.Mark, MarkMask: h.MarkMask, OutputMark: h.OutputMark, OutputMarkMask: h.OutputMarkMask, IfID: h.IfID,
		Interface: h.Interface, Netns: h.Netns, ClearDF: h.ClearDF, IgnoreECN: h.IgnoreECN, DSCP: uint8(h.DSCP),
		Offload: uint8(h.Offload.Mode), OffloadDevice: h.Offload.Device, OffloadRequired: h.Offload.Required}
}
