package kernel

import "github.com/parley-ike/parley/sdk/sa"

// SoftNumber and HardNumber: the kernel drops what would cycle a sequence number (RFC 4303 section 3.3.3) without a word, so a child without ESN gets limits in
// packets that lie before. The rest is for the jumps of its moves.
const (
	SoftNumber = 15 << 28
	HardNumber = 1<<32 - 1<<26
)

// cause names the limit that an SA has reached, "" for none.
func cause(c *sa.Child, v sa.Volume, m *State) string {
	switch {
	case v.Bytes != 0 && m.Bytes >= v.Bytes:
		return sa.Bytes
	case v.Packets != 0 && m.Packets >= v.Packets:
		return sa.Packets
	case !c.ESN && m.Packets >= SoftNumber:
		return sa.SequenceNumbers
	}
	return ""
}

// only names the limit of an SA that has reached one, but for which nobody knows.
func only(v sa.Volume) string {
	switch {
	case v.Bytes != 0:
		return sa.Bytes
	case v.Packets != 0:
		return sa.Packets
	}
	return sa.SequenceNumbers
}
