package sa

// Handling says how packets of a child are treated, beside being protected. The zero value is what every backend does; what
// differs from it is a setting that the backend must have told of in Capabilities.Settings.
type Handling struct {
	// Mark is what packets bear that the child takes, and what it gives to those that it received, in the bits of MarkMask.
	Mark, MarkMask uint32
	// OutputMark is given to the outer packets that leave, in the bits of OutputMarkMask.
	OutputMark, OutputMarkMask uint32
	// IfID is the number of the XFRM interface whose packets the child takes; 0: none.
	IfID uint32
	// Interface names that interface, when the backend is to make it and to route through it what the child reaches. It lies in
	// the network namespace Netns, a name or a path; "": where the outer packets are.
	Interface, Netns string
	ClearDF          bool // the outer packet may be fragmented whatever the inner one says (RFC 4301 section 8.1)
	IgnoreECN        bool // congestion marks pass neither way (RFC 4301 section 5.1.2)
	DSCP             DSCP
	// Offload says what a device is to do; OffloadDevice names it, "": the one by which the packets leave. With OffloadRequired
	// an installation fails rather than to go on in software.
	Offload         Offload
	OffloadDevice   string
	OffloadRequired bool
}

// DSCP says in which directions the class of a packet crosses the border of a tunnel (RFC 4301 section 5.1.2).
type DSCP uint8

// Directions.
const (
	DSCPOut DSCP = iota
	DSCPIn
	DSCPBoth
	DSCPNone
)

// Offload says how much a device does.
type Offload uint8

// Modes of offload.
const (
	OffloadNone   Offload = iota
	OffloadAuto           // as much as it can: packet, then crypto, then nothing
	OffloadPacket         // everything: headers, numbers, policies and counters as well
	OffloadCrypto         // encryption and integrity
)

// Names of what a backend may be able to do, as they are called in the configuration.
const (
	SettingMark       = "mark"
	SettingOutputMark = "output_mark"
	SettingIfID       = "if_id"
	SettingInterface  = "interface"
	SettingNetns      = "netns"
	SettingDF         = "df"
	SettingECN        = "ecn"
	SettingDSCP       = "dscp"
	SettingOffload    = "offload"
	SettingBypass     = "bypass"  // traps with this action
	SettingDiscard    = "discard" // likewise
)

// Needs lists the settings that differ from what every backend does.
func (h *Handling) Needs() (names []string) {
	for _, s := range []struct {
		name string
		is   bool
	}{
		{SettingMark, h.MarkMask != 0}, {SettingOutputMark, h.OutputMarkMask != 0}, {SettingIfID, h.IfID != 0},
		{SettingInterface, h.Interface != ""}, {SettingNetns, h.Netns != ""}, {SettingDF, h.ClearDF}, {SettingECN, h.IgnoreECN},
		{SettingDSCP, h.DSCP != DSCPOut}, {SettingOffload, h.Offload != OffloadNone},
	} {
		if s.is {
			names = append(names, s.name)
		}
	}
	return names
}
