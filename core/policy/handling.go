package policy

import (
	"fmt"
	"strings"
)

// Handling says how the data plane treats the packets of a child, beside protecting them. The zero value is right for most; what
// differs from it an SA backend must be able to do (Settings).
type Handling struct {
	// Mark is what packets bear that the child takes, and what it gives to those that it received; MarkMask says which bits of
	// them count, 0: none.
	Mark, MarkMask uint32
	// OutputMark is given to the outer packets that leave, in the bits of OutputMarkMask; 0: none.
	OutputMark, OutputMarkMask uint32
	// IfID is the number of the XFRM interface whose packets the child takes, 0: none.
	IfID uint32
	// Interface names that interface, when the backend is to make it and to route through it what the child reaches.
	Interface string
	// Netns is the network namespace where Interface lies, "": that of the daemon. The outer packets stay in the daemon's.
	Netns string

	ClearDF   bool // the outer packet may be fragmented whatever the inner one says (RFC 4301 section 8.1)
	IgnoreECN bool // congestion marks pass neither way (RFC 4301 section 5.1.2)
	DSCP      DSCP

	Offload Offload
}

// DSCP says in which directions the class of a packet crosses the border of the tunnel (RFC 4301 section 5.1.2).
type DSCP uint8

// Directions.
const (
	DSCPOut  DSCP = iota // from the inner header to the outer one
	DSCPIn               // from the outer header to the inner one
	DSCPBoth             // both
	DSCPNone             // neither
)

var dscpWords = []string{"out", "in", "both", "no"}

// DSCPWords lists the words of the configuration, in the order of the directions.
func DSCPWords() []string { return dscpWords }

// String returns the word in the configuration.
func (d DSCP) String() string { return nth(dscpWords, d) }

// Offload says what a network device does of a child's ESP.
type Offload struct {
	Mode     OffloadMode
	Device   string // "": the one that the packets leave by
	Required bool   // rather no child than one in software
}

// OffloadMode is how much a device does.
type OffloadMode uint8

// Modes.
const (
	OffloadNone   OffloadMode = iota // nothing
	OffloadAuto                      // as much as it can
	OffloadPacket                    // everything: headers, numbers, policies and counters as well
	OffloadCrypto                    // encryption and integrity
)

var offloadWords = []string{"none", "auto", "packet", "crypto"}

// OffloadWords lists the words of the configuration, in the order of the modes.
func OffloadWords() []string { return offloadWords }

// String returns the word in the configuration.
func (m OffloadMode) String() string { return nth(offloadWords, m) }

// Setting is a setting of a child that differs from the default, in the words of the configuration.
type Setting struct{ Name, Value string }

// Settings lists what an SA backend must be able to do, in a fixed order.
func (h Handling) Settings() (all []Setting) {
	add := func(is bool, name, value string) {
		if is {
			all = append(all, Setting{name, value})
		}
	}
	add(h.MarkMask != 0, "mark", markText(h.Mark, h.MarkMask))
	add(h.OutputMarkMask != 0, "output_mark", markText(h.OutputMark, h.OutputMarkMask))
	add(h.IfID != 0, "if_id", fmt.Sprint(h.IfID))
	add(h.Interface != "", "interface", h.Interface)
	add(h.Netns != "", "netns", h.Netns)
	add(h.ClearDF, "df", "clear")
	add(h.IgnoreECN, "ecn", "false")
	add(h.DSCP != DSCPOut, "dscp", h.DSCP.String())
	add(h.Offload.Mode != OffloadNone, "offload", h.Offload.String())
	return all
}

// Words lists the settings for people: "if_id 7".
func (h Handling) Words() (all []string) {
	for _, s := range h.Settings() {
		all = append(all, s.Name+" "+s.Value)
	}
	return all
}

// String says it in words: "packet on eth0, required".
func (o Offload) String() string {
	text := o.Mode.String()
	if o.Device != "" {
		text += " on " + o.Device
	}
	if o.Required {
		text += ", required"
	}
	return text
}

func markText(value, mask uint32) string {
	if mask == ^uint32(0) {
		return fmt.Sprintf("%#x", value)
	}
	return strings.Join([]string{fmt.Sprintf("%#x", value), fmt.Sprintf("%#x", mask)}, "/")
}

// Shunt is traffic that no child protects: it passes in clear, or not at all (RFC 4301 section 4.4.1).
type Shunt struct {
	Name              string
	Discard           bool // else it bypasses protection
	LocalTS, RemoteTS []Selector
}

// Word returns the block's name in the configuration, which is what an SA backend must be able to do.
func (s *Shunt) Word() string {
	if s.Discard {
		return "discard"
	}
	return "bypass"
}
