package xfrm

import (
	"encoding/binary"

	"github.com/vishvananda/netlink/nl"

	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/sdk/sa"
)

// dontEncapDSCP is XFRM_SA_XFLAG_DONT_ENCAP_DSCP of linux/xfrm.h.
const dontEncapDSCP = 1

// settings is what the kernel does for a child beside protecting it.
var settings = []string{sa.SettingMark, sa.SettingOutputMark, sa.SettingIfID, sa.SettingInterface, sa.SettingNetns,
	sa.SettingDF, sa.SettingECN, sa.SettingDSCP, sa.SettingBypass, sa.SettingDiscard}

// Settings implements kernel.Handler.
func (k *driver) Settings() []string {
	if k == nil || k.cards == nil {
		return settings
	}
	return append(settings[:len(settings):len(settings)], sa.SettingOffload)
}

// headerFlags say what crosses the border of a tunnel; the kernel's default is that of RFC 4301 section 5.1.2: DF, ECN, and DSCP
// outwards.
func headerFlags(h *sa.Handling) (flags uint8) {
	if h.ClearDF {
		flags |= nl.XFRM_STATE_NOPMTUDISC
	}
	if h.IgnoreECN {
		flags |= nl.XFRM_STATE_NOECN
	}
	if h.DSCP == sa.DSCPIn || h.DSCP == sa.DSCPBoth {
		flags |= nl.XFRM_STATE_DECAP_DSCP
	}
	return flags
}

// handlingOfSA are the attributes of one SA for it. The inbound SA gives what it received the mark that the inbound policy wants; the
// SAs themselves have none, since their SPIs tell them apart.
func handlingOfSA(h *sa.Handling, out bool) (attrs []attribute) {
	mark, mask := h.Mark, h.MarkMask
	if out {
		mark, mask = h.OutputMark, h.OutputMarkMask
	}
	if mask != 0 {
		attrs = append(attrs, attribute{nl.XFRMA_SET_MARK, word(mark)}, attribute{nl.XFRMA_SET_MARK_MASK, word(mask)})
	}
	if h.IfID != 0 {
		attrs = append(attrs, attribute{nl.XFRMA_IF_ID, word(h.IfID)})
	}
	if h.DSCP == sa.DSCPIn || h.DSCP == sa.DSCPNone {
		attrs = append(attrs, attribute{nl.XFRMA_SA_EXTRA_FLAGS, word(dontEncapDSCP)})
	}
	return attrs
}

// attributes are those that belong to the name of a policy beside its selector.
func attributes(t kernel.Traffic) (attrs []attribute) {
	if t.Mask != 0 {
		attrs = append(attrs, attribute{nl.XFRMA_MARK, append(word(t.Mark), word(t.Mask)...)})
	}
	if t.IfID != 0 {
		attrs = append(attrs, attribute{nl.XFRMA_IF_ID, word(t.IfID)})
	}
	return attrs
}

// named adds to a selector what the attributes of a message say.
func named(t kernel.Traffic, attrs []byte) kernel.Traffic {
	all, _ := nl.ParseRouteAttr(attrs)
	for _, a := range all {
		switch {
		case a.Attr.Type == nl.XFRMA_MARK && len(a.Value) >= 8:
			t.Mark, t.Mask = binary.NativeEndian.Uint32(a.Value), binary.NativeEndian.Uint32(a.Value[4:])
		case a.Attr.Type == nl.XFRMA_IF_ID && len(a.Value) >= 4:
			t.IfID = binary.NativeEndian.Uint32(a.Value)
		}
	}
	return t
}

func word(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
