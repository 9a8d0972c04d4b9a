package pluginhost

import (
	"fmt"

	"github.com/parley-ike/parley/core/machine"
	sav1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/sa/v1"
)

func fromHandling(h machine.Handling) *sav1.Handling {
	if h == (machine.Handling{}) {
		return nil
	}
	return &sav1.Handling{Mark: h.Mark, MarkMask: h.MarkMask, OutputMark: h.OutputMark, OutputMarkMask: h.OutputMarkMask, IfId: h.IfID,
		Interface: h.Interface, Netns: h.Netns, ClearDf: h.ClearDF, IgnoreEcn: h.IgnoreECN, Dscp: uint32(h.DSCP),
		Offload: uint32(h.Offload), OffloadDevice: h.OffloadDevice, OffloadRequired: h.OffloadRequired}
}

func toHandling(h *sav1.Handling) (machine.Handling, error) {
	if h.GetDscp() > 255 || h.GetOffload() > 255 {
		return machine.Handling{}, fmt.Errorf("handling with DSCP mode %d and offload mode %d", h.GetDscp(), h.GetOffload())
	}
	return machine.Handling{Mark: h.GetMark(), MarkMask: h.GetMarkMask(), OutputMark: h.GetOutputMark(), OutputMarkMask: h.GetOutputMarkMask(), IfID: h.GetIfId(),
		Interface: clean(h.GetInterface()), Netns: clean(h.GetNetns()), ClearDF: h.GetClearDf(), IgnoreECN: h.GetIgnoreEcn(), DSCP: uint8(h.GetDscp()),
		Offload: uint8(h.GetOffload()), OffloadDevice: clean(h.GetOffloadDevice()), OffloadRequired: h.GetOffloadRequired()}, nil
}

// settings drops what cannot be the name of one.
func settings(all []string) (out []string) {
	for _, name := range all {
		if name = clean(name); len(out) < maxSettings {
			out = append(out, name)
		}
	}
	return out
}

// maxSettings is far more than there are settings.
const maxSettings = 64
