package codec

import (
	sav1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/sa/v1"
	"github.com/parley-ike/parley/sdk/sa"
)

func fromHandling(h *sa.Handling) *sav1.Handling {
	if *h == (sa.Handling{}) {
		return nil
	}
	return &sav1.Handling{Mark: h.Mark, MarkMask: h.MarkMask, OutputMark: h.OutputMark, OutputMarkMask: h.OutputMarkMask, IfId: h.IfID,
		Interface: h.Interface, Netns: h.Netns, ClearDf: h.ClearDF, IgnoreEcn: h.IgnoreECN, Dscp: uint32(h.DSCP),
		Offload: uint32(h.Offload), OffloadDevice: h.OffloadDevice, OffloadRequired: h.OffloadRequired}
}

func (n *narrower) handling(h *sav1.Handling) sa.Handling {
	return sa.Handling{Mark: h.GetMark(), MarkMask: h.GetMarkMask(), OutputMark: h.GetOutputMark(), OutputMarkMask: h.GetOutputMarkMask(), IfID: h.GetIfId(),
		Interface: h.GetInterface(), Netns: h.GetNetns(), ClearDF: h.GetClearDf(), IgnoreECN: h.GetIgnoreEcn(), DSCP: sa.DSCP(n.u8("dscp", h.GetDscp())),
		Offload: sa.Offload(n.u8("offload", h.GetOffload())), OffloadDevice: h.GetOffloadDevice(), OffloadRequired: h.GetOffloadRequired()}
}
